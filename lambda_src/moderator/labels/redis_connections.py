"""redis-py's connections, changed in two ways: each connects once, and all of a client's share one TLS context."""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass
from typing import Any

import redis


class _ConnectsOnce:
    """Says that it is lost instead of connecting again, which redis-py does within the command that finds it lost.

    Connecting again takes longer than a request may wait. `Connection` does it in the background.
    """

    is_connected: bool
    _was_connected = False

    def connect_check_health(self, *args: Any, **options: Any) -> None:
        """Connect and sign in, the first time."""
        if self._was_connected and not self.is_connected:
            raise redis.ConnectionError("The store has closed the connection.")
        super().connect_check_health(*args, **options)  # type: ignore[misc]  # redis-py's, which stands behind this one
        self._was_connected = True


class PlainConnection(_ConnectsOnce, redis.Connection):
    """Without TLS."""


@dataclass
class SharedContext:
    """The TLS context of the first connection, which the others take over: making one takes 20 ms."""

    context: ssl.SSLContext | None = None


class TlsConnection(_ConnectsOnce, redis.SSLConnection):
    """With TLS. The first one makes the context as the URL's options say."""

    def __init__(self, *, shared: SharedContext, **options: Any) -> None:
        super().__init__(**options)
        self._shared = shared

    def _wrap_socket_with_ssl(self, sock: socket.socket) -> ssl.SSLSocket:
        if self._shared.context is not None:
            return self._shared.context.wrap_socket(sock, server_hostname=self.host)
        secured: ssl.SSLSocket = super()._wrap_socket_with_ssl(sock)  # type: ignore[no-untyped-call]  # redis-py's
        self._shared.context = secured.context
        return secured
