"""A large object as a file, of which only those pieces are read that are needed."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

from moderator.errors import TooMuch

# Few requests for a video's index and key frames, and little read in vain.
PIECE_BYTES = 1 << 20
_KEPT_PIECES = 8


class ObjectFile(io.RawIOBase):
    """An object as a file that can be read and sought in; holds a few pieces of a megabyte, never the whole."""

    def __init__(self, read: Callable[[int, int], bytes], size: int, max_bytes: int) -> None:
        super().__init__()
        self._read, self._size, self._left = read, size, max_bytes
        self._place = 0
        self._pieces: dict[int, bytes] = {}  # the least recently used first

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return where the next byte is read."""
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to another place; nothing is read."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._size}[whence]
        self._place = max(0, start + offset)
        return self._place

    def readinto(self, buffer: Any) -> int:
        """Read up to the end of a piece.

        Raises:
            TooMuch: more would be read from S3 than is allowed.
        """
        if self._place >= self._size:
            return 0
        number, within = divmod(self._place, PIECE_BYTES)
        data = self._piece(number)[within : within + len(buffer)]
        buffer[: len(data)] = data
        self._place += len(data)
        return len(data)

    def _piece(self, number: int) -> bytes:
        piece = self._pieces.pop(number, None)
        if piece is None:
            if self._left <= 0:
                raise TooMuch("More of the object would have to be read than is allowed for one video.")
            piece = self._read(number * PIECE_BYTES, PIECE_BYTES)
            self._left -= len(piece)
            while len(self._pieces) >= _KEPT_PIECES:
                self._pieces.pop(next(iter(self._pieces)))
        self._pieces[number] = piece
        return piece
