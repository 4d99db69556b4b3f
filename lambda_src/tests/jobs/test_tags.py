"""The tag on an upload is the verdict on the bytes that it stands on, whoever uploads and judges at the same time."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest
from botocore.exceptions import ReadTimeoutError

from moderator.jobs.desk import Desk
from moderator.jobs.judge import Policies, read_configured
from moderator.jobs.judge_process import JudgeProcess
from moderator.jobs.objects import Objects
from moderator.jobs.results import Results
from moderator.jobs.stream import Announcer, judge_messages
from moderator.jobs.worker_settings import WorkerSettings
from moderator.settings import Settings
from support.light_judge import LightJudge
from support.object_store import ObjectStore, refused

SOUND, BAD = b"\x89PNG sound", b"\x89PNG block"
OTHERS = {"Key": "owner", "Value": "us"}


@pytest.fixture(scope="module")
def configured() -> Policies:
    return read_configured(Settings())


class Worker:
    """One of those that take messages of the queue; messages that fail come again to it."""

    def __init__(self, store: ObjectStore, configured: Policies) -> None:
        self._desk = Desk(
            objects=Objects(store, max_bytes=1000),
            judge=cast("JudgeProcess", LightJudge(configured)),
            results=Results(store, "results"),
            configured=configured,
            readers=2,
        )
        settings = WorkerSettings(results_bucket="results", policy="demo", tag=True, bus="verdicts")
        self._announcer = Announcer(settings=settings, s3=store, events=store)

    def takes(self, event: dict[str, Any]) -> bool:
        """Work on a message; return whether it is done."""
        record = {"messageId": "1", "eventSource": "aws:sqs", "body": json.dumps(event)}
        return judge_messages({"Records": [record]}, self._desk, self._announcer, until=float("inf")) == {
            "batchItemFailures": []
        }


def moderation(store: ObjectStore, name: str = "uploads/a.png") -> str | None:
    return {tag["Key"]: tag["Value"] for tag in store.tags.get(name, [])}.get("moderation")


class Race:
    """A worker on a sound object, in place of which a bad one is uploaded before one of the worker's calls of S3.

    Another worker takes the second upload's message, wholly, before a later one of these calls; or after all of them.
    """

    def __init__(self, configured: Policies, *, upload: int, judged: int) -> None:
        self.store = ObjectStore({"uploads": {}, "results": {}}, meanwhile=self._before)
        self.calls: list[str] = []
        self._upload, self._judged = upload, judged
        self._event: dict[str, Any] = {}
        self._other = Worker(self.store, configured)
        first = self.store.upload("uploads", "a.png", SOUND)
        self._watched = True
        worker = Worker(self.store, configured)
        self.done = worker.takes(first)
        self._watched = False
        self.tag_meanwhile = moderation(self.store)
        if self._judged >= len(self.calls):
            assert self._other.takes(self._event)
        if not self.done:
            assert worker.takes(first), "the message comes again"

    def _before(self, bucket: str, call: str) -> None:
        if bucket != "uploads" or not self._watched:
            return
        self._watched = False
        if len(self.calls) == self._upload:
            self._event = self.store.upload("uploads", "a.png", BAD)
        if len(self.calls) == self._judged:
            assert self._other.takes(self._event)
        self._watched = True
        self.calls.append(call)


CALLS = ["get_object", "head_object", "get_object_tagging", "put_object_tagging", "head_object"]


# Before which call there is the upload, and before which one it is judged.
RACES = [(upload, judged) for upload in range(len(CALLS)) for judged in range(upload, len(CALLS) + 3)]


@pytest.mark.parametrize(("upload", "judged"), RACES)
def test_no_upload_keeps_the_tag_of_the_bytes_before_it(configured: Policies, upload: int, judged: int) -> None:
    race = Race(configured, upload=upload, judged=judged)
    assert len(race.calls) > upload, "the upload happened"
    assert race.tag_meanwhile in (None, "block"), "not even until the message comes again"
    assert moderation(race.store) == "block"


def test_an_upload_that_nobody_replaces_is_tagged_at_once(configured: Policies) -> None:
    calls: list[str] = []
    store = ObjectStore(
        {"uploads": {}, "results": {}},
        meanwhile=lambda bucket, call: calls.append(call) if bucket == "uploads" else None,
    )
    event = store.upload("uploads", "a.png", SOUND)
    store.tags["uploads/a.png"] = [OTHERS]
    assert Worker(store, configured).takes(event)
    assert store.tags["uploads/a.png"] == [OTHERS, {"Key": "moderation", "Value": "allow"}]
    assert calls == CALLS


def test_others_tags_stay_where_ours_is_taken_away(configured: Policies) -> None:
    """They were set on the new object, while ours was on its way to the old one."""
    store = ObjectStore({"uploads": {}, "results": {}})
    event = store.upload("uploads", "a.png", SOUND)

    def replace(_: str, call: str) -> None:
        if call == "get_object_tagging" and store.buckets["uploads"]["a.png"] == SOUND:
            store.upload("uploads", "a.png", BAD)
            store.tags["uploads/a.png"] = [OTHERS]

    store.meanwhile = replace
    worker = Worker(store, configured)
    assert not worker.takes(event)
    assert store.tags["uploads/a.png"] == [OTHERS]
    assert worker.takes(event)
    assert store.tags["uploads/a.png"] == [OTHERS, {"Key": "moderation", "Value": "block"}]


def test_each_version_has_the_tag_of_its_own_bytes(configured: Policies) -> None:
    """Versions never change, so nothing needs to be looked at twice."""
    calls: list[str] = []
    store = ObjectStore({"uploads": {}, "results": {}}, meanwhile=lambda _, call: calls.append(call))
    first = store.upload("uploads", "a.png", SOUND, version="1")
    second = store.upload("uploads", "a.png", BAD, version="2")
    worker = Worker(store, configured)
    assert worker.takes(second)
    assert worker.takes(first)
    assert [moderation(store, f"uploads/a.png?{version}") for version in "12"] == ["allow", "block"]
    assert "head_object" not in calls


def test_where_versions_are_suspended_the_one_called_null_may_be_replaced(configured: Policies) -> None:
    store = ObjectStore({"uploads": {}, "results": {}})
    event = store.upload("uploads", "a.png", SOUND, version="null")

    def replace(_: str, call: str) -> None:
        if call == "put_object_tagging" and store.buckets["uploads"]["a.png"] == SOUND:
            store.upload("uploads", "a.png", BAD, version="null")

    store.meanwhile = replace
    worker = Worker(store, configured)
    assert not worker.takes(event)
    assert moderation(store, "uploads/a.png?null") is None
    assert worker.takes(event)
    assert moderation(store, "uploads/a.png?null") == "block"


def test_a_tag_whose_second_look_fails_is_taken_away(configured: Policies) -> None:
    """Nobody knows which bytes it stands on; it must not stay on other ones until the message comes again."""
    store = ObjectStore({"uploads": {}, "results": {}})
    event = store.upload("uploads", "a.png", SOUND)
    looks: list[str] = []

    def fail(bucket: str, call: str) -> None:
        if (bucket, call) == ("uploads", "put_object_tagging") and not looks:
            store.upload("uploads", "a.png", BAD)
        if (bucket, call) == ("uploads", "head_object"):
            looks.append(call)
            if len(looks) > 1:
                raise refused(503, "SlowDown")

    store.meanwhile = fail
    assert not Worker(store, configured).takes(event)
    assert len(looks) > 1
    assert moderation(store) is None


def test_a_verdict_is_an_event_also_where_its_tag_is_refused(configured: Policies) -> None:
    """As on an object that has ten tags of others, which is as many as S3 takes."""
    store = ObjectStore({"uploads": {}, "results": {}})
    event = store.upload("uploads", "a.png", BAD)

    def refuse(_: str, call: str) -> None:
        if call == "put_object_tagging":
            raise refused(400, "InvalidTag")

    store.meanwhile = refuse
    assert not Worker(store, configured).takes(event), "the tag is tried again"
    (said,) = store.events
    assert json.loads(said["Detail"])["verdict"] == "block"


def test_of_bytes_that_were_replaced_there_is_no_event(configured: Policies) -> None:
    """It might come after the new ones' event, and be taken for the object's verdict."""
    store = ObjectStore({"uploads": {}, "results": {}})
    event = store.upload("uploads", "a.png", SOUND)

    def replace(_: str, call: str) -> None:
        if call == "get_object_tagging" and store.buckets["uploads"]["a.png"] == SOUND:
            store.upload("uploads", "a.png", BAD)

    store.meanwhile = replace
    assert not Worker(store, configured).takes(event)
    assert store.events == []


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("version", ["", "1"])
def test_what_is_deleted_meanwhile_has_nothing_to_be_tagged(configured: Policies, call: str, version: str) -> None:
    store = ObjectStore({"uploads": {}, "results": {}})
    event = store.upload("uploads", "a.png", SOUND, version=version)

    def delete(bucket: str, what: str) -> None:
        if (bucket, what) == ("uploads", call):
            store.buckets["uploads"].pop("a.png", None)
            store.versions.clear()

    store.meanwhile = delete
    assert Worker(store, configured).takes(event)


def test_what_cannot_be_read_now_is_tagged_as_on_error_says_and_comes_again(configured: Policies) -> None:
    """Also where the event does not say which bytes it is about; refused objects are left alone."""
    store = ObjectStore({"uploads": {}, "results": {}})
    event = store.upload("uploads", "a.png", SOUND)
    del event["detail"]["object"]["etag"]

    def fail(bucket: str, call: str) -> None:
        if (bucket, call) == ("uploads", "get_object"):
            raise error

    store.meanwhile = fail
    worker = Worker(store, configured)
    error: Exception = refused(403, "AccessDenied")
    assert not worker.takes(event)
    assert moderation(store) is None
    error = ReadTimeoutError(endpoint_url="https://s3")
    assert not worker.takes(event)
    assert moderation(store) == "review"


def test_what_is_archived_is_tagged_too_and_does_not_come_again(configured: Policies) -> None:
    """Restoring takes hours or longer than a message lives, and somebody must ask for it."""
    store = ObjectStore({"uploads": {}, "results": {}})
    event = store.upload("uploads", "a.png", SOUND)

    def refuse(bucket: str, call: str) -> None:
        if (bucket, call) == ("uploads", "get_object"):
            raise refused(403, "InvalidObjectState")

    store.meanwhile = refuse
    assert Worker(store, configured).takes(event)
    assert moderation(store) == "review"
