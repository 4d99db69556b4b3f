"""HTTP as bytes over a socket, for what no client library would send."""

from __future__ import annotations

import http.client
import socket

from support.harness import Reply

HOST = b"Host: x\r\n"


def exchange(port: int, data: bytes, *, half_close: bool = False, host: str = "127.0.0.1") -> Reply:
    """Send `data`, close our own side where asked to, and read one answer."""
    with socket.create_connection((host, port), timeout=60) as client:
        client.sendall(data)
        if half_close:
            client.shutdown(socket.SHUT_WR)
        return read_reply(client, head_only=data.startswith(b"HEAD "))


def read_reply(client: socket.socket, *, head_only: bool = False) -> Reply:
    """Read one answer."""
    response = http.client.HTTPResponse(client, method="HEAD" if head_only else "GET")
    response.begin()
    headers = {name.lower(): value for name, value in response.getheaders()}
    return Reply(response.status, headers, response.read())
