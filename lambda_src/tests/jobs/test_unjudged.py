"""What a job's failed batches left out is named exactly: what has no line for its present bytes, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moderator.jobs.judge import Policies, read_configured
from moderator.settings import Settings
from support.account import Account

KEYS = [f"{number}/ü {number * 7919 % 100:02}.png" for number in range(30)]


@pytest.fixture(scope="module")
def configured() -> Policies:
    return read_configured(Settings())


def filled(configured: Policies, **more: Any) -> Account:
    account = Account(configured, **more)
    for key in KEYS:
        account.put(key, b"\x89PNG first")
    return account


def test_a_changed_object_is_unjudged_although_its_part_has_an_old_line(configured: Policies) -> None:
    account = filled(configured)
    account.job("first", account.items(KEYS[:3]), batch=3)
    account.put(KEYS[1], b"\x89PNG other bytes")
    summary = account.end("second", {"Lambda.Unknown": [account.items(KEYS[:3])]})
    assert [item["key"] for item in account.unjudged("second")] == [KEYS[1]]
    assert (summary["unjudged"]["objects"], summary["objects"], summary["known"]) == (1, 2, 2)


def test_a_line_in_whatever_part_is_a_line(configured: Policies) -> None:
    account = filled(configured)
    account.job("first", account.items(KEYS[:5]), batch=5)
    account.end("second", {"Lambda.Unknown": [account.items(KEYS[3:7])]})
    assert [item["key"] for item in account.unjudged("second")] == KEYS[5:7]


def test_what_was_about_the_moment_is_unjudged_unless_the_job_itself_has_tried_it(configured: Policies) -> None:
    account = filled(configured)
    items = [*account.items(KEYS[:2]), {"Key": "gone.png", "Etag": "x"}]
    account.job("first", items, batch=3)
    for job, left in (("first", []), ("second", ["gone.png"])):
        account.end(job, {"Lambda.Unknown": [items]})
        assert [item["key"] for item in account.unjudged(job)] == left


def test_a_batch_that_was_given_up_and_ended_all_the_same_counts_once(configured: Policies) -> None:
    """Step Functions gives a batch up after five minutes; its worker knows nothing of that."""
    account = filled(configured)
    account.job("job", account.items(KEYS[:4]), batch=2)
    summary = account.end("job", {"States.Timeout": [account.items(KEYS[2:4]), account.items(KEYS[4:6])]})
    assert (summary["objects"], summary["batches"], summary["verdicts"]) == (4, 2, {"allow": 4})
    assert (summary["unjudged"]["objects"], summary["unjudged"]["batches"]) == (2, 1)


def test_a_redrive_that_comes_to_what_was_left_out_leaves_no_list_of_it(configured: Policies) -> None:
    account = filled(configured)
    account.end("job", {"Lambda.Unknown": [account.items(KEYS[:2])]})
    assert len(account.unjudged("job")) == 2
    account.job("job", account.items(KEYS[:2]), batch=2)
    summary = account.end("job", {"Lambda.Unknown": [account.items(KEYS[:2])]})
    assert summary["unjudged"]["list"] is None
    assert not [key for key in account.store.buckets["results"] if key.endswith("unjudged.jsonl")]


def test_what_another_batch_of_the_same_job_has_judged_is_not_unjudged(configured: Policies) -> None:
    """Also where the worker remembers the parts' names from before the job."""
    account = filled(configured, page=2)
    account.job("earlier", account.items(KEYS[10:]), batch=2)
    account.job("job", account.items(KEYS[:4]), batch=2)
    account.end("job", {"Lambda.Unknown": [account.items(KEYS[2:6])]})
    assert [item["key"] for item in account.unjudged("job")] == KEYS[4:6]


def test_a_summary_whose_time_is_short_names_more_and_says_so(configured: Policies) -> None:
    """It looks into the batches' own parts alone: a job that takes the list skips what it finds in others."""
    account = filled(configured)
    account.job("first", account.items(KEYS[:5]), batch=5)
    left = account.end("second", {"Lambda.Unknown": [account.items(KEYS[3:7])]}, until=0.0)["unjudged"]
    assert (left["objects"], left["unchecked"]) == (4, 4)
    assert account.job("rest", account.unjudged("second"), batch=10) == 2
    assert account.end("third", {"Lambda.Unknown": [account.items(KEYS[3:7])]})["unjudged"]["unchecked"] == 0


def test_what_s3_says_nothing_about_may_have_a_line(configured: Policies) -> None:
    account = filled(configured)
    account.job("first", account.items(KEYS[:5]), batch=5)
    account.store.refuses = {f"pictures/{key}" for key in KEYS[:2]}
    failed = [account.items(KEYS[:7], e_tags=False)]
    left = account.end("second", {"Lambda.Unknown": failed})["unjudged"]
    assert (left["objects"], left["unchecked"]) == (4, 2)
    assert {item["key"] for item in account.unjudged("second")} == {*KEYS[:2], *KEYS[5:7]}


SOME = st.lists(st.sampled_from(KEYS), unique=True, max_size=len(KEYS))


@settings(max_examples=60, deadline=None)
@given(
    history=st.lists(st.tuples(SOME, SOME, st.integers(1, 12)), max_size=4),
    failed=st.lists(SOME.filter(bool), min_size=1, max_size=5),
    e_tags=st.booleans(),
    page=st.sampled_from([2, 1000]),
    remembered=st.sampled_from([5, 10_000]),
)
def test_whatever_was_before_the_list_has_what_has_no_line_for_its_present_bytes(
    configured: Policies,
    history: list[tuple[list[str], list[str], int]],
    failed: list[list[str]],
    e_tags: bool,
    page: int,
    remembered: int,
) -> None:
    account = filled(configured, page=page, remembered=remembered)
    objects = account.store.buckets["pictures"]
    has_line: dict[str, bytes] = {}
    for number, (changed, listed, batch) in enumerate(history):
        account.job(f"job {number}", account.items(listed), batch=batch)
        has_line |= {key: objects[key] for key in listed}
        for key in changed:
            account.put(key, b"\x89PNG %d" % number)
    batches = [account.items(keys, e_tags=e_tags) for keys in failed]
    summary = account.end("last", {"Lambda.Unknown": batches})
    wanted = {key for keys in failed for key in keys}
    left = {key for key in wanted if has_line.get(key) != objects[key]}
    named = [item["key"] for item in account.unjudged("last")]
    assert set(named) == left
    assert len(named) == len(set(named)), "once each"
    assert (summary["objects"], summary["unjudged"]["objects"]) == (len(wanted - left), len(left))

    # The list is one that a job takes, and it judges what is in it and nothing else.
    account.judge.judged.clear()
    account.job("rest", account.unjudged("last"), batch=10)
    assert account.judge.judged.keys() == left
    assert account.lines().keys() == has_line.keys() | wanted
