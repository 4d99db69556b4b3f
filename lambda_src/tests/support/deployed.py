"""A deployed stack's outside on this machine: an HTTP API, a Lambda of several instances, and its log.

Each instance is AWS' own runtime client with the real handler. An idle instance is taken before a new one is started,
as in Lambda; after each invocation stand the lines that Lambda writes itself, with measured times and memory.
"""

from __future__ import annotations

import http.server
import math
import threading
import time
import uuid
from base64 import b64decode
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from moderator.web.gateway import event_of
from support.runtime_api import RuntimeApi, runtime, runtime_api
from support.server_process import Process

MEMORY_MB = 1769
FUNCTION = "moderator"

# Between an invocation's answer and the instance's next one; requests that arrive together find it busy.
_OVERHEAD = 0.01

# Method, target, headers and body -> the status of a refusal, or None.
Guard = Callable[[str, str, Mapping[str, str], bytes], int | None]
Lines = list[dict[str, Any]]  # as FilterLogEvents gives them


@dataclass
class Instance:
    """One process, and its stream in the log."""

    api: RuntimeApi
    process: Process
    init_ms: float | None  # of a start whose invocation has not come yet
    stream: str = field(default_factory=lambda: f"2026/01/01/[1]{uuid.uuid4().hex}")
    read: int = 0


@dataclass
class Deployed:
    """The stack: its address, its log, and what it really took."""

    folder: Path
    environments: list[dict[str, str]]  # an instance each: there are no more of them
    guard: Guard
    stack: ExitStack
    url: str = ""
    lines: Lines = field(default_factory=list)
    billed_ms: list[int] = field(default_factory=list)
    _idle: list[Instance] = field(default_factory=list)
    _started: int = 0
    _change: threading.Condition = field(default_factory=threading.Condition)

    def answer(self, event: dict[str, Any]) -> Any:
        """Answer an event as Lambda does, and write its log."""
        instance = self._take()
        began = time.perf_counter()
        report = instance.api.invoke(event)
        milliseconds = 1000 * (time.perf_counter() - began)
        time.sleep(_OVERHEAD)
        with self._change:
            self._write(instance, milliseconds)
            self._idle.append(instance)
            self._change.notify()
        return report.body

    def _take(self) -> Instance:
        with self._change:
            while not self._idle and self._started == len(self.environments):
                self._change.wait()
            if self._idle:
                return self._idle.pop()
            number = self._started
            self._started += 1
        folder = self.folder / f"instance-{number}"
        folder.mkdir()
        began = time.perf_counter()
        variables = {"PYTHONUNBUFFERED": "1", **self.environments[number]}
        with self._change:
            api = self.stack.enter_context(runtime_api())
            process = self.stack.enter_context(runtime(api, folder, variables))
        assert api.ready.wait(timeout=60), process.log
        return Instance(api, process, init_ms=1000 * (time.perf_counter() - began))

    def _write(self, instance: Instance, milliseconds: float) -> None:
        # https://docs.aws.amazon.com/lambda/latest/dg/python-logging.html; what a container's start takes is billed.
        name = uuid.uuid4()
        billed = math.ceil(milliseconds + (instance.init_ms or 0))
        init = "" if instance.init_ms is None else f"Init Duration: {instance.init_ms:.2f} ms\t"
        log = instance.process.log
        messages = [
            f"START RequestId: {name} Version: 1\n",
            *(f"{line}\n" for line in log[instance.read :].splitlines()),
            f"END RequestId: {name}\n",
            f"REPORT RequestId: {name}\tDuration: {milliseconds:.2f} ms\tBilled Duration: {billed} ms\t"
            f"Memory Size: {MEMORY_MB} MB\tMax Memory Used: {instance.process.peak_bytes >> 20} MB\t{init}\n",
        ]
        instance.read, instance.init_ms = len(log), None
        self.billed_ms.append(billed)
        now = int(time.time() * 1000)
        self.lines += [{"logStreamName": instance.stream, "timestamp": now, "message": one} for one in messages]


@contextmanager
def deployed(folder: Path, environments: list[dict[str, str]], guard: Guard = lambda *_: None) -> Iterator[Deployed]:
    """Serve a stack with at most as many instances as there are environments."""
    with ExitStack() as stack:
        found = Deployed(folder, environments, guard, stack)
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _handler_of(found))
        server.daemon_threads = True
        found.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield found
        finally:
            server.shutdown()
            thread.join()
            server.server_close()


def _handler_of(found: Deployed) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            self._ask()

        def do_POST(self) -> None:
            self._ask()

        def _ask(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            refusal = found.guard(self.command, self.path, dict(self.headers.items()), body)
            if refusal is not None:
                return self._answer(refusal, {"Content-Type": "application/json"}, b'{"message":"Forbidden"}')
            event = event_of(method=self.command, target=self.path, headers=dict(self.headers.items()), body=body)
            answer = found.answer(event)
            text = answer["body"]
            content = b64decode(text) if answer.get("isBase64Encoded") else text.encode()
            return self._answer(answer["statusCode"], answer["headers"], content)

        def _answer(self, status: int, headers: Mapping[str, str], content: bytes) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            """Stay silent."""

    return Handler
