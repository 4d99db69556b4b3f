"""A circuit breaker: something that fails is left alone for a while instead of being waited for again and again."""

from __future__ import annotations

from collections.abc import Callable


class Breaker:
    """Closed while all is well; open for `retry_seconds` after a failure; then one attempt decides."""

    def __init__(self, *, retry_seconds: float, clock: Callable[[], float]) -> None:
        self._retry_seconds = retry_seconds
        self._clock = clock
        self._retry_at: float | None = None

    @property
    def failing(self) -> bool:
        """Whether the last attempt failed."""
        return self._retry_at is not None

    def allows(self) -> bool:
        """Return whether an attempt may be made now."""
        return self._retry_at is None or self._clock() >= self._retry_at

    def failed(self, *, retry_at_once: bool = False) -> bool:
        """Record a failed attempt; return whether it is the first after a success.

        `retry_at_once` allows the next attempt at once: this one was too short to tell.
        """
        first = self._retry_at is None
        self._retry_at = self._clock() + (0.0 if retry_at_once else self._retry_seconds)
        return first

    def succeeded(self) -> bool:
        """Record an attempt that worked; return whether it ends an outage."""
        recovered = self._retry_at is not None
        self._retry_at = None
        return recovered
