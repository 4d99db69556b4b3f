"""The connection to the store: made in the background, beyond what a request waits, and there for the next one.

What is asked over it and what its failures mean is left to `store.py`; how redis-py connects, to `store_client.py`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from threading import Lock, Thread
from typing import TypeVar

from moderator.labels.store_client import Client, Commands, unreachable

Result = TypeVar("Result")


class NotYet(TimeoutError):
    """The caller's time ended before the store had its fair share: it may be well, so it may be asked again."""


class Connection:
    """Connects when it is told to or first needed, and again when it is lost; runs one call at a time.

    Lambda freezes the process between two requests, its background threads too; they go on with the next request.
    """

    def __init__(self, connect: Callable[[], Client]) -> None:
        self._connect = connect
        # The client, made or being made, and how long callers have waited for it.
        self._client: Future[Client] | None = None
        self._waited = 0.0
        self._replacing = Lock()
        self._turn = Lock()

    def open(self) -> Future[Client]:
        """Begin to connect, unless that is done or under way; return the client to come."""
        with self._replacing:
            client = self._client
            if client is None or (client.done() and client.exception() is not None):
                client = self._client = _in_background(self._connect)
                self._waited = 0.0
            return client

    def run(self, call: Callable[[Commands], Result], seconds: float, *, patience: float) -> Result:
        """Run `call`, waiting at most `seconds` in all; a connection that turns out to be lost is replaced once.

        Timeouts of sockets alone do not bound the wait: a name look-up has none, and every read of a slow answer
        starts a new one. So the caller waits for a thread, which goes on when the caller has gone.

        Args:
            call: asks the store.
            seconds: what the caller may still wait.
            patience: how long all callers together wait for one connection to be made; and how long an answer may
                still take, once nobody waits for it, before its connection is closed.

        Raises:
            NotYet: the connection is still being made, or too little time was left for an answer.
            TimeoutError: there was time enough, and no answer.
            Exception: whatever the connecting or the call raised.
        """
        until = time.monotonic() + seconds
        client = self._opened(until, patience)
        try:
            return self._call(client, call, until, patience)
        except Exception as error:
            if isinstance(error, TimeoutError) or not unreachable(error):
                raise
        return self._call(self._opened(until, patience), call, until, patience)

    def _opened(self, until: float, patience: float) -> Client:
        client = self.open()
        began = time.monotonic()
        wait([client], timeout=max(0.0, min(until - began, patience - self._waited)))
        self._waited += time.monotonic() - began
        if not client.done():
            raise NotYet("the connection is still being made")
        return client.result()

    def _call(self, client: Client, call: Callable[[Commands], Result], until: float, patience: float) -> Result:
        seconds = until - time.monotonic()
        if seconds <= 0 or not self._turn.acquire(timeout=seconds):
            raise NotYet("no time was left to ask")
        answer = _in_background(lambda: call(client.commands))
        answer.add_done_callback(lambda _: self._turn.release())
        seconds = max(0.0, until - time.monotonic())
        wait([answer], timeout=seconds)
        if not answer.done():
            _in_background(lambda: self._give_up(client, answer, patience))
            raise (TimeoutError if seconds > patience / 2 else NotYet)(f"no answer within {seconds:.2g} s")
        try:
            return answer.result()
        except Exception as error:
            if unreachable(error):
                self._drop(client)
            raise

    def _give_up(self, client: Client, answer: Future[Result], patience: float) -> None:
        """Let `answer` come late; if it does not, close its sockets, or it might hang for ever, and connect again."""
        wait([answer], timeout=patience)
        if not answer.done():
            self._drop(client)
            self.open()

    def _drop(self, client: Client) -> None:
        with self._replacing:
            if self._client is not None and self._client.done() and self._client.result() is client:
                self._client = None
        # In the background: closing waits for locks that a hanging call may hold.
        _in_background(client.close)


def _in_background(work: Callable[[], Result]) -> Future[Result]:
    """Start `work` in a thread of its own, which does not keep the process from ending."""
    future: Future[Result] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001 - raised again where the result is asked for
            future.set_exception(error)

    Thread(target=run, name="store", daemon=True).start()
    return future
