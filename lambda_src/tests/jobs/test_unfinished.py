"""What a batch cannot do in its time goes on at the next try; what a job left out is counted and named at its end."""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moderator.jobs.batch import BatchStuck
from moderator.jobs.build import Handler, build_worker
from moderator.jobs.judge_process import JudgeProcess
from moderator.jobs.map_results import each_of_array
from moderator.jobs.worker_settings import WorkerSettings
from moderator.settings import Settings
from support.object_store import ObjectStore
from support.pictures import drawn, encoded

pytestmark = pytest.mark.slow

RED = encoded(drawn("red", "circle"))
VIDEO = b"\0\0\0\x18ftypisom" + bytes(20)
WRITING_SECONDS = 10  # which the worker keeps of what Lambda gives it

# Takes half a second for each video, and for ever for one kind of picture. What it says of videos is final.
SLOW = """
import sys, time
from multiprocessing.connection import Connection
from moderator.errors import BrokenVideo
from moderator.jobs.clients import Clients
from moderator.jobs.judge_child import make_judge, serve
from moderator.jobs.requests import Requests

class Slow:
    def __init__(self):
        self._judge = make_judge(Clients())
    def pictures(self, policy, group):
        if any(data.endswith(b"HANG") for _, data in group):
            time.sleep(600)
        return self._judge.pictures(policy, group)
    def video(self, policy, source):
        time.sleep(0.5)
        return self._judge.error(policy, source, BrokenVideo(str(time.time())))

serve(Connection(int(sys.argv[1])), Slow, Requests())
"""


class Context:
    """Lambda's, as far as the worker asks it."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds + WRITING_SECONDS

    def get_remaining_time_in_millis(self) -> int:
        return round(1000 * self._seconds)


class Job:
    """A job over everything in a bucket, in batches of ten."""

    def __init__(self, judge: JudgeProcess, objects: dict[str, bytes], name: str = "job") -> None:
        self.name = name
        self.store = ObjectStore({"pictures": dict(objects), "results": {}})
        told = WorkerSettings(results_bucket="results", policy="demo")
        self.worker: Handler = build_worker(Settings(), told, self.store.clients(), judge)
        items = self.store.items("pictures")
        self.batches = [self.batch(items[at : at + 10]) for at in range(0, len(items), 10)]

    def batch(self, items: list[dict[str, Any]]) -> dict[str, Any]:
        return {"BatchInput": {"job": self.name, "policy": "demo", "bucket": "pictures"}, "Items": items}

    def lines(self) -> dict[str, dict[str, Any]]:
        parts = [data for key, data in self.store.buckets["results"].items() if key.startswith("verdicts/")]
        lines = [json.loads(line) for part in parts for line in part.splitlines()]
        assert max(Counter(line["source"]["key"] for line in lines).values(), default=0) <= 1
        return {line["source"]["key"]: line for line in lines}

    def end(self, **more: Any) -> dict[str, Any]:
        asked = {"source": "prefix", "bucket": "pictures", "prefix": "", "policy": "demo"}
        known = {"job": self.name, "policy": "demo", "started": "2026-11-28T08:00:00+00:00", "asked": asked}
        return self.worker({"end": known | {"standard": True} | more}, None)


def warm_up(judge: JudgeProcess) -> None:
    """Let the child load its model, which is no part of a try's time here: that depends on what else runs."""
    warm = Job(judge, {"warm.png": RED})
    warm.worker(warm.batches[0], None)


@pytest.fixture(scope="module")
def slow() -> Iterator[JudgeProcess]:
    """One child for all: it is ready when the first test's time begins."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
        patch.setenv("JOBS_RESULTS_BUCKET", "results")
        running = JudgeProcess(seconds=30, video_seconds=60, program=("-c", SLOW))
        warm_up(running)
        yield running
        running.stop()


def test_many_long_videos_take_several_tries_and_none_is_judged_twice(slow: JudgeProcess) -> None:
    job = Job(slow, {f"{number}.mp4": VIDEO for number in range(10)})
    tries, so_far = 0, [0]
    before: dict[str, dict[str, Any]] = {}
    while True:
        tries += 1
        assert tries <= 10
        warm_up(slow)
        counted = job.worker(job.batches[0], Context(2.0))
        if not counted["unfinished"]:
            break
        found = job.lines()
        assert before.items() <= found.items(), "what was judged is not judged again"
        before = found
        so_far.append(len(found))
    assert tries > 2, "five seconds of work do not fit into two"
    assert so_far == sorted(so_far)
    assert so_far[-1] > 0
    assert counted["objects"] == 10 == len(job.lines())
    assert before.items() <= job.lines().items()
    summary = job.end()
    assert (summary["batches"], summary["objects"], summary["known"]) == (1, 10, 0)
    assert summary["worker_seconds"] >= counted["ms"] / 1000 + 2, "all tries are paid for"


def test_an_object_that_hangs_costs_itself_even_where_the_time_is_short(slow: JudgeProcess) -> None:
    """Its first try ends without a line of it; what came before has one, and the next try is left more time."""
    job = Job(slow, {**{f"{number:02}.png": RED for number in range(20)}, "99.png": RED + b"HANG"})
    everything = job.batch(job.store.items("pictures"))
    slow._seconds = 4.0
    first = job.worker(everything, Context(3.0))
    assert first["unfinished"]
    assert len(job.lines()) == 20, "the groups before its own"
    again = {**everything, "BatchInput": everything["BatchInput"] | {"before": {"counts": first}}}
    with pytest.raises(BatchStuck, match="20 of 21 objects have lines: no more than after the last try"):
        job.worker(again, Context(0.0))
    job.worker(everything, None)
    found = job.lines()
    assert found["99.png"]["error"]["type"].endswith(":decoder-crashed")
    assert {line["verdict"] for key, line in found.items() if key != "99.png"} == {"block"}
    # It would cost the same time at each try: within a job it is done.
    again = job.worker(everything, None)
    assert (again["objects"], again["known"]) == (21, 0), "this job has judged all of them, at one try or another"


def test_uploads_that_the_time_did_not_suffice_for_come_again(slow: JudgeProcess) -> None:
    job = Job(slow, {f"{number}.mp4": VIDEO for number in range(6)})
    records = [
        {"messageId": key, "eventSource": "aws:sqs", "body": json.dumps({"detail": detail})}
        for key in job.store.buckets["pictures"]
        for detail in [{"bucket": {"name": "pictures"}, "object": {"key": key}}]
    ]
    failed = {one["itemIdentifier"] for one in job.worker({"Records": records}, Context(1.5))["batchItemFailures"]}
    assert failed
    assert failed.isdisjoint(job.lines())
    assert failed | job.lines().keys() == job.store.buckets["pictures"].keys()


def test_a_stream_and_a_job_over_one_bucket_write_a_line_each_which_are_alike(slow: JudgeProcess) -> None:
    job = Job(slow, {f"{number}.png": RED for number in range(3)})
    records = [
        {"messageId": item["Key"], "eventSource": "aws:sqs", "body": json.dumps({"detail": detail})}
        for item in job.store.items("pictures")
        for detail in [{"bucket": {"name": "pictures"}, "object": {"key": item["Key"]}}]
    ]
    for _ in range(2):
        job.worker({"Records": records}, None)
        job.worker(job.batches[0], None)
    written = {key: data for key, data in job.store.buckets["results"].items() if key.startswith("verdicts/")}
    of_stream = [line for key, data in written.items() if "/stream/" in key for line in data.splitlines()]
    of_job = [line for key, data in written.items() if "/stream/" not in key for line in data.splitlines()]
    assert len(of_job) == 3
    assert sorted(of_stream) == sorted(of_job)


def execution(batch: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A child of a map as Step Functions writes it down: the batch is text within it."""
    arn = "arn:aws:states:eu-central-1:111122223333:execution:clip-jobs/EachOfPrefix:1f6c"
    return {
        "ExecutionArn": arn,
        "Input": json.dumps(batch),
        "InputDetails": {"Included": True},
        "Name": "1f6c",
        "OutputDetails": {"Included": True},
        "RedriveCount": 0,
        "RedriveStatus": "NOT_REDRIVABLE",
        "StartDate": "2026-11-28T08:00:00.000Z",
        "StateMachineArn": "arn:aws:states:eu-central-1:111122223333:stateMachine:clip-jobs/EachOfPrefix",
        "StopDate": "2026-11-28T08:02:00.000Z",
    } | more


def test_the_summary_counts_and_names_what_failed_batches_left_out(slow: JudgeProcess) -> None:
    """One batch is done; one failed when it had lines for a part of it; one failed at once; one was never begun."""
    objects = {f"{number:02} ü.png": RED for number in range(20)} | {
        f"{number:02}.mp4": VIDEO for number in range(20, 40)
    }
    job = Job(slow, objects)
    done, other, partly, never = job.batches
    job.worker(done, None)
    assert job.worker(partly, Context(2.0))["unfinished"]
    had = len(job.lines()) - 10
    assert 0 < had < 10
    folder = "jobs/maps/4977ded7"
    failed = [
        execution(partly, Status="FAILED", Error="BatchStuck", Cause='{"errorMessage": "..."}'),
        execution(other, Status="FAILED", Error="Sandbox.Timedout", Cause="RequestId: ... Task timed out"),
    ]
    files = {
        "FAILED": [{"Key": f"{folder}/FAILED_0.json", "Size": 1}],
        "PENDING": [{"Key": f"{folder}/PENDING_0.json", "Size": 1}],
        "SUCCEEDED": [{"Key": f"{folder}/SUCCEEDED_0.json", "Size": 1}],
    }
    arn = "arn:aws:states:eu-central-1:111122223333:mapRun:clip-jobs/EachOfPrefix:4977ded7"
    manifest = {"DestinationBucket": "results", "MapRunArn": arn, "ResultFiles": files}
    results = job.store.buckets["results"]
    results[f"{folder}/manifest.json"] = json.dumps(manifest).encode()
    results[f"{folder}/FAILED_0.json"] = json.dumps(failed).encode()
    results[f"{folder}/PENDING_0.json"] = json.dumps([execution(never, Status="PENDING")], indent=1).encode()
    record = {"MapRunArn": arn, "ResultWriterDetails": {"Bucket": "results", "Key": f"{folder}/manifest.json"}}

    summary = job.end(map=record)
    assert summary["objects"] == 10 + had == sum(summary["verdicts"].values())
    assert summary["known"] == 0, "what there is, this job has judged"
    assert summary["unjudged"] == {
        "objects": 30 - had,
        "batches": 3,
        "reasons": {"BatchStuck": 10 - had, "PENDING": 10, "Sandbox.Timedout": 10},
        "unchecked": 0,
        "list": "jobs/job/unjudged.jsonl",
    }
    assert summary["failures"] == {"batch-failed": 30 - had, "broken-video": had}
    assert json.loads(results["jobs/job/summary.json"]) == summary

    # The list is one that a job takes: after it, each object has its line.
    listed = [json.loads(line) for line in results["jobs/job/unjudged.jsonl"].splitlines()]
    assert {item["key"] for item in listed} == objects.keys() - job.lines().keys()
    job.name = "rest"
    job.worker({"BatchInput": {"job": "rest", "policy": "demo"}, "Items": listed}, None)
    assert job.lines().keys() == objects.keys()


def test_a_job_without_failures_left_nothing_out(slow: JudgeProcess) -> None:
    job = Job(slow, {"a.png": RED})
    job.worker(job.batches[0], None)
    manifest = {"DestinationBucket": "results", "ResultFiles": {"FAILED": [], "PENDING": [], "SUCCEEDED": []}}
    job.store.buckets["results"]["jobs/maps/1/manifest.json"] = json.dumps(manifest).encode()
    for record in (None, {"ResultWriterDetails": {"Bucket": "results", "Key": "jobs/maps/1/manifest.json"}}):
        assert job.end(map=record)["unjudged"] == {
            "objects": 0,
            "batches": 0,
            "reasons": {},
            "unchecked": 0,
            "list": None,
        }
    assert "jobs/job/unjudged.jsonl" not in job.store.buckets["results"]


class Body(io.BytesIO):
    """Gives what it has in pieces of one size."""

    def __init__(self, data: bytes, piece: int) -> None:
        super().__init__(data)
        self._at_once = piece

    def read(self, _: int | None = None) -> bytes:
        return super().read(self._at_once)


TEXT = st.text(max_size=5) | st.sampled_from(["[{", "}]", '"', "\\", "é😀"])
ELEMENTS = st.dictionaries(TEXT, TEXT | st.integers() | st.lists(TEXT, max_size=2), max_size=3)


@settings(max_examples=60)
@given(elements=st.lists(ELEMENTS, max_size=5), piece=st.integers(1, 50), indent=st.sampled_from([None, 1]))
def test_an_array_is_read_whatever_pieces_it_comes_in(
    elements: list[dict[str, Any]], piece: int, indent: int | None
) -> None:
    data = json.dumps(elements, indent=indent, ensure_ascii=False).encode("utf-8", "surrogatepass")
    assert list(each_of_array(Body(data, piece))) == elements


@pytest.mark.parametrize("data", [b"", b"[", b'[{"a": 1}', b'[{"a": 1', b'[{"a": 1},'])
def test_an_array_that_ends_too_early_is_not_taken_for_whole(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"ends in the middle|Expecting"):
        list(each_of_array(Body(data, 4)))
