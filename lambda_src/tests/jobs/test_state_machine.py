"""The state machine, the rule and the queue as the program makes them, run on a local AWS with the real worker."""

from __future__ import annotations

import json
import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from moderator.handler import build_handler
from moderator.settings import Settings
from support.emulator import JOBS, Emulator, deploy, recorded, running
from support.films import CIRCLE
from support.harness import serving
from support.hostile_pictures import bombs
from support.pictures import as_base64, drawn, encoded

pytestmark = pytest.mark.slow

KINDS = [encoded(drawn(*what)) for what in (("red", "circle"), ("blue", "square"), ("green", "star"), ("red", "heart"))]
MANY = 2000
NAMES = ("{0:04}.png", "{0:04} a b.png", "{0:04}a+b.png", "{0:04}a%20b.png", "{0:04}ü/ß.png", "{0:04}😀.png")
# Of these there is no verdict, and why.
ODD = {
    "in/empty.png": (b"", "unknown-picture"),
    "in/broken.png": (KINDS[0][:-60], "broken-picture"),
    "in/large.png": (KINDS[0] + bytes(60_000_000), "too-much"),
    "in/notes.txt": (b"no picture", "unknown-picture"),
    # All by their headers: of AVIF and WebP, that these do not fit to what follows.
    **{
        f"in/{number:03} {name}": (data, "broken-picture" if name.startswith(("AVIF", "WebP")) else "too-much")
        for number, (name, data) in enumerate(bombs())
    },
}
GONE = "in/0007 a b.png"
FILM = "in/1000 a+b%20ü.mp4"  # of a minute: a red circle is there for three seconds of it

# One request to S3 in twenty is refused, the object that is to be gone is gone when it is read, and every third batch
# has time for a half only.
FAULTS = f"""
import itertools, random, boto3
from botocore.awsrequest import AWSResponse
_client = boto3.client
class _Raw:
    def stream(self, *_, **__): return iter([b""])
    def read(self, *_, **__): return b""
def _fail(request, **_):
    gone = "{GONE.rsplit(" ", 1)[0].replace(" ", "%20")}" in request.url and request.method == "GET"
    if gone: return AWSResponse(request.url, 404, {{}}, _Raw())
    if random.random() < 0.05: return AWSResponse(request.url, 503, {{}}, _Raw())
def client(*args, **more):
    made = _client(*args, **more)
    made.meta.events.register("before-send.s3", _fail)
    return made
boto3.client = client

from moderator.jobs.desk import Desk
_lines, _calls = Desk.lines, itertools.count()
def lines(self, policy, sources, **more):
    some = sources[: len(sources) // 2 + 1] if next(_calls) % 3 == 0 else sources
    return _lines(self, policy, some, **more)
Desk.lines = lines
"""


@dataclass(frozen=True, kw_only=True)
class Stack:
    emulator: Emulator
    names: dict[str, str]

    def job(self, *, kill: bool = False) -> dict[str, Any]:
        """Run a job to its end, and perhaps kill a worker when it has begun; return the summary."""
        states = self.emulator.client("stepfunctions")
        asked = {"source": "prefix", "bucket": "pictures", "prefix": "in/", "policy": "demo"}
        job = states.start_execution(stateMachineArn=self.names["states"], input=json.dumps(asked))["executionArn"]
        while (found := states.describe_execution(executionArn=job))["status"] == "RUNNING":
            if kill and len(self.keys("jobs/")) >= 3:
                os.kill(self.emulator.workers()[0], signal.SIGKILL)
                kill = False
            time.sleep(0.05)
        assert found["status"] == "SUCCEEDED", found
        assert not kill, "the job was over before a worker could be killed"
        summary: dict[str, Any] = json.loads(found["output"])
        return summary

    def keys(self, prefix: str) -> list[str]:
        pages = self.emulator.client("s3").get_paginator("list_objects_v2").paginate(Bucket="results", Prefix=prefix)
        return [found["Key"] for page in pages for found in page.get("Contents", [])]

    def lines(self, prefix: str) -> list[dict[str, Any]]:
        s3 = self.emulator.client("s3")
        parts = (s3.get_object(Bucket="results", Key=key)["Body"].read() for key in self.keys(prefix))
        return [json.loads(line) for part in parts for line in part.splitlines()]

    def waiting(self, queue: str) -> int:
        """Messages in a queue, those included that somebody is working on."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        names.append("ApproximateNumberOfMessagesDelayed")
        found = self.emulator.client("sqs").get_queue_attributes(QueueUrl=self.names[queue], AttributeNames=names)
        return sum(int(found["Attributes"][name]) for name in names)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, h264: Path) -> Iterator[Stack]:
    with running(tmp_path_factory.mktemp("aws")) as emulator:
        names = deploy(emulator, recorded({**JOBS, "tagObjects": True}), before=FAULTS)
        s3 = emulator.client("s3")
        for key, data in objects().items():
            s3.put_object(Bucket="pictures", Key=key, Body=data)
        s3.put_object(Bucket="pictures", Key=FILM, Body=h264.read_bytes())
        yield Stack(emulator=emulator, names=names)


def objects() -> dict[str, bytes]:
    named = {f"in/{NAMES[number % 6].format(number)}": KINDS[number % 4] for number in range(MANY)}
    return {**named, GONE: KINDS[0], **{key: data for key, (data, _) in ODD.items()}}


@pytest.fixture(scope="module")
def first(stack: Stack) -> dict[str, Any]:
    """The summary of a job one of whose workers is killed, while S3 fails now and then."""
    return stack.job(kill=True)


@pytest.mark.usefixtures("first")
def test_every_object_has_one_line_whatever_fails_meanwhile(stack: Stack) -> None:
    assert Counter(line["source"]["key"] for line in stack.lines("verdicts/")) == Counter([*objects(), FILM])


@pytest.mark.usefixtures("first")
def test_each_verdict_is_that_of_moderate(stack: Stack) -> None:
    with serving(build_handler(Settings())) as service:
        answers = {}
        for data in KINDS:
            body = json.dumps({"image_data": as_base64(data), "policy": "demo"})
            answers[data] = service.request("POST", "/moderate", body, {"Content-Type": "application/json"}).json
    given = objects()
    for line in stack.lines("verdicts/"):
        if "error" not in line and line["source"]["key"] != FILM:
            data = given[line["source"]["key"]]
            assert {name: value for name, value in line.items() if name != "source"} == answers[data]
            assert line["source"]["bytes"] == len(data)


@pytest.mark.usefixtures("first")
def test_the_video_among_them_says_which_seconds_fired(stack: Stack) -> None:
    """The worker has PyAV here, as its image has with `videos: true`."""
    (line,) = [line for line in stack.lines("verdicts/") if line["source"]["key"] == FILM]
    assert line["verdict"] == "block"
    fired = line["video"]["fired"]["red circles"]
    assert fired
    assert all(CIRCLE[0] <= second <= CIRCLE[1] for second in fired)


@pytest.mark.usefixtures("first")
def test_what_cannot_be_judged_says_why_and_goes_to_review(stack: Stack) -> None:
    failed = {line["source"]["key"]: line for line in stack.lines("verdicts/") if "error" in line}
    kinds = {key: line["error"]["type"].rpartition(":")[2] for key, line in failed.items()}
    assert kinds == {key: why for key, (_, why) in ODD.items()} | {GONE: "object-gone"}
    assert {line["verdict"] for line in failed.values()} == {"review"}


def test_the_summary_adds_up(stack: Stack, first: dict[str, Any]) -> None:
    lines = stack.lines("verdicts/")
    assert first["objects"] == len(lines) == len(objects()) + 1
    assert first["verdicts"] == Counter(line["verdict"] for line in lines)
    assert sum(first["failures"].values()) == len(ODD) + 1
    assert first["batches"] == -(-(len(objects()) + 1) // 100)
    assert first["known"] == 0
    assert len(stack.keys(f"jobs/{first['job']}/batches/")) > first["batches"], "some batches took several tries"
    # Each object is read once, and the video in ranges; besides, lines are looked for. What a killed worker sent is not
    # counted.
    assert len(lines) - 100 < first["requests"]["reads"] < 2 * len(lines)
    assert first["requests"]["writes"] > 2 * first["batches"]


@pytest.mark.usefixtures("first")
def test_a_second_job_judges_only_what_may_be_otherwise_now(stack: Stack) -> None:
    before = stack.lines("verdicts/")
    again = stack.job()
    assert again["objects"] - again["known"] == 1, "the object that was gone"
    assert sorted(map(json.dumps, stack.lines("verdicts/"))) == sorted(map(json.dumps, before))


def test_uploads_that_come_twice_or_late_have_one_line_and_leave_no_message(stack: Stack) -> None:
    """Also while a worker is killed that has some of them."""
    s3, sqs = (stack.emulator.client(name) for name in ("s3", "sqs"))
    uploads = {f"up {number} a+b%20ü.png": KINDS[number % 4] for number in range(60)}
    for number, (key, data) in enumerate(uploads.items()):
        tag = s3.put_object(Bucket="uploads", Key=key, Body=data)["ETag"].strip('"')  # S3 sends the first event
        event = {"detail": {"bucket": {"name": "uploads"}, "object": {"key": key, "size": len(data), "etag": tag}}}
        sqs.send_message(QueueUrl=stack.names["queue"], MessageBody=json.dumps(event), DelaySeconds=3 * (number % 2))
    killed: list[int] = []
    ends = time.monotonic() + 60
    while stack.waiting("queue") and time.monotonic() < ends:
        if not killed and stack.keys("verdicts/bucket=uploads/"):
            killed += stack.emulator.workers()[:1]
            os.kill(killed[0], signal.SIGKILL)
        time.sleep(0.05)
    assert killed, "the uploads were over before a worker could be killed"
    lines = stack.lines("verdicts/bucket=uploads/")
    assert sorted(line["source"]["key"] for line in lines) == sorted(uploads)
    for line in lines:
        tags = s3.get_object_tagging(Bucket="uploads", Key=line["source"]["key"])["TagSet"]
        assert tags == [{"Key": "moderation", "Value": line["verdict"]}]
    assert (stack.waiting("queue"), stack.waiting("dead"), stack.waiting("undelivered")) == (0, 0, 0)
    assert stack.waiting("heard") >= len(uploads), "each verdict is said on the bus"
