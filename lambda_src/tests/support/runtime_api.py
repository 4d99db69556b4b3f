"""A local Lambda Runtime API, and AWS's own runtime client run against it as Lambda runs it.

https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html. `awslambdaric`, which Lambda's Python images hold, comes
as a wheel for Linux.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal

from support.harness import LAMBDA_SRC
from support.server_process import Process

_VERSION = "/2018-06-01/runtime"
_ARN = "arn:aws:lambda:eu-central-1:123456789012:function:moderator:live"


@dataclass(frozen=True)
class Report:
    """What the runtime posted."""

    kind: Literal["response", "error", "init error"]
    body: Any
    error_type: str | None


@dataclass
class RuntimeApi:
    """The side of Lambda: hands out events and takes what is made of them."""

    events: queue.Queue[tuple[str, bytes]] = field(default_factory=queue.Queue)
    reports: queue.Queue[tuple[str | None, Report]] = field(default_factory=queue.Queue)
    port: int = 0
    # What each event may take.
    seconds: float = 30.0
    # Set when the runtime first asks for an event: its start is over.
    ready: threading.Event = field(default_factory=threading.Event)
    # With SnapStart: set when the snapshot can be taken, and when it is restored.
    restoring: threading.Event = field(default_factory=threading.Event)
    restored: threading.Event = field(default_factory=threading.Event)

    def invoke(self, event: Any) -> Report:
        """Send `event`, and wait for its answer or error."""
        request_id = str(uuid.uuid4())
        self.events.put((request_id, json.dumps(event).encode()))
        answered, report = self.reports.get(timeout=60)
        assert answered == request_id, "another request was answered"
        return report

    def init_error(self) -> Report:
        """Wait for the report of a start that failed."""
        request_id, report = self.reports.get(timeout=60)
        assert request_id is None
        return report


def _handler_of(api: RuntimeApi) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # or each answer's body waits 40 ms for its head to be acknowledged

        def do_GET(self) -> None:
            if self.path == f"{_VERSION}/restore/next":
                api.restoring.set()
                api.restored.wait(timeout=60)
                return self._answer(200)
            if self.path != f"{_VERSION}/invocation/next":
                return self._answer(404)
            api.ready.set()
            request_id, event = api.events.get()
            return self._answer(
                200,
                event,
                {
                    "Content-Type": "application/json",
                    "Lambda-Runtime-Aws-Request-Id": request_id,
                    "Lambda-Runtime-Deadline-Ms": str(int((time.time() + api.seconds) * 1000)),
                    "Lambda-Runtime-Invoked-Function-Arn": _ARN,
                    "Lambda-Runtime-Trace-Id": "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Sampled=0",
                },
            )

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            error_type = self.headers.get("Lambda-Runtime-Function-Error-Type")
            match self.path.removeprefix(_VERSION).split("/")[1:]:
                case ["invocation", request_id, "response"]:
                    api.reports.put((request_id, Report("response", json.loads(body), None)))
                case ["invocation", request_id, "error"]:
                    api.reports.put((request_id, Report("error", json.loads(body), error_type)))
                case ["init", "error"]:
                    api.reports.put((None, Report("init error", json.loads(body), error_type)))
                case _:
                    return self._answer(404)
            return self._answer(202, b'{"status": "OK"}', {"Content-Type": "application/json"})

        def _answer(self, status: int, body: bytes = b"", headers: Mapping[str, str] | None = None) -> None:
            self.send_response(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Stay silent."""

    return Handler


@contextmanager
def runtime_api() -> Iterator[RuntimeApi]:
    """Serve the Runtime API on a free port."""
    api = RuntimeApi()

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False  # the runtime's last question is never answered

    with Server(("127.0.0.1", 0), _handler_of(api)) as server:
        api.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield api
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def runtime(api: RuntimeApi, folder: Path, environment: Mapping[str, str] | None = None) -> Iterator[Process]:
    """Run the function as Lambda does: its runtime client, the handler's name, and Lambda's own variables."""
    log_file = folder / "runtime.log"
    variables = {
        "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{api.port}",
        "AWS_LAMBDA_FUNCTION_NAME": "moderator",
        "AWS_LAMBDA_FUNCTION_VERSION": "1",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1769",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_REGION": "eu-central-1",
        "LAMBDA_TASK_ROOT": str(LAMBDA_SRC),
        "PYTHONPATH": str(LAMBDA_SRC),
        "_HANDLER": "moderator.handler.handler",
    }
    with (
        log_file.open("wb") as log,
        subprocess.Popen(
            [sys.executable, "-m", "awslambdaric", variables["_HANDLER"]],
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=LAMBDA_SRC,
            env=os.environ | variables | dict(environment or {}),
        ) as process,
    ):
        try:
            yield Process(process, log_file)
        finally:
            process.kill()
