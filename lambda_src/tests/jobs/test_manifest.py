"""A job's manifest names what is there: the folders and the parts that have its lines, by the names that S3 knows."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from moderator.jobs.judge import Policies, read_configured
from moderator.settings import Settings
from support.account import Account


@pytest.fixture(scope="module")
def configured() -> Policies:
    """With a fingerprint that no folder can have as it is."""
    found = read_configured(Settings())
    return replace(found, model=replace(found.model, fingerprint="some/model:ü " + "x" * 70))


@pytest.fixture
def account(configured: Policies) -> Account:
    account = Account(configured)
    for number in range(6):
        account.put(f"{number}.png", b"\x89PNG")
    account.store.buckets["others"] = {"a.png": b"\x89PNG"}
    account.store.buckets["empty"] = {}
    return account


def manifest(account: Account, job: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(account.store.buckets["results"][f"jobs/{job}/manifest.json"])
    return found


def parts(account: Account) -> list[str]:
    return sorted(key for key in account.store.buckets["results"] if key.startswith("verdicts/"))


def test_it_names_the_folders_and_each_part(account: Account) -> None:
    items = [*account.items(["0.png", "1.png", "2.png"]), {"bucket": "others", "key": "a.png"}]
    account.job("job", items, batch=2)
    account.end("job")
    found = manifest(account, "job")
    assert len(found["lines"]) == 2
    assert [folder.partition("/policy=")[0] for folder in found["lines"]] == [
        "verdicts/bucket=others",
        "verdicts/bucket=pictures",
    ]
    for folder in found["lines"]:
        assert any(key.startswith(folder) for key in parts(account)), folder
    assert len(found["parts"]) == 3, "two batches, one of them of two buckets"
    named = [[key for key in parts(account) if key.startswith(part)] for part in found["parts"]]
    assert [one for (one,) in named] == parts(account), "each is one part, and all are named"
    assert found["summary"] in account.store.buckets["results"]
    assert any(key.startswith(found["batches"]) for key in account.store.buckets["results"])
    assert found["unjudged"] is None


def test_a_job_that_knew_everything_names_the_folder_with_the_lines(account: Account) -> None:
    keys = [f"{number}.png" for number in range(4)]
    account.job("first", account.items(keys), batch=4)
    account.job("again", account.items(keys[:2]), batch=2)
    account.end("again")
    found = manifest(account, "again")
    (folder,) = found["lines"]
    assert all(key.startswith(folder) for key in parts(account))
    assert found["parts"] == [], "they stand in another job's part"


def test_failed_batches_parts_are_named_and_folders_without_lines_are_not(account: Account) -> None:
    account.job("job", account.items(["0.png", "1.png"]), batch=2)
    nothing = [{"bucket": "empty", "key": "gone.png"}]
    account.end("job", {"Lambda.Unknown": [account.items(["0.png", "1.png"]), nothing]})
    found = manifest(account, "job")
    assert len(found["lines"]) == len(found["parts"]) == 1
    assert found["unjudged"] == "jobs/job/unjudged.jsonl"


def test_what_a_batch_counted_stands_in_its_name_with_its_part(configured: Policies) -> None:
    """A job of 100,000 batches is added up by listings: nothing needs to be read."""
    account = Account(configured)
    items = [{"bucket": "b" * 63, "key": f"{number:04}"} for number in range(100)]
    account.job("j" * 80, items, batch=100)
    account.store.asked.clear()
    ((_, counted),) = account.desks[0].results.counts("j" * 80)
    assert counted["objects"] == 100
    assert account.store.asked["get"] == 0
