"""When there are more new labels than time, what was done is kept, the client is told, and its next request goes on."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from moderator.clip.model import read_model
from moderator.clip.towers import Embeddings, TextBatch, TextTower
from moderator.errors import InvalidField, OutOfTime
from moderator.handler import build_handler
from moderator.labels.cache import LabelCache
from moderator.settings import Settings
from support.aws_events import http_api
from support.harness import RedisServer, Service, StartService
from support.pictures import as_base64, drawn, encoded
from support.runtime_api import runtime, runtime_api
from support.tally import Tally
from support.towers import slow

pytestmark = pytest.mark.slow

PICTURE = as_base64(encoded(drawn("red", "circle")))
# As long as the model's context takes.
LONG = [f"a red circle beside number {number} " + "of many " * 32 for number in range(1000)]


@dataclass
class SteadyTower:
    """Takes a second for each batch of ten labels, by a clock that only it moves."""

    now: float = 1000.0
    seconds: float = 1.0
    computed: list[str] = field(default_factory=list)

    def clock(self) -> float:
        return self.now

    def batches(self, labels: Sequence[str]) -> list[TextBatch]:
        if "impossible" in labels:
            raise InvalidField("a label is impossible")
        self.asked = labels
        places = [list(range(start, min(start + 10, len(labels)))) for start in range(0, len(labels), 10)]
        return [TextBatch(places=some, tokens=np.zeros((len(some), 7), np.int64)) for some in places]

    def embed_batch(self, batch: TextBatch) -> Embeddings:
        self.now += self.seconds
        self.computed += [self.asked[place] for place in batch.places]
        return np.eye(16, dtype=np.float32)[[place % 16 for place in batch.places]]

    def cache(self) -> LabelCache:
        return LabelCache(cast("TextTower", self), None, memory_labels=1000, clock=self.clock)


LABELS = [f"label {number}" for number in range(50)]


def test_what_was_done_is_kept_and_the_next_request_goes_on() -> None:
    tower = SteadyTower()
    cache = tower.cache()
    with pytest.raises(OutOfTime) as caught:
        cache.embed(LABELS, tower.now + 4.0)
    # A tenth of the four seconds is kept for the pictures: a fourth batch would take it.
    assert caught.value.problem() == {
        "type": "urn:clip-video-moderator:problem:out-of-time",
        "title": "Not all labels are embedded yet",
        "status": 503,
        "detail": "30 of the 50 labels are embedded and kept; no time is left for the others. "
        "Send the same request again: it goes on from there.",
    }
    assert caught.value.retry_after == 1
    assert tower.now == 1003.0
    found = cache.embed(LABELS, tower.now + 4.0)
    assert (found.sources.memory, found.sources.computed) == (30, 20)
    assert tower.computed == LABELS


def test_no_batch_begins_that_would_not_end_in_time_by_the_last_ones_pace() -> None:
    tower = SteadyTower()
    cache = tower.cache()
    cache.embed(LABELS[:10])
    tower.seconds = 100.0
    with pytest.raises(OutOfTime, match="10 of the 50"):
        cache.embed(LABELS, tower.now + 1.05)
    assert tower.now == 1001.0, "it waited for nothing"


def test_a_pace_that_leaves_no_time_for_anything_is_measured_anew() -> None:
    """The machine may have stood still for a moment."""
    tower = SteadyTower(seconds=3600.0)
    cache = tower.cache()
    cache.embed(LABELS[:10])
    tower.seconds = 1.0
    with pytest.raises(OutOfTime):
        cache.embed(LABELS, tower.now + 29)
    assert cache.embed(LABELS, tower.now + 29).sources.computed == 40


def test_a_label_that_cannot_be_computed_is_told_before_any_is() -> None:
    tower = SteadyTower()
    with pytest.raises(InvalidField):
        tower.cache().embed([*LABELS, "impossible"], tower.now + 29)
    assert tower.computed == []


def test_where_all_labels_are_at_hand_no_time_is_needed() -> None:
    tower = SteadyTower()
    cache = tower.cache()
    cache.embed(LABELS)
    assert cache.embed(LABELS, tower.now - 1).sources.memory == 50
    assert cache.embed(LABELS[::-1], tower.now - 1).sources.memory == 50


def test_batches_are_bit_for_bit_what_is_computed_together_and_alone() -> None:
    tower = TextTower(read_model(Settings().model_dir), threads=2)
    labels = [*LONG[:60], *(f"number {number}" for number in range(60))]
    assert len(tower.batches(labels)) > 1
    together = tower.embed(labels)
    for some in (labels[:7], labels[50:70], labels[119:], labels[::-1]):
        assert np.array_equal(tower.embed(some), together[[labels.index(label) for label in some]])


def ask_until_answered(service: Service, seconds: float) -> tuple[list[int], Any]:
    """Ask again as the answers say; return how many were done each time, and the last answer."""
    done: list[int] = []
    for _ in range(60):
        began = time.perf_counter()
        reply = service.classify(image_data=PICTURE, labels=LONG)
        assert time.perf_counter() - began < seconds + 1.0  # a busy machine's slack
        if reply.status == 200:
            return done, reply
        assert reply.status == 503, reply.body
        assert reply.headers["content-type"] == "application/problem+json"
        assert reply.headers["retry-after"] == "1"
        done.append(int(reply.json["detail"].split()[0].replace(",", "")))
    raise AssertionError(f"never answered: {done}")


def test_a_thousand_labels_of_full_length_are_answered_in_the_end_and_exactly_so(
    redis_server: RedisServer, start_service: StartService, service: Service, tally: Tally
) -> None:
    expected = service.classify(image_data=PICTURE, labels=LONG)
    assert expected.status == 200
    limited = start_service(load=slow, cache_url=redis_server.url, max_seconds=1.5)
    done, answered = ask_until_answered(limited, 1.5)
    assert done, "there was time for all at once: nothing was tried"
    # A request need not compute any: a busy machine may need all the time to read a thousand labels.
    assert done == sorted(done), "a request did not go on from where the one before stopped"
    assert len(set(done)) > 1
    assert answered.body == expected.body
    assert len(redis_server.client.keys()) == len(LONG)
    # Another instance has nothing to compute.
    other = start_service(cache_url=redis_server.url, max_seconds=1.5)
    assert other.classify(image_data=PICTURE, labels=LONG).label_cache == {
        "precomputed": 0,
        "memory": 0,
        "store": 1000,
        "computed": 0,
    }
    flood = "A thousand new labels of full length, on a slow machine with 1.5 s a request"
    tally.add("Requests", flood, "refused with 503, those done kept", len(done))
    tally.add("Requests", flood, "answered as without a limit, bit for bit")


def test_lambda_says_how_much_time_is_left_and_another_instance_goes_on(
    redis_server: RedisServer, start_service: StartService, tmp_path: Path
) -> None:
    began = time.perf_counter()
    start_service(threads=1).classify(image_data=PICTURE, labels=LONG)
    needed = time.perf_counter() - began
    event = http_api(
        "POST", "/classify", body=json.dumps({"image_data": PICTURE, "labels": LONG}).encode(), encode=False
    )
    # Not the default: this is about time, and a busy machine may be slow to read a thousand labels.
    variables = {"CACHE_URL": redis_server.url, "CACHE_BUDGET_MS": "5000"}

    def answer(seconds: float, instance: str) -> dict[str, Any]:
        (tmp_path / instance).mkdir()
        with runtime_api() as api, runtime(api, tmp_path / instance, variables):
            api.seconds = seconds
            report = api.invoke(event)
        assert report.kind == "response"
        return cast("dict[str, Any]", report.body)

    # Half a second is kept for the answer's way to the client.
    first = answer(0.5 + needed / 4, "first")
    assert first["statusCode"] == 503
    assert first["headers"]["Retry-After"] == "1"
    done = len(redis_server.client.keys())
    assert json.loads(first["body"])["detail"].startswith(f"{done} of the 1,000 labels")
    second = answer(59.0, "second")
    assert second["statusCode"] == 200
    assert second["headers"]["X-Label-Cache"] == f"precomputed=0, memory=0, store={done}, computed={len(LONG) - done}"


def test_a_warm_up_keeps_each_batch_so_that_one_cut_short_goes_on(redis_server: RedisServer) -> None:
    warm = build_handler(Settings(cache_url=redis_server.url))
    redis_server.client.config_set("maxmemory-policy", "noeviction")
    used = int(redis_server.client.info("memory")["used_memory"])
    redis_server.client.config_set("maxmemory", used + 400_000)
    with pytest.raises(Exception, match="did not take"):
        warm({"warm": {"labels": LONG}}, None)
    stored = len(redis_server.client.keys())
    assert 0 < stored < len(LONG)
    redis_server.client.config_set("maxmemory", 0)
    report = warm({"warm": {"labels": LONG}}, None)
    assert (report["stored"], report["computed"]) == (stored, len(LONG) - stored)
