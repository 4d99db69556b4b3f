"""An S3 that fails beyond boto3's own retries, at one object and one request in twenty: nothing lost, nothing twice."""

from __future__ import annotations

import io
import json
import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pytest
from botocore.exceptions import IncompleteReadError, ReadTimeoutError
from botocore.response import StreamingBody
from urllib3.exceptions import ProtocolError

from moderator.jobs.build import Handler, build_worker
from moderator.jobs.judge_process import JudgeProcess
from moderator.jobs.results import Results
from moderator.jobs.worker_settings import WorkerSettings
from moderator.settings import Settings
from support.object_store import ObjectStore, refused
from support.pictures import drawn, encoded

pytestmark = pytest.mark.slow

KINDS = {
    "block": encoded(drawn("red", "circle")),
    "review": encoded(drawn("blue", "square")),
    "allow": encoded(drawn("green", "star")),
}
MANY = 300
RIGHT = {f"{number:03} a+b%20ü.png": list(KINDS)[number % 3] for number in range(MANY)}
# How often reading them fails: the worker asks four times.
WEAK = {key: (1, 3, 6)[number % 3] for number, key in enumerate(list(RIGHT)[7::20])}
LOST_AT_FIRST = {key for key, times in WEAK.items() if times > 3}
ONE_IN = 20


class Breaks(io.RawIOBase):
    """A connection that breaks in the middle of a body, as urllib3 says it."""

    def read(self, _: int | None = None) -> bytes:
        raise ProtocolError("Connection broken: IncompleteRead(17 bytes read, 3000 more expected)")


@dataclass
class Shaky(ObjectStore):
    """Fails at the reads of weak objects, each time otherwise, and at every twentieth of all other requests."""

    weak: dict[str, int] = field(default_factory=dict)
    seen: Counter[str] = field(default_factory=Counter)
    read: set[str] = field(default_factory=set)  # of the pictures

    def get_object(self, **given: Any) -> dict[str, Any]:
        answer = super().get_object(**given)
        if given["Bucket"] == "pictures":
            self.read.add(given["Key"])
        with self._lock:
            left = self.weak.get(given["Key"], 0) if given["Bucket"] == "pictures" else 0
            self.weak[given["Key"]] = max(0, left - 1)
        if left or (given["Bucket"] == "results" and self._is_turn("get")):
            how = (left or self.seen["get"] // ONE_IN) % 4
            data, length = answer["Body"].read(), answer["ContentLength"]
            if how == 0:
                raise refused(503, "SlowDown")  # boto3's retries are used up
            if how == 1:
                raise ReadTimeoutError(endpoint_url="https://s3")
            # A body that breaks off: some versions of urllib3 say so, and some just end.
            raw = Breaks() if how == 2 else io.BytesIO(data[: length // 2])
            answer["Body"] = StreamingBody(raw, length)
        return answer

    def put_object(self, **given: Any) -> None:
        fails = self._is_turn("put")
        if fails and self.seen["put"] % (2 * ONE_IN):
            raise refused(503, "SlowDown")
        super().put_object(**given)
        if fails:
            raise ReadTimeoutError(endpoint_url="https://s3")  # it was written, which nobody knows

    def list_objects_v2(self, **given: Any) -> dict[str, Any]:
        self._refuse_if_it_is_turn("list")
        return super().list_objects_v2(**given)

    def get_object_tagging(self, **given: Any) -> dict[str, Any]:
        self._refuse_if_it_is_turn("get tags")
        return super().get_object_tagging(**given)

    def put_object_tagging(self, **given: Any) -> None:
        self._refuse_if_it_is_turn("put tags")
        super().put_object_tagging(**given)

    def put_events(self, **given: Any) -> dict[str, Any]:
        if self._is_turn("events"):
            return {"FailedEntryCount": 1, "Entries": [{"ErrorCode": "InternalFailure"}]}
        return super().put_events(**given)

    def _refuse_if_it_is_turn(self, what: str) -> None:
        if self._is_turn(what):
            raise refused(503, "SlowDown")

    def _is_turn(self, what: str) -> bool:
        with self._lock:
            self.seen[what] += 1
            return self.seen[what] % ONE_IN == 0


@pytest.fixture
def store() -> Shaky:
    objects = {key: KINDS[verdict] for key, verdict in RIGHT.items()}
    return Shaky({"pictures": objects, "results": {}}, weak=dict(WEAK))


def worker_on(store: Shaky, judge: JudgeProcess) -> Handler:
    settings = WorkerSettings(results_bucket="results", policy="demo", bus="verdicts", tag=True)
    return build_worker(Settings(), settings, store.clients(), judge)


def lines(store: Shaky) -> dict[str, dict[str, Any]]:
    parts = [data for key, data in store.buckets["results"].items() if key.startswith("verdicts/")]
    found = [json.loads(line) for part in parts for line in part.splitlines()]
    assert max(Counter(line["source"]["key"] for line in found).values()) == 1, "an object has two lines"
    return {line["source"]["key"]: line for line in found}


def tried(worker: Handler, event: dict[str, Any]) -> dict[str, Any]:
    """Give what a worker answers, as Step Functions asks: once more after a failure (`infra/job_states.py`)."""
    try:
        return worker(event, None)
    except Exception:  # noqa: BLE001 - whatever it is
        return worker(event, None)


def job(worker: Handler, store: Shaky, name: str) -> dict[str, Any]:
    items = store.items("pictures")
    for at in range(0, MANY, 20):
        given = {"job": name, "policy": "demo", "bucket": "pictures"}
        tried(worker, {"BatchInput": given, "Items": items[at : at + 20]})
    asked = {"source": "prefix", "bucket": "pictures", "prefix": "", "policy": "demo"}
    end = {"job": name, "policy": "demo", "started": "2026-11-28T08:00:00+00:00", "asked": asked, "standard": False}
    return tried(worker, {"end": end})


def test_a_job_loses_nothing_and_the_next_one_judges_what_could_not_be_read(store: Shaky, judge: JudgeProcess) -> None:
    worker = worker_on(store, judge)
    first = job(worker, store, "first")
    found = lines(store)
    assert found.keys() == RIGHT.keys()
    unread = {key for key, line in found.items() if "error" in line}
    assert unread == LOST_AT_FIRST
    assert {found[key]["error"]["title"] for key in unread} == {"The object cannot be read now"}
    assert {key: line["verdict"] for key, line in found.items()} == RIGHT | dict.fromkeys(unread, "review")
    assert (first["objects"], first["batches"]) == (MANY, MANY // 20)
    assert first["failures"] == {"object-unreadable": len(unread)}

    store.read.clear()
    second = job(worker, store, "second")
    assert store.read == unread, "the others are not even read again"
    assert {key: line["verdict"] for key, line in lines(store).items()} == RIGHT
    assert second["failures"] == {}
    assert store.seen["put"] > ONE_IN, "writes failed too"


def test_uploads_that_come_twice_and_late_lose_nothing_and_leave_nothing_in_the_dead_letter_queue(
    store: Shaky, judge: JudgeProcess
) -> None:
    worker = worker_on(store, judge)
    items = {item["Key"]: item for item in store.items("pictures")}
    body = {
        key: json.dumps(
            {
                "detail": {
                    "bucket": {"name": "pictures"},
                    "object": {"key": key, "size": item["Size"], "etag": item["Etag"].strip('"')},
                }
            }
        )
        for key, item in items.items()
    }
    queue = [(f"{key} {time}", key) for key in RIGHT for time in ("first", "again")]
    random.Random(1).shuffle(queue)
    late, queue = queue[::5], [message for number, message in enumerate(queue) if number % 5]
    received: Counter[str] = Counter()
    while queue or late:
        if not queue:
            queue, late = late, []
        some, queue = queue[:10], queue[10:]
        received.update(name for name, _ in some)
        records = [{"messageId": name, "eventSource": "aws:sqs", "body": body[key]} for name, key in some]
        failed = {one["itemIdentifier"] for one in worker({"Records": records}, None)["batchItemFailures"]}
        queue += [message for message in some if message[0] in failed]
    assert max(received.values()) <= 5, "a message that is received more often goes to the dead-letter queue"
    assert sum(received.values()) > 2 * MANY, "some came again"
    assert {key: line["verdict"] for key, line in lines(store).items()} == RIGHT
    assert {name.partition("/")[2]: tags[0]["Value"] for name, tags in store.tags.items()} == RIGHT
    said = {(detail["source"]["key"], detail["verdict"]) for detail in map(_detail, store.events)}
    assert said >= set(RIGHT.items())
    meanwhile = {(key, "review") for key in LOST_AT_FIRST}
    assert said <= set(RIGHT.items()) | meanwhile, "besides, that some could not be read yet"


def _detail(event: dict[str, Any]) -> dict[str, Any]:
    detail: dict[str, Any] = json.loads(event["Detail"])
    return detail


def test_a_part_that_breaks_off_between_two_lines_is_not_taken_for_whole() -> None:
    """What would be left out of it by whoever takes an old line out would be lost."""

    class Cut(ObjectStore):
        def get_object(self, **given: Any) -> dict[str, Any]:
            answer = super().get_object(**given)
            data, length = answer["Body"].read(), answer["ContentLength"]
            return answer | {"Body": StreamingBody(io.BytesIO(data.partition(b"\n")[0] + b"\n"), length)}

    store = Cut({"results": {}})
    results = Results(store, "results")
    results.write_part("verdicts/part.jsonl", [{"number": 1}, {"number": 2}], "job", new=2, instead_of="")
    before = dict(store.buckets["results"])
    with pytest.raises(IncompleteReadError):
        results.take_out("verdicts/part.jsonl", lambda line: line["number"] == 1)
    assert store.buckets["results"] == before
