"""Has a video decoded in a process of its own, and serves it the ranges of the file that it asks for.

The child is not trusted: it may send anything, send nothing, or end. Whatever it does, this returns by the deadline, and
nothing that the child sends is more than numbers and pixels of the size that was asked for.
"""

from __future__ import annotations

import json
import math
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from types import TracebackType
from typing import BinaryIO, Self

import numpy as np

from moderator.errors import BrokenVideo, RequestError, TooMuch, UnknownVideo
from moderator.jobs.video_pipe import BYTES, DONE, FRAME, HEAD, JOB, MOMENT, NO_MORE, OPENED, READ, READY, REFUSED
from moderator.jobs.video_pipe import REQUEST, Container, Limits, message
from moderator.pictures.decode import Frame
from moderator.pictures.preprocessing import Preprocessing
from moderator.pictures.views import View
from moderator.policy.policy import Frames

# The longest message that a child may send: four tiles of 448 x 448, twice over.
_LONGEST = 5_000_000
_MOST_PARTS = 4
_MOST_AT_ONCE = 1 << 22  # bytes of the file
_SAID_AT_MOST = 10_000

# What the child's environment has of ours: where Python and its libraries are, and no key.
_KEPT_VARIABLES = ("PATH", "LD_LIBRARY_PATH", "LANG", "TZ")

_REFUSALS: dict[str, type[RequestError]] = {"unknown": UnknownVideo, "too much": TooMuch, "broken": BrokenVideo}


@dataclass(frozen=True, kw_only=True)
class Film:
    """What a video says of itself."""

    asked: int  # moments
    seconds: float
    frames: int  # that it has, as far as the file says
    width: int
    height: int
    codec: str


@dataclass(frozen=True, kw_only=True)
class Spent:
    """What decoding a video took."""

    bytes_read: int
    requests: int
    cpu_seconds: float  # of the child's process, its start included
    memory: int | None  # bytes of the child at its peak; None where it did not come to its end


@dataclass(frozen=True, kw_only=True)
class Footage:
    """What was seen of a video."""

    film: Film
    frames: tuple[Frame, ...]  # in order of time, at most one for each moment
    unseen: float  # the share of a frame that no part covered
    stopped: str | None  # why it was not looked at to its end, or None
    spent: Spent


def footage(
    file: BinaryIO,
    container: Container,
    frames: Frames,
    preprocessing: Preprocessing,
    view: View,
    limits: Limits,
    *,
    until: float,
) -> Footage:
    """Look at a video's moments.

    Args:
        file: seekable; only ranges of it are read.
        container: its kind.
        frames: how many moments, and how far apart.
        preprocessing: the model's input.
        view: which part of a frame is looked at.
        limits: what it may cost.
        until: the moment, in seconds of the monotonic clock, by which this returns.

    Raises:
        UnknownVideo: it has no video that is read here.
        TooMuch: its frames have too many pixels.
        BrokenVideo: no frame could be decoded.
        RuntimeError: the child could not be started.
        Exception: whatever reading `file` raises.
    """
    with _Child(until) as child:
        film: Film | None = None
        found: dict[int, Frame] = {}
        unseen, stopped, memory = 0.0, None, None
        source = _Source(file, limits.bytes_read)
        try:
            child.write(message(JOB, _job(file, container, frames, preprocessing, view, limits)))
            for kind, payload in child.messages():
                if kind == READ:
                    child.write(source.answer(payload))
                elif kind == OPENED and film is None:
                    film = _film(payload, frames.most)
                elif kind == FRAME and film is not None:
                    number, frame, unseen = _frame(payload, preprocessing, film)
                    found.setdefault(number, frame)
                elif kind == REFUSED:
                    stopped = _refusal(payload, found=bool(found))
                    break
                elif kind == DONE:
                    memory = _memory(payload)
                    break
                else:
                    raise _Gone("its decoder did not keep to the protocol")
        except _Gone as gone:
            stopped = str(gone)
        if source.exhausted and stopped is None:
            stopped = f"no more than {limits.bytes_read:,} bytes of it are read"
    if film is None or not found:
        raise BrokenVideo(f"The video has no frame that can be decoded: {stopped or 'it is truncated or damaged'}.")
    ordered = sorted(found.values(), key=lambda frame: frame.seconds)
    spent = Spent(
        bytes_read=source.bytes_read, requests=source.requests, cpu_seconds=child.cpu_seconds, memory=memory
    )
    return Footage(film=film, frames=tuple(ordered), unseen=unseen, stopped=stopped, spent=spent)


class _Gone(Exception):
    """The child ended, sends nothing sensible, or the time is over; the message is half a sentence."""


class _Source:
    """Answers the child's requests for ranges, up to a sum."""

    def __init__(self, file: BinaryIO, most: int) -> None:
        self._file = file
        self._most = most
        self.bytes_read = 0
        self.requests = 0
        self.exhausted = False

    def answer(self, payload: bytes) -> bytes:
        if len(payload) != REQUEST.size:
            raise _Gone("its decoder did not keep to the protocol")
        start, length = REQUEST.unpack(payload)
        if length > _MOST_AT_ONCE or self.bytes_read + length > self._most:
            self.exhausted = True
            return message(NO_MORE)
        self._file.seek(start)
        data = self._file.read(length)
        self.requests += 1
        self.bytes_read += len(data)
        return message(BYTES, data)


class _Child:
    """The process, and messages to and from it that never take longer than until the deadline."""

    def __init__(self, until: float) -> None:
        self._until = until
        self._process = subprocess.Popen(  # noqa: S603  # this very Python, and a module of our own
            [sys.executable, "-P", "-W", "ignore", "-m", "moderator.jobs.video_child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=_environment(),
            cwd="/",
            start_new_session=True,
        )
        assert self._process.stdin  # noqa: S101  # they are pipes, as said above
        assert self._process.stdout  # noqa: S101
        self._to, self._from = self._process.stdin.fileno(), self._process.stdout.fileno()
        os.set_blocking(self._to, False)
        os.set_blocking(self._from, False)
        self.cpu_seconds = 0.0

    def __enter__(self) -> Self:
        try:
            kind, _ = next(self.messages())
            if kind != READY:
                raise _Gone("it said something else")
        except _Gone as gone:
            self._end()
            if time.monotonic() >= self._until:
                raise BrokenVideo("The video could not be looked at: there was no time left.") from gone
            raise RuntimeError(f"The video decoder does not start: {self._last_words()}") from gone
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()
        self._last_words()

    def messages(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield what the child says.

        Raises:
            _Gone: it says no more, or too late, or too much.
        """
        while True:
            kind, length = HEAD.unpack(self._read(HEAD.size))
            if length > _LONGEST:
                raise _Gone("its decoder did not keep to the protocol")
            yield kind, self._read(length)

    def write(self, data: bytes) -> None:
        """Send a message.

        Raises:
            _Gone: the child does not take it.
        """
        view = memoryview(data)
        while view:
            self._wait(self._to, select.POLLOUT)
            try:
                view = view[os.write(self._to, view) :]
            except BlockingIOError:
                continue
            except BrokenPipeError as error:
                raise _Gone(self._how_it_ended()) from error

    def _read(self, length: int) -> bytes:
        data = bytearray()
        while len(data) < length:
            self._wait(self._from, select.POLLIN)
            try:
                piece = os.read(self._from, length - len(data))
            except BlockingIOError:
                continue
            if not piece:
                raise _Gone(self._how_it_ended())
            data += piece
        return bytes(data)

    def _wait(self, pipe: int, event: int) -> None:
        left = self._until - time.monotonic()
        poll = select.poll()
        poll.register(pipe, event)
        if left <= 0 or not poll.poll(math.ceil(left * 1000)):
            raise _Gone("its decoder was stopped, for it took too long")

    def _how_it_ended(self) -> str:
        self._reap()
        ended = self._process.returncode or 0
        if ended == -signal.SIGXCPU:
            return "its decoder was stopped, for it took too long"
        return f"its decoder crashed ({signal.Signals(-ended).name if ended < 0 else f'status {ended}'})"

    def _end(self) -> None:
        """End the process and whatever it has started."""
        if self._process.returncode is None:
            try:
                os.killpg(self._process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            self._reap()

    def _reap(self) -> None:
        if self._process.returncode is None:
            _, status, usage = os.wait4(self._process.pid, 0)
            self._process.returncode = os.waitstatus_to_exitcode(status)
            self.cpu_seconds = usage.ru_utime + usage.ru_stime

    def _last_words(self) -> str:
        """What it printed, at its start; the pipes are closed."""
        assert self._process.stdin  # noqa: S101  # as above
        assert self._process.stdout  # noqa: S101
        assert self._process.stderr  # noqa: S101
        for pipe in (self._process.stdin, self._process.stdout):
            pipe.close()
        with self._process.stderr as stream:
            said = stream.read(_SAID_AT_MOST).decode("utf-8", "replace").strip()
        return said.splitlines()[-1] if said else "it printed nothing"


def _environment() -> dict[str, str]:
    kept = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
    paths = os.pathsep.join(os.path.abspath(path) for path in sys.path if path)
    # One thread each: those of a library that only adds up numbers would cost memory.
    return kept | {"PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1", "OPENBLAS_NUM_THREADS": "1"}


def _job(
    file: BinaryIO, container: Container, frames: Frames, preprocessing: Preprocessing, view: View, limits: Limits
) -> bytes:
    return json.dumps(
        {
            "size": file.seek(0, os.SEEK_END),
            "container": container,
            "most": frames.most,
            "every": frames.every,
            "preprocessing": asdict(preprocessing),
            "view": view,
            "limits": asdict(limits),
        }
    ).encode()


def _film(payload: bytes, most: int) -> Film:
    try:
        said = json.loads(payload)
        width, height = map(int, said["size"])
        film = Film(
            asked=int(said["asked"]),
            seconds=float(said["seconds"]),
            frames=int(said["frames"]),
            width=width,
            height=height,
            codec=str(said["codec"])[:40],
        )
    except (ValueError, TypeError, KeyError) as error:
        raise _Gone("its decoder did not keep to the protocol") from error
    if not 1 <= film.asked <= most or not math.isfinite(film.seconds):
        raise _Gone("its decoder did not keep to the protocol")
    return film


def _frame(payload: bytes, to: Preprocessing, film: Film) -> tuple[int, Frame, float]:
    """Read a frame: which moment, what is seen, and the share of it that is not."""
    number, place, second, unseen, parts = MOMENT.unpack_from(payload)
    pixels = np.frombuffer(payload, np.uint8, offset=MOMENT.size)
    sound = number < film.asked and math.isfinite(second) and second >= 0 and 0 <= unseen <= 1
    if not sound or not 1 <= parts <= _MOST_PARTS or pixels.size != parts * to.height * to.width * 3:
        raise _Gone("its decoder did not keep to the protocol")
    shaped = pixels.reshape(parts, to.height, to.width, 3)
    return number, Frame(parts=tuple(shaped), number=place, seconds=second), unseen


def _memory(payload: bytes) -> int:
    try:
        return int(json.loads(payload)["memory"])
    except (ValueError, TypeError, KeyError) as error:
        raise _Gone("its decoder did not keep to the protocol") from error


def _refusal(payload: bytes, *, found: bool) -> str:
    """Raise what the child says of the whole video; where frames were found before it, return it."""
    try:
        said = json.loads(payload)
        kind, detail = _REFUSALS[said["kind"]], str(said["detail"])[:300]
    except (ValueError, TypeError, KeyError) as error:
        raise _Gone("its decoder did not keep to the protocol") from error
    if found:
        return detail
    raise kind(f"The video cannot be judged: {detail}.")
