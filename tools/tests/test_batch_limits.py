"""A job's batches stay under what Step Functions allows, with the longest keys, names and the largest `jobBatch`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from infra import rules
from infra.job_states import job_states
from moderator.jobs.line import count
from tools.emulator.limits import DATA_BYTES, in_batches, size_of

# The longest that AWS allows: a function's name, an execution's name, a bucket's name and a key.
FUNCTION = f"arn:aws-us-gov:lambda:us-gov-west-1:111122223333:function:{'f' * 64}"
BUCKET = "b" * 63
GIVEN = {"job": "j" * 80, "policy": "p" * 64, "encoded": False, "bucket": BUCKET}
MOST = rules._RANGES["job_batch"][1]


def batches(keys: list[str]) -> Iterator[dict[str, Any]]:
    """What a batch's task is called with, as the state machine's own batcher cuts a listing."""
    definition = job_states(
        function_arn=FUNCTION, results_bucket=BUCKET, batch=MOST, concurrency=1, tolerated=0, standard=True
    )
    batcher = definition["States"]["EachOfPrefix"]["ItemBatcher"]
    items = [
        {"Etag": f'"{"0" * 32}-10000"', "Key": key, "LastModified": 1_764_345_600, "Size": 5_497_558_138_880}
        | {"StorageClass": "INTELLIGENT_TIERING"}
        for key in keys
    ]
    cut = in_batches(items, most=batcher["MaxItemsPerBatch"], most_bytes=batcher["MaxInputBytesPerBatch"])
    for some in cut:
        yield {"FunctionName": FUNCTION, "Payload": {"BatchInput": GIVEN, "Items": some}}


@pytest.mark.parametrize("letter", ["k", "ü", "😀", '"', "\\"], ids=["plain", "umlaut", "emoji", "quote", "backslash"])
def test_a_batch_of_the_longest_keys_leaves_room_for_what_its_task_is_called_with(letter: str) -> None:
    width = len(letter.encode())
    keys = [f"{number:04}{letter * (1020 // width)}" for number in range(3 * MOST)]
    assert all(1020 < len(key.encode()) <= 1024 for key in keys)
    found = list(batches(keys))
    assert max(map(size_of, found)) <= DATA_BYTES
    # A task's data may be written with escapes, and another program may leave spaces.
    assert max(len(json.dumps(task)) for task in batches([f"{number:04}{'k' * 1020}" for number in range(999)])) <= (
        DATA_BYTES
    )
    assert [item["Key"] for task in found for item in task["Payload"]["Items"]] == keys
    assert len(found) > 3, "bytes are what ends a batch, not the number of its items"


def test_the_state_has_room_for_what_the_last_try_answered() -> None:
    """That goes with the batch into the next one; most of it is where its lines are, at worst in as many buckets."""
    buckets = [f"{number:03}{'b' * 60}" for number in range(MOST)]
    counts = count([]) | {"parts": {bucket: ["0" * 24] for bucket in buckets}, "known": 0, "ms": 900_000}
    counts |= {"requests": {"reads": 10**6, "writes": 10**6}, "unfinished": False, "lines": MOST}
    counts["failures"] = {f"{number}{'reason' * 4}": MOST for number in range(20)}
    counts["categories"] = {f"{number:02}{'c' * 62}": MOST for number in range(100)}
    for task in batches([f"{number:04}{'k' * 1020}" for number in range(3 * MOST)]):
        given = task["Payload"]["BatchInput"] | {"before": {"counts": counts}}
        assert size_of({"FunctionName": FUNCTION, "Payload": task["Payload"] | {"BatchInput": given}}) <= DATA_BYTES


def test_of_short_keys_a_batch_has_as_many_as_were_asked_for() -> None:
    assert [len(task["Payload"]["Items"]) for task in batches([f"{n}.jpg" for n in range(2 * MOST + 1)])] == [
        MOST,
        MOST,
        1,
    ]


def test_an_item_that_no_batch_holds_is_refused() -> None:
    with pytest.raises(ValueError, match="An item has 102 bytes: a batch may have 100"):
        list(in_batches(["a" * 100], most=10, most_bytes=100))
    assert list(in_batches(["a" * 96, "b"], most=10, most_bytes=100)) == [["a" * 96], ["b"]]
    assert list(in_batches(["a", "b"], most=10, most_bytes=9)) == [["a", "b"]]
    assert list(in_batches(["a", "b"], most=10, most_bytes=8)) == [["a"], ["b"]]
