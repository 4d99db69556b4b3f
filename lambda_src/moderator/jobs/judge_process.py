"""Keeps the judge in a process of its own: an object that ends it, or never comes to an end, costs itself only.

Decoders are C code that reads strangers' bytes. A crash of the worker's own process would cost its whole batch, at
each try anew, and ten sound uploads of a queue. So the worker only reads and writes S3, which goes on while the child
decodes and the tower works. Lambda has no /dev/shm, so they talk over sockets.
"""

from __future__ import annotations

import math
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from typing import Any

from moderator.errors import ConfigurationError
from moderator.jobs.line import DecoderCrashed, Line
from moderator.jobs.sources import Source

CHILD = ("-m", "moderator.jobs.judge_child")  # what Python is told, before the socket's number

Group = Sequence[tuple[Source, bytes]]
ErrorLine = Callable[[Source, DecoderCrashed], Line]


class JudgeProcess:
    """Answers as `Judge` does, from a child that is started when it is first needed.

    `seconds` is what one object, or a group of small ones, may take at the most, and `start_seconds` loading the model;
    `program` is where a test puts a child of its own.
    """

    def __init__(
        self, *, seconds: float, video_seconds: float, start_seconds: float = 120.0, program: Sequence[str] = CHILD
    ) -> None:
        self._seconds, self._video_seconds, self._start_seconds = seconds, video_seconds, start_seconds
        self._program = program
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

    def pictures(self, policy: str, group: Group, error: ErrorLine, *, until: float = math.inf) -> list[Line]:
        """Judge pictures together; `error` makes the line of one that ends the process even when it is alone.

        Return a line for each, in order; fewer where `until`, a moment of the monotonic clock, comes first.
        """
        try:
            lines: list[Line] = self._ask("pictures", policy, group, self._seconds, until)
        except (EOFError, OSError) as fault:
            self.stop()
            if time.monotonic() >= until:
                return []
            if len(group) == 1:
                return [error(group[0][0], _crashed(fault))]
        else:
            return lines
        # One by one: halves would find the culprit by starting the child anew, or waiting, once for each half.
        lines = []
        for one in group:
            line = self.pictures(policy, [one], error, until=until)
            if not line:
                break
            lines += line
        return lines

    def video(self, policy: str, source: Source, error: ErrorLine, *, until: float = math.inf) -> Line | None:
        """Judge a video; `error` makes its line if it ends the process. Return None where `until` comes first."""
        try:
            line: Line = self._ask("video", policy, source, self._video_seconds, until)
        except (EOFError, OSError) as fault:
            self.stop()
            return None if time.monotonic() >= until else error(source, _crashed(fault))
        return line

    def _ask(self, what: str, policy: str, about: Any, seconds: float, until: float) -> Any:
        if time.monotonic() >= until:
            raise TimeoutError("no time is left")
        pipe = self._pipe or self.start()
        if not self._ready:
            self._answer(pipe, self._start_seconds, until)
            self._ready = True
        pipe.send((what, policy, about))
        return self._answer(pipe, seconds, until)

    def _answer(self, pipe: Connection, seconds: float, until: float) -> Any:
        if not pipe.poll(max(0.0, min(seconds, until - time.monotonic()))):
            raise TimeoutError(f"no answer within {seconds:g} s")
        kind, value = pipe.recv()
        if kind == "configuration":
            raise ConfigurationError(value)
        if kind == "bug":
            raise RuntimeError(value)
        return value


def _crashed(fault: Exception) -> DecoderCrashed:
    if isinstance(fault, TimeoutError):
        return DecoderCrashed(f"The object kept the decoder busy for too long ({fault}): look at it by hand.")
    return DecoderCrashed("The object, alone, ended the process that judged it: look at it by hand.")
