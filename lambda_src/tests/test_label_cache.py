"""The label cache against a real server: what is known is never computed again, and never changes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from moderator.clip.model import read_model
from moderator.clip.towers import TextTower
from moderator.handler import build_handler
from moderator.settings import Settings
from support.harness import LAMBDA_SRC, RedisServer, StartService
from support.pictures import as_base64, drawn, encoded
from support.towers import Loader

pytestmark = pytest.mark.slow

PICTURE = encoded(drawn("red", "circle"))
LABELS = ["a red circle", "a blue square", "a green star"]
EVENT = {
    "rawPath": "/classify",
    "requestContext": {"http": {"method": "POST", "path": "/classify"}, "stage": "$default"},
    "body": json.dumps({"image_data": as_base64(PICTURE), "labels": LABELS}),
}

IN_A_NEW_PROCESS = """
import json, sys
from moderator.clip.towers import TextTower
def refuse(*_):
    sys.exit("the text tower was asked")
if sys.argv[1] == "no text tower":
    TextTower.batches = refuse
from moderator.handler import handler
response = handler(json.loads(sys.stdin.read()), None)
print("ANSWER" + json.dumps(response))
print("OPEN" + json.dumps([line.split()[-1] for line in open("/proc/self/maps") if line.strip().endswith(".onnx")]))
"""


def ask_a_new_process(url: str, mode: str = "") -> Any:
    """Answer EVENT in a process of its own, as a new Lambda instance would."""
    environment = os.environ | {"CACHE_URL": url, "PYTHONPATH": str(LAMBDA_SRC), "POWERTOOLS_METRICS_DISABLED": "true"}
    done = subprocess.run(
        [sys.executable, "-c", IN_A_NEW_PROCESS, mode],
        input=json.dumps(EVENT),
        capture_output=True,
        text=True,
        env=environment,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("ANSWER"))
    return json.loads(line.removeprefix("ANSWER"))


def headers_of(response: Any) -> dict[str, str]:
    return {name.lower(): value for name, value in response["headers"].items()}


def keys_in(server: RedisServer) -> list[bytes]:
    keys: Sequence[bytes] = server.client.keys("*")
    return sorted(keys)


def test_a_new_process_computes_nothing_and_answers_bit_for_bit_the_same(redis_server: RedisServer) -> None:
    first = ask_a_new_process(redis_server.url)
    second = ask_a_new_process(redis_server.url, "no text tower")
    assert headers_of(first)["x-label-cache"] == "precomputed=0, memory=0, store=0, computed=3"
    assert headers_of(second)["x-label-cache"] == "precomputed=0, memory=0, store=3, computed=0"
    assert second["body"] == first["body"]


def test_the_text_towers_session_is_not_loaded_when_the_store_has_all(redis_server: RedisServer) -> None:
    settings = replace(Settings(), cache_url=redis_server.url)
    build_handler(settings)({"warm": {"labels": LABELS}}, None)

    load = Loader()
    response = build_handler(settings, load=load)(EVENT, None)
    assert headers_of(response)["x-label-cache"] == "precomputed=0, memory=0, store=3, computed=0"
    assert not load.text.loaded


def test_memory_is_asked_first(redis_server: RedisServer, start_service: StartService) -> None:
    service = start_service(cache_url=redis_server.url)
    question = {"image_data": as_base64(PICTURE), "labels": LABELS}
    first = service.classify(**question)
    second = service.classify(**question)
    assert first.label_cache == {"precomputed": 0, "memory": 0, "store": 0, "computed": 3}
    assert second.label_cache == {"precomputed": 0, "memory": 3, "store": 0, "computed": 0}
    assert second.body == first.body


def test_a_request_may_be_answered_from_all_three_tiers(redis_server: RedisServer, start_service: StartService) -> None:
    other = start_service(cache_url=redis_server.url)
    other.classify(image_data=as_base64(PICTURE), labels=["a blue square"])
    service = start_service(cache_url=redis_server.url)
    service.classify(image_data=as_base64(PICTURE), labels=["a red circle"])
    mixed = service.classify(image_data=as_base64(PICTURE), labels=LABELS)
    assert mixed.label_cache == {"precomputed": 0, "memory": 1, "store": 1, "computed": 1}


def test_the_answer_is_the_same_from_every_tier(redis_server: RedisServer, start_service: StartService) -> None:
    question = {"image_data": as_base64(PICTURE), "labels": LABELS}
    service = start_service(cache_url=redis_server.url)
    computed, from_memory = service.classify(**question).body, service.classify(**question).body
    from_store = start_service(cache_url=redis_server.url).classify(**question).body
    assert computed == from_memory == from_store


def test_another_models_fingerprint_shares_nothing(
    redis_server: RedisServer, start_service: StartService, tmp_path: Path
) -> None:
    other_model = tmp_path / "other"
    other_model.mkdir()
    for file in Settings().model_dir.iterdir():
        if file.suffix != ".json" or file.name == "tokenizer.json":
            (other_model / file.name).symlink_to(file)
    manifest = json.loads((Settings().model_dir / "manifest.json").read_text())
    (other_model / "manifest.json").write_text(json.dumps(manifest | {"fingerprint": "0123456789abcdef"}))

    question = {"image_data": as_base64(PICTURE), "labels": LABELS}
    start_service(cache_url=redis_server.url).classify(**question)
    other = start_service(cache_url=redis_server.url, model_dir=other_model)
    assert other.classify(**question).label_cache == {"precomputed": 0, "memory": 0, "store": 0, "computed": 3}
    assert len(keys_in(redis_server)) == 6


def test_keys_hold_the_fingerprint_and_a_hash_and_have_a_time_to_live(
    redis_server: RedisServer, start_service: StartService
) -> None:
    import hashlib

    service = start_service(cache_url=redis_server.url, cache_ttl_seconds=1000)
    service.classify(image_data=as_base64(PICTURE), labels=LABELS)
    fingerprint = service.get("/health").json["model"]["fingerprint"]
    expected = sorted(
        f"clip:{{{fingerprint}}}:{hashlib.sha256(label.encode()).hexdigest()}".encode() for label in LABELS
    )
    assert keys_in(redis_server) == expected
    for key in expected:
        assert 900 < int(redis_server.client.ttl(key)) <= 1000


def test_a_value_is_the_little_endian_float32_unit_vector(
    redis_server: RedisServer, start_service: StartService
) -> None:
    start_service(cache_url=redis_server.url).classify(image_data=as_base64(PICTURE), labels=["a red circle"])
    (key,) = keys_in(redis_server)
    value = np.frombuffer(redis_server.client.get(key), "<f4")
    (computed,) = TextTower(read_model(Settings().model_dir), threads=1).embed(["a red circle"])
    assert np.array_equal(value, computed)
    assert abs(np.linalg.norm(value) - 1) < 1e-6


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda value: value[:-1], id="too short"),
        pytest.param(lambda value: value + b"\0\0\0\0", id="too long"),
        pytest.param(lambda value: b"", id="empty"),
        pytest.param(lambda value: np.full(len(value) // 4, np.nan, "<f4").tobytes(), id="NaN"),
        pytest.param(lambda value: np.full(len(value) // 4, np.inf, "<f4").tobytes(), id="infinite"),
        pytest.param(lambda value: (np.frombuffer(value, "<f4") * 1.01).astype("<f4").tobytes(), id="not unit length"),
        pytest.param(lambda value: np.full(len(value) // 4, 3e38, "<f4").tobytes(), id="overflowing"),
        pytest.param(lambda value: bytes(len(value)), id="zero"),
    ],
)
def test_a_corrupted_value_is_recomputed_and_overwritten(
    redis_server: RedisServer, start_service: StartService, damage: Any
) -> None:
    question = {"image_data": as_base64(PICTURE), "labels": LABELS}
    first = start_service(cache_url=redis_server.url, cache_budget_ms=5000).classify(**question)
    key = keys_in(redis_server)[0]
    right: bytes = redis_server.client.get(key)
    redis_server.client.set(key, damage(right))

    second = start_service(cache_url=redis_server.url, cache_budget_ms=5000).classify(**question)
    assert second.label_cache == {"precomputed": 0, "memory": 0, "store": 2, "computed": 1}
    for label, probability in first.json["result"].items():
        assert second.json["result"][label] == pytest.approx(probability, abs=1e-5)
    repaired = np.frombuffer(redis_server.client.get(key), "<f4")
    np.testing.assert_allclose(repaired, np.frombuffer(right, "<f4"), atol=1e-5)


def test_a_key_of_another_type_is_overwritten(redis_server: RedisServer, start_service: StartService) -> None:
    question = {"image_data": as_base64(PICTURE), "labels": ["a red circle"]}
    start_service(cache_url=redis_server.url).classify(**question)
    (key,) = keys_in(redis_server)
    redis_server.client.delete(key)
    redis_server.client.rpush(key, "a", "list")
    assert start_service(cache_url=redis_server.url).classify(**question).label_cache["computed"] == 1
    assert redis_server.client.type(key) == b"string"


def test_1000_labels_take_one_round_trip_to_read_and_one_to_write(
    redis_server: RedisServer, start_service: StartService
) -> None:
    labels = [f"number {number}" for number in range(1000)]
    question = {"image_data": as_base64(PICTURE), "labels": labels}
    start_service(cache_url=redis_server.url, cache_budget_ms=2000).classify(**question)
    assert len(keys_in(redis_server)) == 1000

    service = start_service(cache_url=redis_server.url, cache_budget_ms=2000)
    redis_server.client.config_resetstat()
    second = service.classify(**question)
    assert second.label_cache == {"precomputed": 0, "memory": 0, "store": 1000, "computed": 0}
    commands: Any = redis_server.client.info("commandstats")
    assert commands["cmdstat_mget"]["calls"] == 1
    assert "cmdstat_get" not in commands
    assert "cmdstat_set" not in commands


def test_memory_is_bounded_and_forgets_the_least_recently_used(start_service: StartService) -> None:
    service = start_service(memory_labels=2)

    def computed(*labels: str) -> int:
        reply = service.classify(image_data=as_base64(PICTURE), labels=list(labels))
        return reply.label_cache["computed"]

    assert computed("a") == 1
    assert computed("b") == 1
    assert computed("b", "a") == 0  # "b" is now the older of the two
    assert computed("c") == 1
    assert computed("a") == 0
    assert computed("b") == 1


def test_the_label_is_used_exactly_as_given(redis_server: RedisServer, start_service: StartService) -> None:
    # The tokenizer makes the same tokens of all three, but the client asked for three labels.
    service = start_service(cache_url=redis_server.url)
    reply = service.classify(image_data=as_base64(PICTURE), labels=["a cat", "A CAT", "a  cat"])
    assert list(reply.json["result"]) == ["a cat", "A CAT", "a  cat"]
    assert len(keys_in(redis_server)) == 3
