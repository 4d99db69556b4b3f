"""The shared store of label embeddings: many labels in one read or one write; an outage is a miss.

The store only ever saves time. Whatever it does - refuse, hang, lie, run full - the request path sees fewer hits and
waits no longer than its allowance. How to reach it is left to `store_client.py`.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from logging import Logger
from typing import Literal, TypeVar

import numpy as np
import numpy.typing as npt

from moderator.labels.breaker import Breaker
from moderator.labels.store_client import Commands, unreachable

Embedding = npt.NDArray[np.float32]  # (dim,), unit length
Result = TypeVar("Result")

# Computed embeddings are unit vectors to seven digits; a stored one that is further off was not written by us.
_LENGTH_TOLERANCE = 1e-4


class Allowance:
    """What one request may still wait for the store, over all its calls."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds


class Store:
    """Embeddings keyed by label, shared by every process that runs the same model."""

    def __init__(
        self,
        connect: Callable[[float], Commands],
        *,
        fingerprint: str,
        embedding_size: int,
        ttl_seconds: int,
        budget_seconds: float,
        retry_seconds: float,
        log: Logger,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._connect = connect
        # By the seconds that each waits for an answer: a warm-up's client is more patient than a request's.
        self._clients: dict[float, Commands] = {}
        # The braces are a hash tag: all keys share one slot, so that one MGET serves a cluster too.
        self._prefix = f"clip:{{{fingerprint}}}:"
        self._embedding_size = embedding_size
        self._ttl_seconds = ttl_seconds
        self._budget_seconds = budget_seconds
        self._log = log
        self._clock = clock
        self._worker = _worker()
        # A full or read-only store still answers reads, so the two fail apart.
        self._breakers = {kind: Breaker(retry_seconds=retry_seconds, clock=clock) for kind in ("read", "write")}
        self._used = False

    def allowance(self) -> Allowance:
        """A new request's allowance."""
        return Allowance(self._budget_seconds)

    @property
    def state(self) -> Literal["unknown", "up", "read-only", "down"]:
        """What the last calls showed."""
        if self._breakers["read"].failing:
            return "down"
        if self._breakers["write"].failing:
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
        if self._breakers["read"].allows():
            self._attempt("write", lambda client: self._set_all(client, embeddings), allowance)

    def ping(self, allowance: Allowance) -> bool:
        """Whether the store answers now; does not ask while it is being left alone."""
        return bool(self._attempt("read", lambda client: client.ping(), allowance))

    # The warm-up: raises whatever goes wrong, because a deployment depends on it.

    def read_and_renew(self, labels: Sequence[str], seconds: float) -> dict[str, Embedding]:
        """Read what is stored of `labels` and give each of these its full time to live again."""
        keys = [self._key(label) for label in labels]
        found = self._valid(labels, self._run(lambda client: client.mget(keys), seconds, patience=seconds))

        def renew(client: Commands) -> None:
            pipeline = client.pipeline(transaction=False)
            for label in found:
                pipeline.expire(self._key(label), self._ttl_seconds)
            pipeline.execute()

        if found:
            self._run(renew, seconds, patience=seconds)
        return found

    def write_or_raise(self, embeddings: Mapping[str, Embedding], seconds: float) -> None:
        """Store `embeddings`, each with a time to live."""
        self._run(lambda client: self._set_all(client, embeddings), seconds, patience=seconds)

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

    # Failures

    def _attempt(
        self, kind: Literal["read", "write"], call: Callable[[Commands], Result], allowance: Allowance
    ) -> Result | None:
        """Run `call` unless the store is being left alone; an error is logged once an outage and becomes None."""
        breaker = self._breakers[kind]
        if not breaker.allows():
            return None
        began = self._clock()
        try:
            result = self._run(call, allowance.seconds, patience=self._budget_seconds)
        except Exception as error:  # noqa: BLE001 - no failure of the store may fail a request
            first = breaker.failed()
            if unreachable(error):
                # Nothing can be read or written: one wait for both. The next attempt starts from the URL, because the
                # nodes and addresses that the client knew may be the very ones that are gone.
                if kind == "write":
                    first = self._breakers["read"].failed() and first
                self._clients = {}
            if first:
                self._log.warning("The store fails to %s; labels are computed meanwhile.", kind, extra=_cause(error))
            return None
        finally:
            allowance.seconds -= self._clock() - began
        if breaker.succeeded():
            self._log.warning("The store can %s again.", kind)
        return result

    def _run(self, call: Callable[[Commands], Result], seconds: float, *, patience: float) -> Result:
        """Run `call` in the worker thread and wait at most `seconds`, with a client whose steps take `patience` each.

        Timeouts of sockets alone do not bound the wait: a name look-up has none, and every read of a slow answer
        starts a new one.
        """
        if seconds <= 0:
            raise TimeoutError("the request's time for the store is used up")
        self._used = True
        # Handed over, so that a thread that was given up cannot put its client among those of its successor.
        clients = self._clients
        future = self._worker.submit(lambda: call(self._connected(clients, patience)))
        try:
            return future.result(timeout=seconds)
        except TimeoutError:
            self._give_up()
            raise TimeoutError(f"no answer within {seconds:.2g} s") from None

    def _connected(self, clients: dict[float, Commands], patience: float) -> Commands:
        if patience not in clients:
            clients[patience] = self._connect(patience)
        return clients[patience]

    def _give_up(self) -> None:
        """Leave the hanging thread behind and close its sockets under it, or it might read for ever."""
        hanging, self._clients = self._clients, {}
        self._worker.shutdown(wait=False, cancel_futures=True)
        self._worker = _worker()
        # In the new thread: closing waits for locks that the hanging one may hold.
        self._worker.submit(_close, list(hanging.values()))


def _close(clients: list[Commands]) -> None:
    for client in clients:
        client.close()


def _worker() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix="store")


def _cause(error: Exception) -> dict[str, str]:
    return {"cause": type(error).__name__, "cause_detail": str(error)[:200]}
