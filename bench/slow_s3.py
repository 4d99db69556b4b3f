"""An S3 that is as far away as the real one: each answer's first byte takes its time. `python -m bench.slow_s3 MS`.

It has a picture under every key, one of forty; what is written is forgotten. Its first line of output is its port.
"""

from __future__ import annotations

import hashlib
import re
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from bench import pictures

_DIFFERENT = 40
_EMPTY = b"<?xml version='1.0'?><ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>"
_MISSING = b"<?xml version='1.0'?><Error><Code>NoSuchKey</Code></Error>"


def items(first: int, count: int) -> list[dict[str, Any]]:
    """Return what a listing says of some pictures, as a distributed map hands it on."""
    those = pictures.thumbnails(_DIFFERENT)
    return [
        {"Key": f"in/{number:06}.jpg", "Size": len(data), "Etag": f'"{_e_tag(data)}"'}
        for number in range(first, first + count)
        for data in [those[number % _DIFFERENT]]
    ]


def serve(latency: float) -> None:
    """Answer until the process is ended; `latency` is in seconds."""
    those = pictures.thumbnails(_DIFFERENT)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # Or a body would wait for the client's delayed acknowledgement of the head: 40 ms more.
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            time.sleep(latency)
            found = re.search(r"/in/(\d+)\.jpg$", self.path)
            if "list-type=2" in self.path:
                self._answer(200, _EMPTY)
            elif found is None:
                self._answer(404, _MISSING)
            else:
                data = those[int(found[1]) % _DIFFERENT]
                whole = f"bytes 0-{len(data) - 1}/{len(data)}"
                self._answer(206, data, {"ETag": f'"{_e_tag(data)}"', "Content-Range": whole})

        def do_PUT(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            time.sleep(latency)
            self._answer(200, b"", {"ETag": '"0"'})

        def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
            self.send_response(status)
            for name, value in {**(headers or {}), "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            return

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 64

    with Server(("127.0.0.1", 0), Handler) as server:
        print(server.server_port, flush=True)
        server.serve_forever()


def _e_tag(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


if __name__ == "__main__":
    serve(float(sys.argv[1]) / 1000)
