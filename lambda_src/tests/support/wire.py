"""Sends the very bytes of a request, and reads the answer: what an HTTP library would add or reorder stays out."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Iterable

from support.harness import Reply, Service


def exchange(service: Service, pieces: Iterable[bytes]) -> Reply:
    """Send `pieces` one after the other, and return the answer; `{port}` stands for the service's port in the first."""
    with socket.create_connection(("127.0.0.1", service.port), timeout=60) as connection:
        for number, piece in enumerate(pieces):
            connection.sendall(piece if number else piece.replace(b"{port}", str(service.port).encode()))
        response = http.client.HTTPResponse(connection, method="POST")
        response.begin()
        headers = {name.lower(): value for name, value in response.getheaders()}
        return Reply(response.status, headers, response.read())
