"""Requests to S3 are counted as S3 bills them: each that it answers, by whichever process it was sent."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from botocore.exceptions import ClientError

from bench.slow_s3 import items
from moderator.jobs.build import build_worker
from moderator.jobs.clients import Clients
from moderator.jobs.judge_process import JudgeProcess
from moderator.jobs.line import Line
from moderator.jobs.requests import Answered
from moderator.jobs.sources import Source
from moderator.jobs.worker_settings import WorkerSettings
from moderator.settings import Settings
from support.emulator import ROOT

pytestmark = pytest.mark.slow


class Busy(BaseHTTPRequestHandler):
    """Answers every other request with 503, and with nothing wherever that is an answer."""

    protocol_version = "HTTP/1.1"
    asked = 0

    def answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", "0")))
        type(self).asked += 1
        self.send_response(503 if type(self).asked % 2 else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_PUT = do_HEAD = do_DELETE = answer  # noqa: N815 - the server's names

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def clients(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clients]:
    Busy.asked = 0
    server = ThreadingHTTPServer(("127.0.0.1", 0), Busy)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    environment = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_DEFAULT_REGION": "eu-central-1"}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{server.server_address[1]}")
    yield Clients()
    server.shutdown()
    server.server_close()


def test_what_s3_fails_at_costs_nothing_and_deleting_neither(clients: Clients) -> None:
    s3 = clients.s3
    named = {"Bucket": "bucket", "Key": "key"}
    s3.get_object(**named)
    s3.head_object(**named)
    s3.get_object_tagging(**named)
    assert clients.requests.take() == Answered(reads=3, writes=0)
    s3.put_object(**named, Body=b"line")
    s3.put_object_tagging(**named, Tagging={"TagSet": []})
    s3.list_objects_v2(Bucket="bucket")
    assert clients.requests.take() == Answered(reads=0, writes=3)
    s3.delete_object(**named)
    assert clients.requests.take() == Answered()
    assert Busy.asked == 14, "the server has seen them all"


def test_what_s3_refuses_is_billed(clients: Clients, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Busy, "answer", None)
    monkeypatch.setattr(Busy, "do_GET", lambda handler: handler.send_error(403))
    with pytest.raises(ClientError, match="403"):
        clients.s3.get_object(Bucket="bucket", Key="key")
    assert clients.requests.take() == Answered(reads=1)


def test_a_batch_counts_what_it_asks_of_s3(judge: JudgeProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    """Five pictures and the batch's own part are read; earlier parts are listed, and a part and its counts written."""
    environment = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_DEFAULT_REGION": "eu-central-1"}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    command = [sys.executable, "-m", "bench.slow_s3", "0"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as s3:
        assert s3.stdout is not None
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{int(s3.stdout.readline())}")
        clients = Clients()
        worker = build_worker(Settings(), WorkerSettings(results_bucket="results", policy="demo"), clients, judge)
        given = {"BatchInput": {"job": "job", "policy": "demo", "bucket": "pictures"}, "Items": items(0, 5)}
        clients.requests.add(Answered(reads=50))  # for uploads that came before
        counted = worker(given, None)
        s3.kill()
    assert (counted["objects"], counted["requests"]) == (5, {"reads": 6, "writes": 3})


# Its judge reads three ranges for a video.
CHILD = """
import sys
from multiprocessing.connection import Connection
from moderator.jobs.judge_child import serve
from moderator.jobs.requests import Requests, Answered

requests = Requests()

class Reading:
    def video(self, policy, source):
        requests.add(Answered(reads=3))
        if source.key == "bug":
            raise ValueError("a bug")
        return {"verdict": "allow"}

serve(Connection(int(sys.argv[1])), Reading, requests)
"""


def test_what_the_judges_process_sends_is_counted_with_the_workers() -> None:
    judge = JudgeProcess(seconds=30, video_seconds=30, program=("-c", CHILD))

    def error(source: Source, what: Any) -> Line:
        return {"error": str(what)}

    try:
        for key in ("a", "b", "bug"):
            judge.video("demo", Source(bucket="b", key=key), error)
    finally:
        judge.stop()
    assert judge.requests.take() == Answered(reads=9)
    assert judge.requests.take() == Answered()
