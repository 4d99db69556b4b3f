"""A server that answers as Lambda's own API does, as far as the program asks it."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass
class LambdaApi:
    """One function: its versions, the aliases, and what it answers."""

    versions: dict[str, dict[str, Any]] = field(default_factory=lambda: {"7": {}})
    aliases: dict[str, str] = field(default_factory=dict)
    # Of each version: the states that it says it is in, one after the other; the last one stays.
    states: list[str] = field(default_factory=lambda: ["Active"])
    answer: str = '{"statusCode": 500}'
    refuses: bool = False
    asked: list[str] = field(default_factory=list)
    url: str = ""

    @contextmanager
    def serving(self) -> Iterator[LambdaApi]:
        api = self

        class Handler(BaseHTTPRequestHandler):
            def _answer(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                status, body = api.reply(self.command, self.path)
                self.send_response(status)
                if status == 403:
                    self.send_header("x-amzn-ErrorType", "AccessDeniedException")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = do_DELETE = _answer  # noqa: N815  # http.server's own names

            def log_message(self, *_: object) -> None:
                """Keep the tests' output quiet."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.block_on_close = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        self.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield self
        finally:
            server.shutdown()
            thread.join()
            server.server_close()

    def reply(self, method: str, target: str) -> tuple[int, bytes]:
        path, query = urlsplit(target).path, parse_qs(urlsplit(target).query)
        version = query.get("Qualifier", [""])[0]
        found = re.fullmatch(r"/2015-03-31/functions/[\w-]+/?(\w*)", path)
        assert found, path
        self.asked.append(f"{method} {found[1] or 'function'} {version}".strip())
        if self.refuses:
            return 403, b'{"Message": "not allowed"}'
        match method, found[1]:
            case "GET", "configuration":
                state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
                return 200, json.dumps({"Version": version, "State": state, "StateReason": "why"}).encode()
            case "GET", "versions":
                listed = [{"Version": number, **more} for number, more in self.versions.items()]
                return 200, json.dumps({"Versions": [{"Version": "$LATEST"}, *listed]}).encode()
            case "GET", "aliases":
                listed = [{"Name": name, "FunctionVersion": number} for name, number in self.aliases.items()]
                return 200, json.dumps({"Aliases": listed}).encode()
            case "POST", "invocations":
                return 200, self.answer.encode()
            case "DELETE", "":
                # Without a version this would be the whole function.
                del self.versions[version]
                return 204, b""
        raise AssertionError(f"unexpected: {method} {target}")
