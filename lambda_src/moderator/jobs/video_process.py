"""The process that decodes a video, as its parent sees it: messages that never take longer than until a deadline.

The child is not trusted. It may send anything, take nothing, or end, and is stopped when the parent is done.
"""

from __future__ import annotations

import contextlib
import math
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from moderator.jobs.video_pipe import HEAD, READY

DECODER = ("-m", "moderator.jobs.video_child")  # what Python is told

# The longest message that a child may send: four tiles of 448 x 448 are 2.4 million bytes.
_LONGEST = 5_000_000
_SAID_AT_MOST = 10_000

# What the child's environment has of ours: where Python and its libraries are, and no key.
_KEPT_VARIABLES = ("PATH", "LD_LIBRARY_PATH", "LANG", "TZ")


class Gone(Exception):
    """The child ended, sends nothing sensible, or the time is over; the message is half a sentence."""


class DecoderProcess:
    """Runs while it is entered.

    Raises:
        Gone: on entering, where no time is left.
        RuntimeError: on entering, where it does not start: PyAV is not installed, say.
    """

    def __init__(self, program: Sequence[str], *, until: float) -> None:
        self._until = until
        self._process = subprocess.Popen(  # noqa: S603  # this very Python, and a module of our own
            [sys.executable, "-P", "-W", "ignore", *program],
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
        self.cpu_seconds = 0.0  # known when it has ended

    def __enter__(self) -> Self:
        """Wait until it is ready."""
        try:
            kind, _ = next(self.messages())
        except Gone as gone:
            self._end()
            said = self._close()
            if time.monotonic() >= self._until:
                raise
            raise RuntimeError(f"The video decoder does not start, {gone}: {said}") from gone
        if kind != READY:
            self._end()
            self._close()
            raise RuntimeError(f"The video decoder begins with {kind!r}.")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it, whatever it does."""
        self._end()
        self._close()

    def messages(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield what the child says, kind and payload.

        Raises:
            Gone: it says no more, or too late, or too much.
        """
        while True:
            kind, length = HEAD.unpack(self._read(HEAD.size))
            if length > _LONGEST:
                raise Gone("its decoder did not keep to the protocol")
            yield kind, self._read(length)

    def write(self, data: bytes) -> None:
        """Send a message.

        Raises:
            Gone: the child does not take it.
        """
        view = memoryview(data)
        while view:
            self._wait(self._to, select.POLLOUT)
            try:
                view = view[os.write(self._to, view) :]
            except BlockingIOError:
                continue
            except BrokenPipeError as error:
                raise Gone(self._how_it_ended()) from error

    def _read(self, length: int) -> bytes:
        data = bytearray()
        while len(data) < length:
            self._wait(self._from, select.POLLIN)
            try:
                piece = os.read(self._from, length - len(data))
            except BlockingIOError:
                continue
            data += piece
            if not piece:
                raise Gone(self._how_it_ended())
        return bytes(data)

    def _wait(self, pipe: int, event: int) -> None:
        left = self._until - time.monotonic()
        poll = select.poll()
        poll.register(pipe, event)
        if left <= 0 or not poll.poll(math.ceil(left * 1000)):
            raise Gone("its decoder was stopped, for it took too long")

    def _how_it_ended(self) -> str:
        """Say it; a child that closed its pipes and lives on is ended."""
        self._end(after=1.0)
        ended = self._process.returncode or 0
        if ended == -signal.SIGXCPU:
            return "its decoder was stopped, for it took too long"
        return f"its decoder crashed ({signal.Signals(-ended).name if ended < 0 else f'status {ended}'})"

    def _end(self, after: float = 0.0) -> None:
        """End the process and whatever it has started; leave it `after` seconds to end by itself."""
        patience = time.monotonic() + after
        while not self._reaped(os.WNOHANG) and time.monotonic() < patience:
            time.sleep(0.005)
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._reaped(0)

    def _reaped(self, options: int) -> bool:
        if self._process.returncode is None:
            process, status, usage = os.wait4(self._process.pid, options)
            if not process:
                return False
            self._process.returncode = os.waitstatus_to_exitcode(status)
            self.cpu_seconds = usage.ru_utime + usage.ru_stime
        return True

    def _close(self) -> str:
        """Close the pipes; return the last line that it printed, at its start."""
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
    paths = os.pathsep.join(str(Path(path).resolve()) for path in sys.path if path)
    # numpy would start a thread for each CPU, and reserve memory for each.
    return kept | {"PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1", "OPENBLAS_NUM_THREADS": "1"}
