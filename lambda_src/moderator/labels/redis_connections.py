"""redis-py's connections, changed in two ways: they connect while their client is made, and share one TLS context."""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass
from threading import Event
from typing import Any

import redis


class _ConnectsInTime:
    """Refuses to reconnect once its client is made.

    redis-py would reconnect within the command that finds the connection lost, which takes longer than a request may
    wait. `Connection` makes another client in the background instead.
    """

    is_connected: bool

    def __init__(self, *, made: Event, **options: Any) -> None:
        super().__init__(**options)
        self._made = made

    def connect_check_health(self, *args: Any, **options: Any) -> None:
        """Connect and sign in, where there is no connection yet."""
        if self._made.is_set() and not self.is_connected:
            raise redis.ConnectionError("The store has closed the connection.")
        super().connect_check_health(*args, **options)  # type: ignore[misc]  # redis-py's, the next base class


class PlainConnection(_ConnectsInTime, redis.Connection):
    """Without TLS."""


@dataclass
class SharedContext:
    """The TLS context of the first connection, which the others use too: making one takes 20 ms."""

    context: ssl.SSLContext | None = None


class TlsConnection(_ConnectsInTime, redis.SSLConnection):
    """With TLS. The first one makes the context as the URL's options say."""

    def __init__(self, *, tls: SharedContext, **options: Any) -> None:
        super().__init__(**options)
        self._tls = tls

    def _wrap_socket_with_ssl(self, sock: socket.socket) -> ssl.SSLSocket:
        if self._tls.context is not None:
            return self._tls.context.wrap_socket(sock, server_hostname=self.host)
        secured: ssl.SSLSocket = super()._wrap_socket_with_ssl(sock)  # type: ignore[no-untyped-call]  # redis-py's
        self._tls.context = secured.context
        return secured
