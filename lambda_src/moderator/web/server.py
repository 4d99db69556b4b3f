"""The same handler on localhost, through the same events that API Gateway sends; for trying and for tests.

Requests are answered one at a time, as one Lambda instance does.
"""

from __future__ import annotations

import argparse
import base64
import json
import logging
import os
import sys
import threading
import uuid
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from moderator.errors import ConfigurationError, TooMuch
from moderator.settings import read_settings

if TYPE_CHECKING:
    from moderator.handler import Handler

_EXAMPLE = Path(__file__).resolve().parents[2] / "demo_model" / "example.png"

_LOG = logging.getLogger("server")

# API Gateway's own limit: a client meets the same one here. https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html
_MAX_BODY_BYTES = 10 * 1024 * 1024


def event_of(*, method: str, target: str, headers: dict[str, str], body: bytes) -> dict[str, Any]:
    """Make the event (payload version 2) that API Gateway would send for this request."""
    parts = urlsplit(target)
    names = {name.lower(): value for name, value in headers.items()}
    textual = names.get("content-type", "").startswith(("application/json", "text/"))
    try:
        text = body.decode("utf-8") if textual or not body else None
    except UnicodeDecodeError:
        text = None
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": unquote(parts.path) or "/",
        "rawQueryString": parts.query,
        "headers": names,
        "requestContext": {
            "http": {"method": method, "path": unquote(parts.path), "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1"},
            "requestId": str(uuid.uuid4()),
            "stage": "$default",
        },
        "body": base64.b64encode(body).decode() if text is None else text,
        "isBase64Encoded": text is None,
    }


def make_server(handler: Handler, port: int) -> ThreadingHTTPServer:
    """Make a server of `handler` on 127.0.0.1; port 0 takes a free one."""
    turn = threading.Lock()

    class RequestHandler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 60
        # Or each answer's body would wait 40 ms for the client to acknowledge its head.
        disable_nagle_algorithm = True

        def answer(self) -> None:
            if self.headers.get("Transfer-Encoding"):
                return self._answer(self._chunks())
            length = self.headers.get("Content-Length", "0")
            if not (length.isascii() and length.isdigit()):
                return self._refuse(HTTPStatus.BAD_REQUEST, "Content-Length must be a whole number.")
            if int(length) > _MAX_BODY_BYTES:
                problem = TooMuch(f"The body has {int(length):,} bytes: at most {_MAX_BODY_BYTES:,} are read.")
                return self._refuse(problem.status, problem.detail)
            return self._answer(self.rfile.read(int(length)))

        def _chunks(self) -> bytes:
            # https://www.rfc-editor.org/rfc/rfc9112#name-chunked-transfer-coding
            body = b""
            while size := int(self.rfile.readline().split(b";")[0], 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return body

        def _answer(self, body: bytes) -> None:
            event = event_of(method=self.command, target=self.path, headers=dict(self.headers), body=body)
            context = SimpleNamespace(function_name="local", aws_request_id=event["requestContext"]["requestId"])
            try:
                with turn:
                    response = handler(event, context)
            except Exception:  # noqa: BLE001 - the server goes on, whatever a bug raises
                # Lambda reports the error to CloudWatch, and API Gateway answers for it.
                _LOG.exception("The handler failed; this is a bug.")
                return self._refuse(HTTPStatus.INTERNAL_SERVER_ERROR, "The service failed; its log says why.")
            return self._send(response)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_OPTIONS = answer  # noqa: N815 - http.server's

        def _send(self, response: dict[str, Any]) -> None:
            body = response.get("body") or ""
            data = base64.b64decode(body) if response.get("isBase64Encoded") else body.encode()
            headers = response.get("headers") or {}
            multiple = response.get("multiValueHeaders") or {}
            self.send_response(response["statusCode"])
            for name, value in headers.items():
                self.send_header(name, value)
            for name, values in multiple.items():
                self.send_header(name, ", ".join(values))
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)

        def _refuse(self, status: HTTPStatus, detail: str) -> None:
            """Answer without the handler, and close: the body was not read."""
            self.close_connection = True
            body = json.dumps({"type": "about:blank", "title": status.phrase, "status": int(status), "detail": detail})
            self._send(
                {
                    "statusCode": int(status),
                    "headers": {"Content-Type": "application/problem+json", "Connection": "close"},
                    "body": body,
                }
            )

        def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
            """Answer what http.server itself refuses as all else is refused, instead of with a page of HTML."""
            # To http.server a method that it does not know is not implemented; to a client it is not allowed.
            status = HTTPStatus.METHOD_NOT_ALLOWED if code == HTTPStatus.NOT_IMPLEMENTED else HTTPStatus(code)
            self._refuse(status, f"{message or explain or status.description}.")

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's name
            """Stay silent: the service logs each request itself."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128

    return Server(("127.0.0.1", port), RequestHandler)


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(description="Serve the classifier on http://127.0.0.1:PORT.")
    parser.add_argument("--port", type=int, default=8080)
    port = parser.parse_args().port
    try:
        from moderator.handler import handler
    except ConfigurationError as error:
        sys.exit(f"The service cannot start. {error}")
    try:
        server = make_server(handler, port)
    except OSError as error:
        sys.exit(f"Port {port} cannot be used ({error.strerror}): choose another with PORT=.")
    _greet(server.server_port)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        print()


def _greet(port: int) -> None:
    settings = read_settings(os.environ)
    url = f"http://127.0.0.1:{port}"
    example = os.path.relpath(_EXAMPLE)
    print(
        f"""Serving {settings.model_dir.name} on {url} - read and try it at {url}/docs

Try it:
  curl -s '{url}/classify?label=a+red+circle&label=a+blue+square&label=a+green+star' \\
    -H 'Content-Type: image/png' --data-binary @{example}

Or as JSON:
  (printf '{{"labels": ["a red circle", "a blue square"], "image_data": "'
   base64 < {example}; printf '"}}') | tr -d '\\n' | curl -s {url}/classify --json @-
""",
        flush=True,
    )


if __name__ == "__main__":
    main()
