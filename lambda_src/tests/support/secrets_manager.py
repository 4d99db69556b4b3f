"""A server that answers as AWS Secrets Manager does, and takes no request but one that botocore would sign likewise."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

ARN = "arn:aws:secretsmanager:eu-west-3:111122223333:secret:store-AbCdEf"
KEYS = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret/+=", "AWS_SESSION_TOKEN": "session/+="}


@dataclass
class SecretsManager:
    """One secret, and how often it was read."""

    secret: str
    url: str = ""
    reads: int = 0
    # Answered instead of the secret: a status and AWS' name of the error.
    refuses: tuple[int, str] | None = None
    refused: list[str] = field(default_factory=list)

    def environment(self) -> dict[str, str]:
        """The variables of a service that reads it."""
        return {
            "CACHE_CREDENTIALS_ARN": ARN,
            "CACHE_CREDENTIALS_URL": self.url,
            "AWS_REGION": "eu-central-1",
            **KEYS,
        }

    def answer(self, headers: dict[str, str], body: bytes) -> tuple[int, object]:
        wrong = self._wrong(headers, body)
        if wrong:
            self.refused.append(wrong)
            return 400, {"__type": "InvalidSignatureException", "message": wrong}
        if self.refuses:
            status, name = self.refuses
            return status, {"__type": f"com.amazonaws#{name}", "message": f"no {self.secret}"}
        self.reads += 1
        return 200, {"ARN": ARN, "Name": "store", "VersionId": "v" * 32, "SecretString": self.secret}

    def _wrong(self, headers: dict[str, str], body: bytes) -> str:
        if headers.get("x-amz-target") != "secretsmanager.GetSecretValue" or json.loads(body) != {"SecretId": ARN}:
            return f"another call: {headers.get('x-amz-target')} {body!r}"
        names = headers["authorization"].partition("SignedHeaders=")[2].partition(",")[0].split(";")
        request = AWSRequest(method="POST", url=f"http://{headers['host']}/", data=body)
        for name in names:
            request.headers[name] = headers[name]
        request.context["timestamp"] = headers["x-amz-date"]
        credentials = Credentials(KEYS["AWS_ACCESS_KEY_ID"], KEYS["AWS_SECRET_ACCESS_KEY"], KEYS["AWS_SESSION_TOKEN"])
        signer = SigV4Auth(credentials, "secretsmanager", "eu-west-3")
        signature = signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request)
        expected = f"AWS4-HMAC-SHA256 Credential={signer.scope(request)}, SignedHeaders={';'.join(names)}, "
        if headers["authorization"] != f"{expected}Signature={signature}":
            return f"another signature: {headers['authorization']}"
        needed = {"host", "x-amz-date", "x-amz-target", "x-amz-security-token"}
        return (
            "" if needed <= set(names) and headers["x-amz-security-token"] == KEYS["AWS_SESSION_TOKEN"] else "unsigned"
        )


@contextmanager
def secrets_manager(secret: str, certificate: Path | None = None) -> Iterator[SecretsManager]:
    """Serve one secret, by TLS where there is a certificate."""
    service = SecretsManager(secret)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status, answer = service.answer({name.lower(): value for name, value in self.headers.items()}, body)
            content = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Keep the tests' output quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if certificate:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certificate, certificate.with_suffix(".key"))
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    service.url = f"http{'s' if certificate else ''}://127.0.0.1:{server.server_port}"
    try:
        yield service
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
