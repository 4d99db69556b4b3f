"""What the tests share: the service over real HTTP, and a real store."""

from __future__ import annotations

import http.client
import json
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis

from moderator.handler import Handler
from moderator.web.server import make_server

LAMBDA_SRC = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Reply:
    """An HTTP answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def label_cache(self) -> dict[str, int]:
        pairs = (pair.split("=") for pair in self.headers["x-label-cache"].split(", "))
        return {name: int(count) for name, count in pairs}


@dataclass(frozen=True)
class Service:
    """A running service, spoken to over HTTP."""

    port: int

    def request(
        self, method: str, target: str, body: bytes | str | None = None, headers: dict[str, str] | None = None
    ) -> Reply:
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)) as connection:
            connection.request(method, target, body, headers or {})
            response = connection.getresponse()
            return Reply(
                response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
            )

    def get(self, target: str) -> Reply:
        return self.request("GET", target)

    def classify(self, **fields: Any) -> Reply:
        return self.post_json(json.dumps(fields))

    def post_json(self, body: str | bytes) -> Reply:
        return self.request("POST", "/classify", body, {"Content-Type": "application/json"})

    def post_form(self, target: str, parts: Sequence[tuple[str, bytes]]) -> Reply:
        """Send `parts`, names and values, as multipart/form-data; those named image as files, as browsers send them."""
        boundary = "a-boundary-that-no-picture-holds"
        body = b"".join(
            f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"'.encode()
            + (b'; filename="x.png"\r\nContent-Type: image/png' if name == "image" else b"")
            + b"\r\n\r\n"
            + value
            + b"\r\n"
            for name, value in parts
        )
        kind = f"multipart/form-data; boundary={boundary}"
        return self.request("POST", target, body + f"--{boundary}--\r\n".encode(), {"Content-Type": kind})

    def post_picture(self, data: bytes, query: str, content_type: str = "image/png") -> Reply:
        return self.request("POST", f"/classify?{query}", data, {"Content-Type": content_type})


@contextmanager
def serving(handler: Handler, **options: Any) -> Iterator[Service]:
    """Serve `handler` on a free port, in a thread."""
    with make_server(handler, 0, **options) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield Service(server.port)
        finally:
            server.shutdown()
            thread.join()


StartService = Callable[..., Service]


@dataclass
class RedisServer:
    """A real server, on a port of its own, that tests may stop and start."""

    folder: Path
    port: int
    options: list[str] = field(default_factory=list)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    @property
    def client(self) -> Any:  # redis-py's answers are typed as asynchronous too
        return redis.Redis(port=self.port)

    def start(self) -> None:
        program = shutil.which("redis-server") or shutil.which("valkey-server")
        assert program, "redis-server or valkey-server is needed: make test installs it"
        self.process = subprocess.Popen(
            [
                program,
                "--port",
                str(self.port),
                "--bind",
                "127.0.0.1",
                "--save",
                "",
                "--dir",
                str(self.folder),
                *self.options,
            ],
            stdout=subprocess.DEVNULL,
        )
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                time.sleep(0.02)
            else:
                return
        raise AssertionError("the Redis server did not start")

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
