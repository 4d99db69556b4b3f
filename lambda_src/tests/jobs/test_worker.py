"""The worker on batches and uploads: one line an object, as `/moderate` answers, whatever is wrong with some."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from moderator.errors import ConfigurationError
from moderator.handler import build_handler
from moderator.jobs.build import Handler, build_worker
from moderator.jobs.judge_process import JudgeProcess
from moderator.jobs.worker_settings import WorkerSettings, read_worker_settings
from moderator.settings import Settings
from support.harness import Service, serving
from support.hostile_pictures import png
from support.object_store import ObjectStore
from support.pictures import as_base64, drawn, encoded

pytestmark = pytest.mark.slow

RED, BLUE, GREEN = (encoded(drawn(*what)) for what in (("red", "circle"), ("blue", "square"), ("green", "star")))
ODD = ["a b.png", "a+b.png", "a%20b.png", "ü/ß.png", "😀.png", "//.png", "x" * 1000]
PICTURES = {
    **{f"in/{number:03}.png": (RED, BLUE, GREEN)[number % 3] for number in range(60)},
    **{f"in/{name}": RED for name in ODD},
    "in/broken.png": RED[:-40],
    "in/bomb.png": png(20_000, 20_000, pixels=b""),
    "in/empty.png": b"",
    "in/large.png": RED + bytes(1_000_000),
    "in/notes.txt": b"no picture",
}


@pytest.fixture
def store() -> ObjectStore:
    return ObjectStore({"pictures": dict(PICTURES), "results": {}})


Make = Callable[..., Handler]


@pytest.fixture
def make(store: ObjectStore, judge: JudgeProcess) -> Make:
    def build(store: ObjectStore = store, **settings: Any) -> Handler:
        known: dict[str, Any] = {"results_bucket": "results", "policy": "demo", "max_object_bytes": 500_000}
        worker = WorkerSettings(**(known | settings))
        return build_worker(Settings(), worker, store.clients(), judge)

    return build


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with serving(build_handler(Settings())) as running:
        yield running


def batch(store: ObjectStore, prefix: str = "in/", job: str = "job", **more: Any) -> dict[str, Any]:
    return {
        "BatchInput": {"job": job, "policy": "demo", "bucket": "pictures", **more},
        "Items": store.items("pictures", prefix),
    }


def lines(store: ObjectStore) -> list[dict[str, Any]]:
    parts = [data for key, data in store.buckets["results"].items() if key.startswith("verdicts/")]
    return [json.loads(line) for part in parts for line in part.splitlines()]


def by_key(store: ObjectStore) -> dict[str, dict[str, Any]]:
    found = lines(store)
    assert len({line["source"]["key"] for line in found}) == len(found), "an object has two lines"
    return {line["source"]["key"]: line for line in found}


def test_every_object_has_one_line_as_moderate_answers(store: ObjectStore, make: Make, service: Service) -> None:
    store_items = batch(store)
    del store.buckets["pictures"]["in/001.png"]  # after the listing
    counted = make()(store_items, None)
    found = by_key(store)
    assert found.keys() == PICTURES.keys()
    assert counted["objects"] == len(PICTURES)
    assert sum(counted["verdicts"].values()) == len(PICTURES)
    for key, data in PICTURES.items():
        line = found[key]
        if "error" in line:
            assert (line["verdict"], line["reasons"][0]["category"]) == ("review", "error"), line
            continue
        body = json.dumps({"image_data": as_base64(data), "policy": "demo"})
        answer = service.request("POST", "/moderate", body, {"Content-Type": "application/json"}).json
        answer.pop("warnings")
        assert {name: line[name] for name in answer} == answer
        assert line["source"]["bytes"] == len(data)
    assert {
        key.removeprefix("in/"): line["error"]["type"].rpartition(":")[2]
        for key, line in found.items()
        if "error" in line
    } == {
        "001.png": "object-gone",
        "broken.png": "broken-picture",
        "bomb.png": "too-much",
        "empty.png": "unknown-picture",
        "large.png": "too-much",
        "notes.txt": "unknown-picture",
    }


def test_a_rerun_judges_only_what_is_new_or_changed(store: ObjectStore, make: Make) -> None:
    worker = make()
    worker(batch(store), None)
    before = by_key(store)
    again = worker(batch(store, job="again"), None)
    assert again["known"] == len(PICTURES), again
    assert by_key(store) == before
    store.buckets["pictures"]["in/000.png"] = GREEN
    store.buckets["pictures"]["in/new.png"] = BLUE
    counted = worker(batch(store, job="third"), None)
    assert counted["known"] == len(PICTURES) - 1
    found = by_key(store)
    assert (found["in/000.png"]["verdict"], found["in/new.png"]["verdict"]) == ("allow", "review")
    assert len(found) == len(PICTURES) + 1


def test_a_batch_that_comes_twice_or_cut_otherwise_gives_the_same_lines(store: ObjectStore, make: Make) -> None:
    worker = make()
    whole = batch(store)
    worker(whole, None)
    before = by_key(store)
    worker(whole, None)
    half = {**whole, "Items": whole["Items"][:30]}
    worker(half, None)
    assert by_key(store) == before


def test_an_s3_that_fails_now_and_then_loses_nothing(store: ObjectStore, make: Make) -> None:
    make()(batch(store), None)
    right = {key: line["verdict"] for key, line in by_key(store).items()}
    shaky = ObjectStore({"pictures": dict(PICTURES), "results": {}}, fails_every=7)
    worker = make(shaky)
    for _ in range(20):  # as Step Functions tries again
        try:
            worker(batch(shaky), None)
        except Exception:  # noqa: BLE001, S112 - a write failed
            continue
        break
    assert {key: line["verdict"] for key, line in by_key(shaky).items()} == right


def test_the_summary_adds_up(store: ObjectStore, make: Make) -> None:
    worker = make()
    items = batch(store)["Items"]
    for start in range(0, len(items), 25):
        worker({**batch(store), "Items": items[start : start + 25]}, None)
    end = {
        "job": "job",
        "policy": "demo",
        "started": "2026-11-28T08:00:00+00:00",
        "asked": {"source": "prefix", "bucket": "pictures", "prefix": "in/"},
        "standard": False,
    }
    summary = worker({"end": end}, None)
    assert summary["objects"] == len(PICTURES) == sum(summary["verdicts"].values())
    assert summary["failures"] == {"broken-picture": 1, "too-much": 2, "unknown-picture": 2}
    assert json.loads(store.buckets["results"]["jobs/job/summary.json"]) == summary
    assert summary["dollars"] > 0


def message(key: str, data: bytes, number: int) -> dict[str, Any]:
    detail = {"bucket": {"name": "pictures"}, "object": {"key": key, "size": len(data), "etag": "x"}}
    return {"messageId": str(number), "eventSource": "aws:sqs", "body": json.dumps({"detail": detail})}


def test_uploads_are_announced_once_each_however_often_they_come(store: ObjectStore, make: Make) -> None:
    worker = make(bus="verdicts", tag=True)
    keys = [f"in/{name}" for name in ODD[:5]] + ["in/000.png", "in/001.png", "in/broken.png", "in/large.png"]
    records = [message(key, PICTURES.get(key, RED), number) for number, key in enumerate([*keys, "in/gone.png"])]
    store.tags["pictures/in/000.png"] = [{"Key": "owner", "Value": "us"}]
    assert worker({"Records": [*records, records[0]]}, None) == {"batchItemFailures": []}
    assert worker({"Records": records}, None) == {"batchItemFailures": []}
    found = by_key(store)
    assert found.keys() == {*keys, "in/gone.png"}
    details = [json.loads(event["Detail"]) for event in store.events]
    assert {event["DetailType"] for event in store.events} == {"Verdict"}
    assert len(details) == 2 * len(records), "one event a delivery"
    assert {tag["Key"]: tag["Value"] for tag in store.tags["pictures/in/000.png"]} == {
        "owner": "us",
        "moderation": "block",
    }
    # Who waits for a tag of what cannot be judged gets what the policy says is to be done with it.
    for key in ("in/broken.png", "in/large.png"):
        assert store.tags[f"pictures/{key}"] == [{"Key": "moderation", "Value": "review"}]
    assert {name.removeprefix("pictures/") for name in store.tags} == set(keys), "what is gone has nothing to be tagged"


def test_a_message_that_nobody_can_read_goes_back_and_the_others_are_judged(store: ObjectStore, make: Make) -> None:
    worker = make()
    bad = {"messageId": "bad", "eventSource": "aws:sqs", "body": "nonsense"}
    answer = worker({"Records": [bad, message("in/000.png", RED, 1)]}, None)
    assert answer == {"batchItemFailures": [{"itemIdentifier": "bad"}]}
    assert by_key(store).keys() == {"in/000.png"}


def test_memory_is_bounded_by_what_is_read_ahead(store: ObjectStore, make: Make) -> None:
    """A large object is not read, but for its first bytes."""
    make()(batch(store, "in/large"), None)
    assert store.bytes_read < 1000


# Ends, or never ends, as a decoder with a hole might, where it is given certain bytes.
POISONED = """
import os, sys, time
from multiprocessing.connection import Connection
from moderator.jobs.clients import Clients
from moderator.jobs.judge_child import make_judge, serve
from moderator.jobs.requests import Requests

class Poisoned:
    def __init__(self):
        self._judge = make_judge(Clients())
    def pictures(self, policy, group):
        for _, data in group:
            if data.endswith(b"CRASH"):
                os.abort()
            if data.endswith(b"HANG"):
                time.sleep(600)
        return self._judge.pictures(policy, group)

serve(Connection(int(sys.argv[1])), Poisoned, Requests())
"""


@pytest.mark.parametrize("poison", [b"CRASH", b"HANG"])
def test_a_poisoned_object_costs_itself_only(store: ObjectStore, judge: JudgeProcess, poison: bytes) -> None:
    store.buckets["pictures"] = {f"in/{number}.png": (RED, BLUE, GREEN)[number % 3] for number in range(9)}
    store.buckets["pictures"]["in/poison.png"] = RED + poison
    fragile = JudgeProcess(seconds=3, video_seconds=1, program=("-c", POISONED))
    worker = build_worker(Settings(), WorkerSettings(results_bucket="results", policy="demo"), store.clients(), fragile)
    try:
        counted = worker(batch(store), None)
    finally:
        fragile.stop()
    assert counted["objects"] == 10
    assert counted["failures"] == {"decoder-crashed": 1}
    found = by_key(store)
    assert found["in/poison.png"]["verdict"] == "review"
    assert [found[f"in/{number}.png"]["verdict"] for number in range(9)] == ["block", "review", "allow"] * 3


@pytest.mark.parametrize(
    ("event", "words"),
    [({}, "neither a batch"), ({"BatchInput": {"policy": "nothing", "job": "j"}, "Items": []}, "nothing")],
)
def test_an_event_that_makes_no_sense_is_named(event: dict[str, Any], words: str, make: Make) -> None:
    with pytest.raises(Exception, match=words):
        make()(event, None)


def test_settings_are_named_where_they_are_wrong(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="JOBS_RESULTS_BUCKET is missing"):
        read_worker_settings({})
    with pytest.raises(ConfigurationError, match="JOBS_READERS is 'x': it must be a number above 0"):
        read_worker_settings({"JOBS_RESULTS_BUCKET": "b", "JOBS_READERS": "x"})
