"""CloudWatch Logs as far as reading a log goes: what is asked and what is answered are held to botocore's own model."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from botocore.session import Session
from botocore.validate import ParamValidator

_TARGET = "Logs_20140328.FilterLogEvents"
# Few, so that there are several pages.
_EVENTS_A_PAGE = 50


@dataclass
class CloudWatchLogs:
    """One group of lines; those of the first `late` questions are still under way."""

    group: str
    lines: list[dict[str, Any]]
    late: int = 0
    url: str = ""
    asked: list[dict[str, Any]] = field(default_factory=list)

    def answer(self, target: str, question: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Answer one call: a status and what the body holds."""
        operation = Session().get_service_model("logs").operation_model("FilterLogEvents")
        problems = ParamValidator().validate(question, operation.input_shape)
        if target != _TARGET or problems.has_errors():
            return 400, {"__type": "InvalidParameterException", "message": problems.generate_report() or target}
        if question["logGroupName"] != self.group:
            return 400, {"__type": "ResourceNotFoundException", "message": "The specified log group does not exist."}
        self.asked.append(question)
        hidden = len(self.lines) // 2 if len([one for one in self.asked if "nextToken" not in one]) <= self.late else 0
        since = question.get("startTime", 0)
        seen = [line for line in self.lines[: len(self.lines) - hidden] if line["timestamp"] >= since]
        begin = int(question.get("nextToken", "0"))
        end = begin + _EVENTS_A_PAGE
        answer: dict[str, Any] = {"events": seen[begin:end], "searchedLogStreams": []}
        if end < len(seen):
            answer["nextToken"] = str(end)
        wrong = ParamValidator().validate(answer, operation.output_shape)
        assert not wrong.has_errors(), wrong.generate_report()
        return 200, answer


@contextmanager
def cloudwatch_logs(group: str, lines: list[dict[str, Any]], late: int = 0) -> Iterator[CloudWatchLogs]:
    """Serve one log group."""
    logs = CloudWatchLogs(group, lines, late)

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            question = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status, answer = logs.answer(self.headers["X-Amz-Target"], question)
            content = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/x-amz-json-1.1")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
            self.close_connection = True

        def log_message(self, format: str, *args: object) -> None:
            """Stay silent."""

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        logs.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield logs
        finally:
            server.shutdown()
            thread.join()
