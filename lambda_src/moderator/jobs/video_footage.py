"""The frames of a video, from the process that decodes it; it is served the ranges of the file that it asks for.

Whatever the child does, this returns by the deadline, and what it sends is taken for numbers and pixels of the size
that was asked for, or not at all.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import BinaryIO

import numpy as np

from moderator.errors import BrokenVideo, RequestError, TooMuch, UnknownVideo
from moderator.jobs.video_pipe import (
    BYTES,
    DONE,
    FRAME,
    JOB,
    MOMENT,
    NO_MORE,
    OPENED,
    READ,
    REFUSED,
    REQUEST,
    Container,
    Limits,
    message,
)
from moderator.jobs.video_process import DECODER, DecoderProcess, Gone
from moderator.pictures.decode import Frame
from moderator.pictures.preprocessing import Preprocessing
from moderator.pictures.views import View
from moderator.policy.policy import Frames

_MOST_PARTS = 4
_MOST_AT_ONCE = 1 << 22  # bytes of the file

_NO_PROTOCOL = "its decoder did not keep to the protocol"
_LIMITED = "its key frames are far apart, and of the frames between them no more are decoded"
_REFUSALS: dict[str, type[RequestError]] = {"unknown": UnknownVideo, "too much": TooMuch, "broken": BrokenVideo}


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What is to be seen of a video."""

    container: Container
    frames: Frames  # how many moments, and how far apart
    preprocessing: Preprocessing  # the model's input
    view: View


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
    stopped: str | None  # half a sentence: why it was not looked at to its end
    spent: Spent


def footage(file: BinaryIO, asked: Asked, limits: Limits, *, until: float, program: Sequence[str] = DECODER) -> Footage:
    """Look at a video's moments.

    Args:
        file: seekable; only ranges of it are read.
        asked: what is to be seen.
        limits: what it may cost.
        until: the moment, in seconds of the monotonic clock, by which this returns.
        program: what decodes; a test puts one of its own there.

    Raises:
        UnknownVideo: it has no video that is read here.
        TooMuch: its frames have too many pixels.
        BrokenVideo: no frame could be decoded.
        RuntimeError: the decoder does not start.
        Exception: whatever reading `file` raises.
    """
    source = _Source(file, limits.bytes_read)
    found = _Found(asked=asked)
    process = DecoderProcess(program, until=until)
    try:
        with process:
            process.write(message(JOB, _job(source.size, asked, limits)))
            for kind, payload in process.messages():
                if kind == READ:
                    process.write(source.answer(payload))
                elif kind == DONE:
                    found.end(payload)
                    break
                else:
                    found.take(kind, payload)
    except Gone as gone:
        found.stopped = str(gone)
    if source.exhausted:
        found.stopped = f"no more than {limits.bytes_read:,} bytes of it are read"
    if found.film is None or not found.frames:
        why = found.stopped or "it is truncated or damaged"
        raise BrokenVideo(f"The video has no frame that can be decoded: {why}.")
    return Footage(
        film=found.film,
        frames=tuple(sorted(found.frames.values(), key=lambda frame: frame.seconds)),
        unseen=found.unseen,
        stopped=found.stopped,
        spent=Spent(
            bytes_read=source.bytes_read,
            requests=source.requests,
            cpu_seconds=process.cpu_seconds,
            memory=found.memory,
        ),
    )


class _Source:
    """Answers the child's requests for ranges, up to a sum."""

    def __init__(self, file: BinaryIO, most: int) -> None:
        self._file = file
        self._most = most
        self.size = file.seek(0, os.SEEK_END)
        self.bytes_read = 0
        self.requests = 0
        self.exhausted = False

    def answer(self, payload: bytes) -> bytes:
        if len(payload) != REQUEST.size:
            raise Gone(_NO_PROTOCOL)
        start, length = REQUEST.unpack(payload)
        if length > _MOST_AT_ONCE or self.bytes_read + length > self._most:
            self.exhausted = True
            return message(NO_MORE)
        self._file.seek(start)
        data = self._file.read(length)
        self.requests += 1
        self.bytes_read += len(data)
        return message(BYTES, data)


@dataclass(kw_only=True)
class _Found:
    """What the child has said so far, each of it checked."""

    asked: Asked
    film: Film | None = None
    frames: dict[int, Frame] = field(default_factory=dict)  # by moment
    unseen: float = 0.0
    stopped: str | None = None
    memory: int | None = None

    def take(self, kind: bytes, payload: bytes) -> None:
        """Take a message.

        Raises:
            RequestError: the child refuses the video.
            Gone: that is no message.
        """
        if kind == OPENED and self.film is None:
            self.film = _film(payload, self.asked.frames.most)
        elif kind == FRAME and self.film is not None:
            number, frame, self.unseen = _frame(payload, self.asked.preprocessing, self.film)
            self.frames.setdefault(number, frame)
        elif kind == REFUSED:
            self._refuse(payload)
        else:
            raise Gone(_NO_PROTOCOL)

    def end(self, payload: bytes) -> None:
        """Take the child's last message: its memory at its peak, and whether not all was looked at."""
        try:
            said = json.loads(payload)
            self.memory, limited = int(said["memory"]), bool(said["limited"])
        except (ValueError, TypeError, KeyError) as error:
            raise Gone(_NO_PROTOCOL) from error
        self.stopped = _LIMITED if limited else None

    def _refuse(self, payload: bytes) -> None:
        """Raise what the child says of the whole video; where frames were found before it, they are judged."""
        try:
            said = json.loads(payload)
            kind, detail = _REFUSALS[said["kind"]], str(said["detail"])[:300]
        except (ValueError, TypeError, KeyError) as error:
            raise Gone(_NO_PROTOCOL) from error
        if self.frames:
            raise Gone(detail)
        raise kind(f"The video cannot be judged: {detail}.")


def _job(size: int, asked: Asked, limits: Limits) -> bytes:
    return json.dumps(
        {
            "size": size,
            "container": asked.container,
            "most": asked.frames.most,
            "every": asked.frames.every,
            "preprocessing": asdict(asked.preprocessing),
            "view": asked.view,
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
        raise Gone(_NO_PROTOCOL) from error
    if not 1 <= film.asked <= most or not math.isfinite(film.seconds):
        raise Gone(_NO_PROTOCOL)
    return film


def _frame(payload: bytes, to: Preprocessing, film: Film) -> tuple[int, Frame, float]:
    """Read a frame: which moment, what is seen, and the share of it that is not."""
    if len(payload) < MOMENT.size:
        raise Gone(_NO_PROTOCOL)
    number, place, second, unseen, parts = MOMENT.unpack_from(payload)
    pixels = np.frombuffer(payload, np.uint8, offset=MOMENT.size)
    is_sound = number < film.asked and math.isfinite(second) and second >= 0 and 0 <= unseen <= 1
    if not is_sound or not 1 <= parts <= _MOST_PARTS or pixels.size != parts * to.height * to.width * 3:
        raise Gone(_NO_PROTOCOL)
    shaped = pixels.reshape(parts, to.height, to.width, 3)
    return number, Frame(parts=tuple(shaped), number=place, seconds=second), unseen
