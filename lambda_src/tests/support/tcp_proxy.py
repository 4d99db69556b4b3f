"""A proxy between the service and its store: it can be slow, do something in the middle of a request, or listen in."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable


class TcpProxy:
    """Passes bytes on, as `delay`, `sign_in_delay`, `trickle` and `on_request` say at that moment."""

    def __init__(self, upstream_port: int, tls: ssl.SSLContext | None = None) -> None:
        self.upstream_port = upstream_port
        # The service speaks TLS with the proxy, and the proxy speaks plainly with the store.
        self._tls = tls
        # What the service sent, connection by connection.
        self.sent: list[bytes] = []
        # Seconds that every answer is held back.
        self.delay = 0.0
        # Seconds that the first bytes of every connection are held back: a slow sign-in, and the rest is fast.
        self.sign_in_delay = 0.0
        # Answers go out one byte at a time, so that no single wait is ever long.
        self.trickle = False
        # Called instead of passing the next request on.
        self.on_request: Callable[[], None] | None = None
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, accepted: socket.socket) -> None:
        with contextlib.suppress(ssl.SSLError), self._secured(accepted) as client:
            place = len(self.sent)
            self.sent.append(b"")
            try:
                upstream = socket.create_connection(("127.0.0.1", self.upstream_port))
            except OSError:
                return
            with upstream:
                threading.Thread(target=self._answers, args=(upstream, client), daemon=True).start()
                with contextlib.suppress(OSError):
                    while data := client.recv(65536):
                        if self.on_request is not None:
                            self.on_request()
                            return
                        if not self.sent[place]:
                            time.sleep(self.sign_in_delay)
                        self.sent[place] += data
                        upstream.sendall(data)

    def _secured(self, accepted: socket.socket) -> socket.socket:
        return self._tls.wrap_socket(accepted, server_side=True) if self._tls else accepted

    def _answers(self, upstream: socket.socket, client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := upstream.recv(65536):
                time.sleep(self.delay)
                if self.trickle:
                    for byte in data:
                        client.sendall(bytes([byte]))
                        time.sleep(0.05)
                else:
                    client.sendall(data)
        with contextlib.suppress(OSError):
            client.shutdown(socket.SHUT_RDWR)
