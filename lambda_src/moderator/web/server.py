"""Serves the Lambda's handler over plain HTTP: on your own machine, or from the image in a container.

Each connection has a thread. `connection.py` speaks the protocol, `gateway.py` asks the handler.
"""

from __future__ import annotations

import argparse
import errno
import logging
import os
import resource
import signal
import socket
import socketserver
import sys
import threading
import time
from pathlib import Path
from typing import Any

from moderator.clip.model import read_model
from moderator.errors import ConfigurationError
from moderator.settings import read_settings
from moderator.web.answers.caveats import DEMO_MODEL
from moderator.web.connection import MOST_BODY_BYTES, Connection, Log, Patience
from moderator.web.cors import Cors, read_cors
from moderator.web.gateway import Gateway, Handler

_EXAMPLE = Path(__file__).resolve().parents[2] / "demo_model" / "example.png"

_LOG = logging.getLogger("server")

# Connections beyond these wait: each has a thread.
_MOST_CONNECTIONS = 512
# File descriptors kept for what requests themselves open: the store, the text tower.
_KEPT_FREE = 24


def make_server(
    handler: Handler,
    port: int,
    *,
    host: str = "127.0.0.1",
    cors: Cors = Cors(localhost=True),  # noqa: B008 - a frozen value
    log_details: bool = False,
    patience: Patience = Patience(),  # noqa: B008 - a frozen value
    log: Log = _LOG.info,
    most_bytes: int = MOST_BODY_BYTES,
) -> Server:
    """Make a server of `handler`; port 0 takes a free one.

    Raises:
        OSError: the host is not known, or the port cannot be used.
    """
    gateway = Gateway(handler, cors=cors, log_details=log_details)

    def serve(client: socket.socket) -> None:
        Connection(client, gateway, patience=patience, log=log, most_bytes=most_bytes).serve()

    return Server(host, port, serve)


class Server(socketserver.ThreadingTCPServer):
    """Accepts connections, as many as there are file descriptors for; the others wait until one ends."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, host: str, port: int, serve: Any) -> None:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        self.address_family = family
        self._serve = serve
        self._places = threading.Semaphore(_connections_possible())
        super().__init__(address, socketserver.BaseRequestHandler)  # type: ignore[arg-type]  # getaddrinfo's own address

    @property
    def port(self) -> int:
        """The port that was taken."""
        return int(self.socket.getsockname()[1])

    def server_bind(self) -> None:
        """Bind; where all IPv6 addresses are asked for, accept IPv4 too."""
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept the next connection if there is a place for it; else raise OSError, after which the server goes on."""
        if not self._places.acquire(timeout=0.2):
            raise TimeoutError
        try:
            return super().get_request()
        except OSError as error:
            self._places.release()
            if error.errno in (errno.EMFILE, errno.ENFILE):
                time.sleep(0.2)  # the connection stays in the queue, and would be reported again at once
            raise

    def finish_request(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - socketserver's
        """Serve one connection, in its own thread."""
        self._serve(request)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - socketserver's
        """Log a bug; the server goes on."""
        _LOG.exception("A connection's thread failed; this is a bug.")

    def shutdown_request(self, request: Any) -> None:
        """Close a connection and free its place."""
        super().shutdown_request(request)
        self._places.release()


def _connections_possible() -> int:
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if allowed == resource.RLIM_INFINITY:
        return _MOST_CONNECTIONS
    opened = len(os.listdir("/dev/fd"))  # noqa: PTH208 - its entries are numbers, not paths
    return max(1, min(_MOST_CONNECTIONS, allowed - opened - _KEPT_FREE))


def main() -> None:
    """Serve until interrupted."""
    options = _parse()
    port = _port(options.port)
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    _LOG.setLevel(logging.INFO)
    # One short line for each request is enough for a person; the metrics and the JSON log are for CloudWatch.
    os.environ.setdefault("POWERTOOLS_METRICS_DISABLED", "true")
    os.environ.setdefault("POWERTOOLS_LOG_LEVEL", "WARNING")
    try:
        cors = read_cors(options.cors_origins)
        settings = read_settings(os.environ)
        from moderator.handler import handler
    except ConfigurationError as error:
        sys.exit(f"The service cannot start. {error}")
    host = options.host.strip("[]")
    try:
        # A little more than the service takes, so that it says itself what is too much.
        most = max(MOST_BODY_BYTES, settings.max_body_bytes)
        server = make_server(handler, port, host=host, cors=cors, log_details=settings.log_labels, most_bytes=most)
    except socket.gaierror as error:
        sys.exit(f"HOST is {host!r}, which is not an address of this machine ({error.strerror}).")
    except OSError as error:
        sys.exit(f"Port {options.port} of {host} cannot be used ({error.strerror}): choose another with PORT=.")
    # What `docker stop` sends; as a container's first process, Python would otherwise ignore it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    model = read_model(settings.model_dir)
    caveat = DEMO_MODEL if model.is_demo else ""
    print(
        _greeting(host, server.port, settings.model_dir.name, megabytes=settings.max_body_bytes / 1e6, caveat=caveat),
        flush=True,
    )
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        print()


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m moderator.web.server", description="Serve the classifier.")
    parser.add_argument("--host", default="127.0.0.1", help="the address; 0.0.0.0 or :: for all of them")
    parser.add_argument("--port", default="8080")
    parser.add_argument("--cors-origins", default="localhost", help="origins whose pages may ask; or *; or nothing")
    return parser.parse_args()


def _port(text: str) -> int:
    if text.isascii() and text.isdigit() and len(text) <= 5 and int(text) <= 65535:
        return int(text)
    sys.exit(f"PORT is {text!r}: it must be a whole number from 0 to 65535.")


def _greeting(host: str, port: int, model: str, *, megabytes: float, caveat: str) -> str:
    everywhere = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared with, not bound to
    name = everywhere.get(host, host)
    url = f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}"
    to_all = " and on every other address of this machine" if host in everywhere else ""
    greeting = (
        f"Serving {model} on {url}{to_all}: a page to try it with, and {url}/docs for programs\n"
        f"A request may have {megabytes:g} MB here. "
        "Deployed on AWS, a picture may have about 4.5 MB: Lambda takes 6 MB, in base64.\n"
    )
    if caveat:
        greeting += f"{caveat}\n"
    if not _EXAMPLE.is_file():
        return greeting
    example = os.path.relpath(_EXAMPLE)
    return f"""{greeting}
Try it:
  curl -s '{url}/classify?label=a+red+circle&label=a+blue+square&label=a+green+star' \\
    -H 'Content-Type: image/png' --data-binary @{example}
  curl -s '{url}/moderate?policy=demo' -H 'Content-Type: image/png' --data-binary @{example}

Or as JSON:
  (printf '{{"labels": ["a red circle", "a blue square"], "image_data": "'
   base64 < {example}; printf '"}}') | tr -d '\\n' | curl -s {url}/classify --json @-
"""


if __name__ == "__main__":
    main()
