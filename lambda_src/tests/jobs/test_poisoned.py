"""What one object can do to a batch, which is nothing; and what a judge that cannot start does, which is loud."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import closing, contextmanager
from types import SimpleNamespace
from typing import Any, cast

import pytest

from moderator.errors import ConfigurationError, InvalidField
from moderator.jobs.build import Handler, build_worker
from moderator.jobs.desk import Desk
from moderator.jobs.judge import read_configured
from moderator.jobs.judge_process import JudgeNotStarted, JudgeProcess
from moderator.jobs.objects import Objects
from moderator.jobs.results import Results
from moderator.jobs.sources import Source
from moderator.jobs.worker_settings import WorkerSettings
from moderator.settings import Settings
from support.object_store import ObjectStore

pytestmark = pytest.mark.slow

# A judge without a model: it does what an object's bytes say.
CHILD = """
import os, sys, time
from multiprocessing.connection import Connection
from moderator.jobs.judge import read_configured
from moderator.jobs.judge_child import serve
from moderator.jobs.requests import Requests
from moderator.settings import read_settings

class Obedient:
    def __init__(self):
        self._configured = read_configured(read_settings(os.environ))
    def pictures(self, policy, group):
        for _, data in group:
            if data == b"RAISE":
                raise MemoryError("no room")
            if data == b"CRASH":
                os._exit(1)
            if data == b"HANG":
                time.sleep(600)
        names = self._configured.names(policy)
        common = {"verdict": "allow", "reasons": [], "categories": {}, "policy": names.policy, "model": names.model}
        return [{"source": source.as_json()} | common for source, _ in group]
    def video(self, policy, source):
        raise ValueError("a film")

serve(Connection(int(sys.argv[1])), Obedient, Requests())
"""
VIDEO = b"\0\0\0\x18ftypisom" + bytes(20)


@contextmanager
def working(
    store: ObjectStore, program: str = CHILD, seconds: float = 30.0, start_seconds: float = 120.0
) -> Iterator[Handler]:
    judge = JudgeProcess(seconds=seconds, video_seconds=30, start_seconds=start_seconds, program=("-c", program))
    with closing(cast("Any", SimpleNamespace(close=judge.stop))):
        yield build_worker(Settings(), WorkerSettings(results_bucket="results", policy="demo"), store.clients(), judge)


def store_of(**objects: bytes) -> ObjectStore:
    return ObjectStore({"pictures": objects, "results": {}})


def batch(store: ObjectStore) -> dict[str, Any]:
    return {"BatchInput": {"job": "job", "policy": "demo", "bucket": "pictures"}, "Items": store.items("pictures")}


def messages(store: ObjectStore) -> dict[str, Any]:
    return {
        "Records": [
            {"messageId": key, "eventSource": "aws:sqs", "body": json.dumps({"detail": detail})}
            for key in store.buckets["pictures"]
            for detail in [{"bucket": {"name": "pictures"}, "object": {"key": key}}]
        ]
    }


def lines(store: ObjectStore) -> dict[str, dict[str, Any]]:
    parts = [data for key, data in store.buckets["results"].items() if key.startswith("verdicts/")]
    found = [json.loads(line) for part in parts for line in part.splitlines()]
    assert len({line["source"]["key"] for line in found}) == len(found), "an object has two lines"
    return {line["source"]["key"]: line for line in found}


def kind(line: dict[str, Any]) -> str:
    return str(line["error"]["type"]).rpartition(":")[2] if "error" in line else ""


SOUND = {f"sound{number:02}": b"a picture" for number in range(40)}


def test_a_bug_of_the_judge_costs_the_object_that_brings_it_out(caplog: pytest.LogCaptureFixture) -> None:
    store = store_of(**SOUND, film=VIDEO, raises=b"RAISE")
    with working(store) as worker, caplog.at_level(logging.ERROR):
        counted = worker(batch(store), None)
    assert counted["failures"] == {"judge-failed": 2}
    assert {key: kind(line) for key, line in lines(store).items()} == dict.fromkeys(SOUND, "") | {
        "film": "judge-failed",
        "raises": "judge-failed",
    }
    line = lines(store)["raises"]
    assert (line["verdict"], line["error"]["status"]) == ("review", 500)
    assert "MemoryError: no room" in line["error"]["detail"]
    logged = [record.getMessage() for record in caplog.records]
    assert len(logged) == 2, "once for each object"
    assert any("s3://pictures/raises" in text and "Traceback" in text for text in logged)


def test_an_upload_that_brings_out_a_bug_comes_again_alone() -> None:
    """It has its line at once, and waits in the dead-letter queue for a worker that is mended."""
    store = store_of(sound=b"a picture", raises=b"RAISE", other=b"a picture")
    with working(store) as worker:
        answer = worker(messages(store), None)
    assert answer == {"batchItemFailures": [{"itemIdentifier": "raises"}]}
    assert {key: kind(line) for key, line in lines(store).items()} == {
        "sound": "",
        "other": "",
        "raises": "judge-failed",
    }


@pytest.mark.parametrize("program", ["import no_such_module", "import os; os.abort()", "import time; time.sleep(600)"])
def test_a_judge_that_cannot_start_fails_the_batch_and_the_uploads(program: str) -> None:
    """Each try says so: no object is blamed, and none has a line."""
    store = store_of(**SOUND)
    with working(store, program, start_seconds=2) as worker:
        for event in (batch(store), batch(store), messages(store)):
            with pytest.raises(JudgeNotStarted, match="The judge did not start"):
                worker(event, None)
    assert lines(store) == {}


def test_a_judge_that_is_configured_wrongly_says_so_at_each_try() -> None:
    program = CHILD.replace(
        "self._configured =", "from moderator.errors import ConfigurationError; raise ConfigurationError('no model') #"
    )
    store = store_of(sound=b"a picture")
    with working(store, program) as worker:
        for _ in range(2):
            with pytest.raises(ConfigurationError, match="no model"):
                worker(batch(store), None)
    assert lines(store) == {}


def test_a_judge_that_ended_between_two_batches_is_no_objects_fault() -> None:
    store = store_of(only=b"a picture")
    judge = JudgeProcess(seconds=30, video_seconds=30, program=("-c", CHILD))
    worker = build_worker(Settings(), WorkerSettings(results_bucket="results", policy="demo"), store.clients(), judge)
    worker(batch(store), None)
    assert judge._child is not None
    judge._child.kill()
    judge._child.wait()
    store.buckets["pictures"]["only"] = b"another"
    try:
        assert worker(batch(store) | {"BatchInput": batch(store)["BatchInput"] | {"job": "2"}}, None)["failures"] == {}
    finally:
        judge.stop()


def test_the_sound_objects_of_a_batch_do_not_wait_for_those_that_hang() -> None:
    """Wherever the time ends: each sound object has its line before any hanging one had the whole of its time."""
    hang = {f"sound{number:02}-hangs": b"HANG" for number in (1, 2, 35)}
    store = store_of(**SOUND, **hang)
    judge = JudgeProcess(seconds=3, video_seconds=30, program=("-c", CHILD))
    desk = Desk(
        objects=Objects(store, max_bytes=1000),
        judge=judge,
        results=Results(store, "results"),
        configured=read_configured(Settings()),
        readers=4,
    )
    sources = [Source(bucket="pictures", key=key) for key in sorted(store.buckets["pictures"])]
    try:
        found = {source.key: kind(line) for source, line in desk.lines("demo", sources).items()}
    finally:
        judge.stop()
    assert found == dict.fromkeys(SOUND, "") | dict.fromkeys(hang, "decoder-crashed")
    assert list(found)[len(SOUND) :] == sorted(hang), "in the order in which they were judged"


def test_an_item_that_names_no_object_is_counted_and_the_others_are_judged(caplog: pytest.LogCaptureFixture) -> None:
    store = store_of(a=b"a picture", b=b"a picture")
    wrong: list[Any] = [{"key": ""}, {"Size": 3}, "text", None, {"key": "a", "versionId": ["x"]}]
    given = batch(store)["BatchInput"]
    with working(store) as worker:
        with caplog.at_level(logging.WARNING):
            counted = worker({"BatchInput": given, "Items": [*wrong, *store.items("pictures")]}, None)
        asked = {"source": "jsonl", "policy": "demo"}
        started = "2026-11-28T08:00:00+00:00"
        summary = worker(
            {"end": {"job": "job", "policy": "demo", "started": started, "asked": asked, "standard": False}}, None
        )
        # A list with other columns is nobody's slip: it is said aloud.
        with pytest.raises(InvalidField, match="names no object: it must have a key"):
            worker({"BatchInput": given, "Items": [{"name": "a"}, {"name": "b"}]}, None)
    assert counted["objects"] == summary["objects"] == 2
    assert counted["failures"] == summary["failures"] == {"nameless-item": 5}
    assert lines(store).keys() == {"a", "b"}
    assert len([record for record in caplog.records if "names no object" in record.getMessage()]) == 5 + 2
