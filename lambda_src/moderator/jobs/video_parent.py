"""The parent's end of the two pipes, as the decoder's process sees it. Runs in the child alone."""

from __future__ import annotations

import os
from typing import BinaryIO

from moderator.jobs.video_pipe import BYTES, HEAD, READ, REQUEST, message


class Parent:
    """The other end of the two pipes."""

    def __init__(self, incoming: BinaryIO, outgoing: BinaryIO) -> None:
        self._incoming = incoming
        self._outgoing = outgoing

    def say(self, kind: bytes, *payload: bytes | memoryview) -> None:
        """Send one message."""
        self._outgoing.write(message(kind, *payload))
        self._outgoing.flush()

    def hear(self) -> tuple[bytes, bytes]:
        """Wait for one message.

        Raises:
            EOFError: the parent is gone.
        """
        head = self._incoming.read(HEAD.size)
        if len(head) < HEAD.size:
            raise EOFError
        kind, length = HEAD.unpack(head)
        return kind, self._incoming.read(length)

    def ask(self, start: int, length: int) -> bytes:
        """Return a range of the file.

        Raises:
            OSError: no more of it is given.
        """
        self.say(READ, REQUEST.pack(start, length))
        kind, data = self.hear()
        if kind != BYTES:
            raise OSError("no more is read of this file")
        return data


def take_pipes() -> Parent:
    """Keep the pipes for messages, and give native code that writes or reads nothing but nothing."""
    incoming, outgoing = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nothing, standard)
    return Parent(os.fdopen(incoming, "rb"), os.fdopen(outgoing, "wb"))
