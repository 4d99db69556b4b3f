"""Keeps the judge in a process of its own: an object that ends it, or never comes to an end, costs itself only.

Decoders are C code that reads strangers' bytes. A crash of the worker's own process would cost its whole batch, at
each try anew, and ten sound uploads of a queue. So the worker only reads and writes S3, which goes on while the child
decodes and the tower works. Lambda has no /dev/shm, so they talk over sockets.
"""

from __future__ import annotations

import logging
import math
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from typing import Any

from moderator.errors import ConfigurationError, RequestError
from moderator.jobs.line import DecoderCrashed, JudgeFailed, Line
from moderator.jobs.requests import Requests
from moderator.jobs.sources import Source

CHILD = ("-m", "moderator.jobs.judge_child")  # what Python is told, before the socket's number

Group = Sequence[tuple[Source, bytes]]
ErrorLine = Callable[[Source, RequestError], Line]

log = logging.getLogger(__name__)


class JudgeNotStarted(Exception):
    """The judge ended, or said nothing, before it had an object: no object's fault, so none gets a line for it."""


class Suspicious(Exception):
    """The group was not judged, and it is not known yet which of its objects is to blame, if any."""


class _Bug(Exception):
    """The judge raised what it should not; it goes on, and can be asked about something else."""


class JudgeProcess:
    """Answers as `Judge` does, from a child that is started when it is first needed.

    `seconds` is what one object, or a group of small ones, may take at the most, and `start_seconds` loading the model;
    `program` is where a test puts a child of its own. `requests` counts what the child asks of S3, but for what it
    asked about an object that ended it.
    """

    def __init__(
        self, *, seconds: float, video_seconds: float, start_seconds: float = 120.0, program: Sequence[str] = CHILD
    ) -> None:
        self._seconds, self._video_seconds, self._start_seconds = seconds, video_seconds, start_seconds
        self._program = program
        self.requests = Requests()
        self._child: subprocess.Popen[bytes] | None = None
        self._pipe: Connection | None = None
        self._ready = False

    def start(self) -> Connection:
        """Start the child; the first question waits until it has loaded the model."""
        ours, theirs = socket.socketpair()
        # Lambda's own runtime adds folders to the path that a new Python does not know of.
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        with theirs:
            self._child = subprocess.Popen(  # noqa: S603 - our own module
                [sys.executable, *self._program, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=2,  # the runtime may have use for the worker's standard output
            )
        self._pipe = Connection(ours.detach())
        self._ready = False
        return self._pipe

    def stop(self) -> None:
        """End the child, whatever it does."""
        if self._pipe is not None and self._child is not None:
            self._pipe.close()
            self._child.kill()
            self._child.wait()
        self._pipe = self._child = None

    def pictures(
        self, policy: str, group: Group, error: ErrorLine, *, until: float = math.inf, share: float = 1.0
    ) -> list[Line]:
        """Judge pictures together, in a `share` of the seconds; `error` makes the line of one that cannot be judged.

        Return a line for each, in order; none where `until`, a moment of the monotonic clock, comes first.

        Raises:
            Suspicious: it was not one picture alone, or not the whole time, so that nothing is proven.
            JudgeNotStarted: as it says.
        """
        if time.monotonic() >= until:
            return []
        try:
            lines: list[Line] = self._ask("pictures", policy, group, share * self._seconds, until)
        except (EOFError, OSError, _Bug) as fault:
            if self._after(fault, until):
                return []
            if len(group) > 1 or (isinstance(fault, TimeoutError) and share < 1.0):
                raise Suspicious from fault
            return [error(group[0][0], _problem(group[0][0], fault))]
        return lines

    def video(self, policy: str, source: Source, error: ErrorLine, *, until: float = math.inf) -> Line | None:
        """Judge a video; `error` makes its line if it cannot be judged. Return None where `until` comes first.

        Raises:
            JudgeNotStarted: as it says.
        """
        if time.monotonic() >= until:
            return None
        try:
            line: Line = self._ask("video", policy, source, self._video_seconds, until)
        except (EOFError, OSError, _Bug) as fault:
            return None if self._after(fault, until) else error(source, _problem(source, fault))
        return line

    def _after(self, fault: Exception, until: float) -> bool:
        """End a child that is of no more use; return whether nothing but the end of the time was the fault."""
        if isinstance(fault, _Bug):
            return False
        self.stop()
        return time.monotonic() >= until

    def _ask(self, what: str, policy: str, about: Any, seconds: float, until: float) -> Any:
        if self._ready and self._child is not None and self._child.poll() is not None:
            self.stop()  # it ended between two questions, which is not the next object's doing
        pipe = self._pipe or self.start()
        if not self._ready:
            self._wait_until_ready(pipe, until)
        pipe.send((what, policy, about))
        return self._answer(pipe, seconds, until)

    def _wait_until_ready(self, pipe: Connection, until: float) -> None:
        try:
            self._answer(pipe, self._start_seconds, until)
        except ConfigurationError:
            self.stop()
            raise
        except (EOFError, OSError) as fault:
            if isinstance(fault, TimeoutError) and time.monotonic() >= until:
                raise
            child = self._child
            self.stop()
            how = str(fault) if isinstance(fault, TimeoutError) else f"it ended with {child and child.returncode}"
            raise JudgeNotStarted(
                f"The judge did not start: {how}. Its own words are in the log above; is the image whole, and the"
                " worker's memory enough for the model?"
            ) from fault
        self._ready = True

    def _answer(self, pipe: Connection, seconds: float, until: float) -> Any:
        if not pipe.poll(max(0.0, min(seconds, until - time.monotonic()))):
            raise TimeoutError(f"no answer within {seconds:g} s")
        kind, value, answered = pipe.recv()
        self.requests.add(answered)
        if kind == "configuration":
            raise ConfigurationError(value)
        if kind == "bug":
            raise _Bug(value)
        return value


def _problem(source: Source, fault: Exception) -> RequestError:
    if isinstance(fault, _Bug):
        log.error("The judge has a bug that s3://%s/%s brings out: %s", source.bucket, source.key, fault)
        last = str(fault).strip().rpartition("\n")[2]
        return JudgeFailed(f"A bug of the judge, not the object's fault ({last}): the worker's log has all of it.")
    if isinstance(fault, TimeoutError):
        return DecoderCrashed(f"The object kept the decoder busy for too long ({fault}): look at it by hand.")
    return DecoderCrashed("The object, alone, ended the process that judged it: look at it by hand.")
