"""The label store, shared by all instances: many labels in one read or one write; an outage is a miss.

The store only ever saves time. Whatever it does - refuse, hang, lie, run full - the request path sees fewer hits and
waits no longer than its allowance. How it is reached is left to `connection.py`.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import wait
from logging import Logger
from typing import Literal, TypeVar

import numpy as np
import numpy.typing as npt

from moderator.labels.breaker import Breaker
from moderator.labels.connection import Connection, NotYet
from moderator.labels.store_client import Client, Commands, unreachable

Embedding = npt.NDArray[np.float32]  # (dim,), unit length
Result = TypeVar("Result")

# Computed embeddings are unit vectors to seven digits; a stored one that is further off was not written by us.
_LENGTH_TOLERANCE = 1e-4


class Allowance:
    """What one request may still wait for the store, over all its calls."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds


class LabelStore:
    """Embeddings keyed by label, shared by every process that runs the same model; "the store" for short.

    It is a part of the label cache, as this process's memory is. The settings that say how to reach it begin with
    CACHE_, because operators know it as the cache.
    """

    def __init__(
        self,
        connect: Callable[[Callable[[Commands], object]], Client],
        *,
        fingerprint: str,
        embedding_size: int,
        ttl_seconds: int,
        budget_seconds: float,
        retry_seconds: float,
        log: Logger,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        # With one command to the node that holds our keys, so that this node is connected too.
        self._connection = Connection(lambda: connect(self._ask_for_a_key))
        # The braces are a hash tag: all keys share one slot, so that one MGET serves a cluster too.
        self._prefix = f"clip:{{{fingerprint}}}:"
        self._embedding_size = embedding_size
        self._ttl_seconds = ttl_seconds
        self._budget_seconds = budget_seconds
        self._log = log
        self._clock = clock
        # A full or read-only store still answers reads, so each has its own breaker.
        self._reads, self._writes = (Breaker(retry_seconds=retry_seconds, clock=clock) for _ in range(2))
        self._used = False

    def open(self, seconds: float = 0.0) -> None:
        """Begin to connect, so that no request has to, and wait at most `seconds` for it; a failure shows later."""
        wait([self._connection.open()], timeout=seconds)

    def allowance(self) -> Allowance:
        """Return a new request's allowance."""
        return Allowance(self._budget_seconds)

    @property
    def state(self) -> Literal["unknown", "up", "read-only", "down"]:
        """What the last calls showed."""
        if self._reads.failing:
            return "down"
        if self._writes.failing:
            return "read-only"
        return "up" if self._used else "unknown"

    # The request path: never raises, never waits beyond the allowance.

    def read(self, labels: Sequence[str], allowance: Allowance) -> dict[str, Embedding]:
        """Read what is stored of `labels` in one round trip; what is not stored, or not valid, is left out."""
        keys = [self._key(label) for label in labels]
        values = self._attempt("read", lambda client: client.mget(keys), allowance)
        return {} if values is None else self._valid(labels, values)

    def write(self, embeddings: Mapping[str, Embedding], allowance: Allowance) -> None:
        """Store `embeddings` in one round trip, each with a time to live."""
        if not self._reads.failing:
            self._attempt("write", lambda client: self._set_all(client, embeddings), allowance)

    def ping(self, allowance: Allowance) -> bool:
        """Return whether the store answers now; it is not asked while it is being left alone."""
        return bool(self._attempt("read", self._ask_for_a_key, allowance))

    # The warm-up: raises whatever goes wrong, because a deployment depends on it.

    def read_and_renew(self, labels: Sequence[str], seconds: float) -> dict[str, Embedding]:
        """Read what is stored of `labels` and give each of these its full time to live again."""
        keys = [self._key(label) for label in labels]
        found = self._valid(labels, self._run_patiently(lambda client: client.mget(keys), seconds))

        def renew(client: Commands) -> None:
            pipeline = client.pipeline(transaction=False)
            for label in found:
                pipeline.expire(self._key(label), self._ttl_seconds)
            pipeline.execute()

        if found:
            self._run_patiently(renew, seconds)
        return found

    def write_or_raise(self, embeddings: Mapping[str, Embedding], seconds: float) -> None:
        """Store `embeddings`, each with a time to live."""
        self._run_patiently(lambda client: self._set_all(client, embeddings), seconds)

    # Keys and values

    def _key(self, label: str) -> str:
        return self._prefix + hashlib.sha256(label.encode()).hexdigest()

    def _set_all(self, client: Commands, embeddings: Mapping[str, Embedding]) -> None:
        pipeline = client.pipeline(transaction=False)
        for label, embedding in embeddings.items():
            pipeline.set(self._key(label), embedding.astype("<f4").tobytes(), ex=self._ttl_seconds)
        pipeline.execute()

    def _valid(self, labels: Sequence[str], values: Sequence[object]) -> dict[str, Embedding]:
        """Keep the values that can be embeddings: of the right length in bytes, finite, and of unit length."""
        size = 4 * self._embedding_size
        stored = [
            (label, value)
            for label, value in zip(labels, values, strict=True)
            if isinstance(value, bytes) and len(value) == size
        ]
        rows = np.frombuffer(b"".join(value for _, value in stored), "<f4").reshape(-1, self._embedding_size)
        with np.errstate(over="ignore", invalid="ignore"):
            lengths = np.linalg.norm(rows.astype(np.float64), axis=1)
            good = np.abs(lengths - 1.0) <= _LENGTH_TOLERANCE  # false for NaN and infinity too
        return {label: row for (label, _), row, valid in zip(stored, rows, good, strict=True) if valid}

    # Calls

    def _ask_for_a_key(self, client: Commands) -> list[object]:
        return list(client.mget([self._key("")]))

    def _run_patiently(self, call: Callable[[Commands], Result], seconds: float) -> Result:
        self._used = True
        return self._connection.run(call, seconds, patience=seconds)

    def _attempt(
        self, kind: Literal["read", "write"], call: Callable[[Commands], Result], allowance: Allowance
    ) -> Result | None:
        """Run `call` unless the store is being left alone; an error is logged once an outage and becomes None."""
        breaker = self._reads if kind == "read" else self._writes
        if not breaker.allows():
            return None
        self._used = True
        began = self._clock()
        try:
            result = self._connection.run(call, allowance.seconds, patience=self._budget_seconds)
        except Exception as error:  # noqa: BLE001 - no failure of the store may fail a request
            if unreachable(error):
                breaker = self._reads  # and nothing is written meanwhile: one wait for both
            if breaker.failed(retry_at_once=isinstance(error, NotYet)):
                self._log.warning("The store fails to %s; labels are computed meanwhile.", kind, extra=_cause(error))
            return None
        finally:
            allowance.seconds -= self._clock() - began
        if breaker.succeeded():
            self._log.warning("The store can %s again.", kind)
        return result


def _cause(error: Exception) -> dict[str, str]:
    return {"cause": type(error).__name__, "cause_detail": str(error)[:200]}
