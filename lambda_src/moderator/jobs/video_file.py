"""A file that the parent process holds: read in ranges, each a request over the pipe, and never whole."""

from __future__ import annotations

import io
from collections.abc import Callable

# After a jump little is read, and twice as much for each time that reading goes on: a key frame has 20 to 200 kB, and
# each request to S3 takes about 30 ms.
_FIRST, _MOST = 1 << 16, 1 << 20
_KEPT = 8  # ranges: a demuxer jumps to and fro between a few places


class RangeFile:
    """What FFmpeg reads: `read`, `seek` and `tell`. `ask` returns the bytes of a range, or fewer at the end."""

    def __init__(self, size: int, ask: Callable[[int, int], bytes]) -> None:
        self._size = size
        self._ask = ask
        self._place = 0
        self._next = -1  # where the last request ended
        self._length = _FIRST
        self._ranges: list[tuple[int, bytes]] = []  # the last used at the end

    def read(self, size: int = -1) -> bytes:
        """Return up to `size` bytes; none at the end.

        Raises:
            OSError: the parent gives no more.
        """
        left = self._size - self._place
        size = left if size < 0 else min(size, left)
        if size <= 0:
            return b""
        start, data = self._range()
        found = data[self._place - start : self._place - start + size]
        self._place += len(found)
        return found

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to a place, which may lie beyond the end."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._size}[whence]
        self._place = max(0, base + offset)
        return self._place

    def tell(self) -> int:
        """Return the place."""
        return self._place

    def _range(self) -> tuple[int, bytes]:
        for number, (start, data) in enumerate(self._ranges):
            if start <= self._place < start + len(data):
                self._ranges.append(self._ranges.pop(number))
                return start, data
        self._length = min(self._length * 2, _MOST) if self._place == self._next else _FIRST
        start, data = self._place, self._ask(self._place, min(self._length, self._size - self._place))
        self._next = start + len(data)
        self._ranges = [*self._ranges[1 - _KEPT :], (start, data)]
        return start, data
