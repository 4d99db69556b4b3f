"""A server that answers as Lambda's own API does, and CloudWatch's, as far as the program asks them."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

ERRORS = {403: "AccessDeniedException", 409: "ResourceConflictException", 404: "ResourceNotFoundException"}


@dataclass
class LambdaApi:
    """One function: its versions, the aliases, and what it answers."""

    versions: dict[str, dict[str, Any]] = field(default_factory=lambda: {"7": {}})
    aliases: dict[str, str] = field(default_factory=dict)
    # What shares the requests to an alias with its version; all that was ever set, in order, is in `shared`.
    weights: dict[str, dict[str, float]] = field(default_factory=dict)
    shared: list[dict[str, float]] = field(default_factory=list)
    # Whose credentials these are: a function is looked for there, unless its whole name says where it is.
    account: str = "111122223333"
    # Of the canary's alarm, as `states`; ENDED for credentials that end there.
    alarm_states: list[str] = field(default_factory=lambda: ["OK"])
    # Of each version: the states that it says it is in, one after the other; the last one stays.
    states: list[str] = field(default_factory=lambda: ["Active"])
    answer: str = '{"statusCode": 500}'
    refuses: bool = False
    # Versions that cannot be deleted.
    held: frozenset[str] = frozenset()
    asked: list[str] = field(default_factory=list)
    url: str = ""

    @contextmanager
    def serving(self) -> Iterator[LambdaApi]:
        api = self

        class Handler(BaseHTTPRequestHandler):
            def _answer(self) -> None:
                sent = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                status, body = api.reply(self.command, self.path, sent)
                assert self.path != "/" or self.headers["x-amz-target"].endswith(".DescribeAlarms"), sent
                self.send_response(status)
                if status in ERRORS:
                    self.send_header("x-amzn-ErrorType", ERRORS[status])
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = do_PUT = do_DELETE = _answer  # noqa: N815  # http.server's own names

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

    def reply(self, method: str, target: str, sent: bytes) -> tuple[int, bytes]:
        if target == "/":
            return self._alarm()
        path, query = unquote(urlsplit(target).path), parse_qs(urlsplit(target).query)
        version = query.get("Qualifier", [""])[0]
        found = re.fullmatch(r"/2015-03-31/functions/([\w:-]+)/?(\w*)/?([\w-]*)", path)
        assert found, path
        self.asked.append(f"{method} {found[2] or 'function'} {version or found[3]}".strip())
        if self.refuses or found[1].split(":")[4:5] not in ([], [self.account]):
            return 403, b'{"Message": "not allowed"}'
        match method, found[2]:
            case "GET" | "PUT", "aliases" if found[3]:
                return self._alias(method, found[3], sent)
            case "GET", "configuration":
                state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
                return 200, json.dumps({"Version": version, "State": state, "StateReason": "why"}).encode()
            case "GET", "versions":
                listed = [{"Version": number, **more} for number, more in self.versions.items()]
                return 200, json.dumps({"Versions": [{"Version": "$LATEST"}, *listed]}).encode()
            case "GET", "aliases":
                listed = [self._described(name) for name in self.aliases]
                return 200, json.dumps({"Aliases": listed}).encode()
            case "POST", "invocations":
                return 200, self.answer.encode()
            case "DELETE", "":
                if version in self.held:
                    return 409, b'{"Message": "in use"}'
                # Without a version this would be the whole function.
                del self.versions[version]
                return 204, b""
        raise AssertionError(f"unexpected: {method} {target}")

    def _alias(self, method: str, name: str, sent: bytes) -> tuple[int, bytes]:
        if name not in self.aliases:
            return 404, b'{"Message": "no such alias"}'
        if method == "PUT":
            self.weights[name] = json.loads(sent)["RoutingConfig"]["AdditionalVersionWeights"]
            self.shared.append(self.weights[name])
        return 200, json.dumps(self._described(name)).encode()

    def _described(self, name: str) -> dict[str, Any]:
        weights = self.weights.get(name)
        routing = {"RoutingConfig": {"AdditionalVersionWeights": weights}} if weights else {}
        return {"Name": name, "FunctionVersion": self.aliases[name], **routing}

    def _alarm(self) -> tuple[int, bytes]:
        """Answer DescribeAlarms, the one thing that CloudWatch is asked."""
        self.asked.append("DescribeAlarms")
        self.refuses |= self.alarm_states == ["ENDED"]
        if self.refuses or self.alarm_states == ["REFUSED"]:
            return 403, b'{"__type": "AccessDenied", "message": "not allowed"}'
        state = self.alarm_states.pop(0) if len(self.alarm_states) > 1 else self.alarm_states[0]
        return 200, json.dumps({"MetricAlarms": [{"AlarmName": "canary", "StateValue": state}]}).encode()
