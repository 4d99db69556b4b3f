"""Room in the memory for objects that are read before their turn: each gets it before its bytes are read, in time."""

from __future__ import annotations

import threading


class Closed(Exception):
    """Nobody waits for these bytes any more."""


class Room:
    """So many bytes in all; one object, of at most `largest`, always fits in when nothing before it is held.

    Objects are numbered in the order in which they are taken. Their sizes may only be known when S3 begins to answer,
    and in any order: so that the next in turn never finds the room taken by those behind it, these leave `largest`
    free, until all before them have theirs. What was entered with less than it needs, because it has grown since it was
    listed, may come on top when it is next: one object at a time.
    """

    def __init__(self, size: int, *, largest: int) -> None:
        self._size, self._largest = size, largest
        self._changed = threading.Condition()
        self._held: dict[int, int] = {}
        self._unsettled: set[int] = set()
        self._closed = False

    def has(self, size: int) -> bool:
        """Return whether so much is free, or nothing is held."""
        with self._changed:
            return not self._held or sum(self._held.values()) + size <= self._size

    def enter(self, number: int, size: int) -> None:
        """Hold what the object is likely to need."""
        with self._changed:
            self._held[number] = size
            self._unsettled.add(number)

    def settle(self, number: int, size: int) -> None:
        """Hold what the object needs, as soon as there is room for it.

        Raises:
            Closed: as it says.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._fits(number, size))
            if self._closed:
                raise Closed
            self._held[number] = size
            self._unsettled.discard(number)
            self._changed.notify_all()

    def leave(self, number: int) -> None:
        """Hold nothing more for the object."""
        with self._changed:
            self._held.pop(number)
            self._unsettled.discard(number)
            self._changed.notify_all()

    def close(self) -> None:
        """End all waiting."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _fits(self, number: int, size: int) -> bool:
        others = sum(held for other, held in self._held.items() if other != number)
        if size <= self._held[number] or number == min(self._held):
            return True
        is_next = number == min(self._unsettled, default=number)
        return others + size <= self._size - (0 if is_next else self._largest)
