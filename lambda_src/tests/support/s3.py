"""A server that answers as S3 does for its objects, and takes no request but one that botocore would sign likewise."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

KEYS = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret/+=", "AWS_SESSION_TOKEN": "session/+="}
REGION = "eu-central-1"


@dataclass
class S3:
    """Objects by bucket and name, and what was asked for."""

    objects: dict[tuple[str, str], bytes]
    url: str = ""
    asked: list[tuple[str, str]] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    # Answered instead of an object: a status and S3's name of the error.
    refuses: tuple[int, str] | None = None

    def environment(self) -> dict[str, str]:
        """The variables of a service that reads here."""
        return {"AWS_ENDPOINT_URL_S3": self.url, "AWS_REGION": REGION, **KEYS}

    def answer(self, target: str, headers: Mapping[str, str]) -> tuple[int, bytes]:
        """Return the status and the body."""
        if wrong := self._wrong(target, headers):
            self.refused.append(wrong)
            return 403, b"<Error><Code>SignatureDoesNotMatch</Code></Error>"
        if self.refuses:
            return self.refuses[0], f"<Error><Code>{self.refuses[1]}</Code></Error>".encode()
        parts = urlsplit(target)
        bucket, _, name = unquote(parts.path).lstrip("/").partition("/")
        self.asked.append((bucket, name + (f"?{parts.query}" if parts.query else "")))
        data = self.objects.get((bucket, name))
        if data is None:
            return 404, b"<Error><Code>NoSuchKey</Code></Error>"
        most = int(headers["range"].removeprefix("bytes=0-")) + 1
        return (206, data[:most]) if data else (416, b"<Error><Code>InvalidRange</Code></Error>")

    def _wrong(self, target: str, headers: Mapping[str, str]) -> str:
        names = headers["authorization"].partition("SignedHeaders=")[2].partition(",")[0].split(";")
        request = AWSRequest(method="GET", url=f"http://{headers['host']}{target}", data=b"")
        for name in names:
            request.headers[name] = headers[name]
        request.context["timestamp"] = headers["x-amz-date"]
        credentials = Credentials(KEYS["AWS_ACCESS_KEY_ID"], KEYS["AWS_SECRET_ACCESS_KEY"], KEYS["AWS_SESSION_TOKEN"])
        signer = S3SigV4Auth(credentials, "s3", REGION)
        signature = signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request)
        if not headers["authorization"].endswith(f"Signature={signature}"):
            return f"another signature: {target} {headers['authorization']}"
        return (
            "" if {"host", "x-amz-date", "x-amz-content-sha256", "x-amz-security-token"} <= set(names) else "unsigned"
        )


@contextmanager
def s3(objects: dict[tuple[str, str], bytes]) -> Iterator[S3]:
    """Serve these objects."""
    service = S3(objects)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, content = service.answer(self.path, headers)
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Keep the tests' output quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    service.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield service
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
