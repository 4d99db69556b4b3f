"""A job may be run again, over any list in any order: it skips what has a line, and no object ever has two."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moderator.jobs.desk import Desk
from moderator.jobs.judge import Policies, read_configured
from moderator.jobs.line import Line
from moderator.jobs.parts import PartsIndex, own_key, part_name
from moderator.jobs.requests import Answered
from moderator.jobs.results import Results
from moderator.jobs.sources import Source
from moderator.settings import Settings
from support.account import Account
from support.object_store import ObjectStore, refused


@pytest.fixture(scope="module")
def configured() -> Policies:
    return read_configured(Settings())


KEYS = [f"{number}/ü {number * 7919 % 100:02}.png" for number in range(40)]


@st.composite
def histories(draw: st.DrawFn) -> list[tuple[list[str], list[str], int, bool]]:
    """Some jobs: which objects change before it, which are listed, in what order, cut how, and with ETags or not."""
    some = st.lists(st.sampled_from(KEYS), unique=True, max_size=len(KEYS))
    one = st.tuples(some, some, st.integers(1, 12), st.booleans())
    return draw(st.lists(one, min_size=2, max_size=5))


@settings(max_examples=60, deadline=None)
@given(history=histories(), page=st.sampled_from([2, 1000]), remembered=st.sampled_from([5, 10_000]))
def test_whatever_the_order_and_the_batches_each_object_has_one_line_and_is_judged_once(
    configured: Policies, history: list[tuple[list[str], list[str], int, bool]], page: int, remembered: int
) -> None:
    account = Account(configured, workers=2, page=page, remembered=remembered)
    for key in KEYS:
        account.put(key, b"\x89PNG first")
    has_line: dict[str, bytes] = {}
    objects = account.store.buckets["pictures"]
    for number, (changed, listed, batch, e_tags) in enumerate(history):
        for key in changed:
            account.put(key, b"\x89PNG %d" % number)
        account.judge.judged.clear()
        known = account.job(f"job {number}", account.items(listed, e_tags=e_tags), batch=batch, desk=number)
        # Judged is what has no line for these bytes, and nothing else.
        new = {key for key in listed if has_line.get(key) != objects[key]}
        assert account.judge.judged == Counter(new)
        assert known == len(listed) - len(new)
        has_line |= {key: objects[key] for key in listed}
        found = account.lines()
        assert found.keys() == has_line.keys()
        e_tag = {item["Key"]: item["Etag"].strip('"') for item in account.store.items("pictures")}
        assert all(found[key]["source"]["eTag"] == e_tag[key] for key in listed)


def test_a_list_in_another_order_asks_for_little(configured: Policies) -> None:
    """Of 300 earlier parts those are read that have a line of the batch; their names are listed once for each job."""
    account = Account(configured)
    keys = [f"{number:05}.png" for number in range(3000)]
    for key in keys:
        account.put(key, b"\x89PNG")
    account.job("first", account.items(keys), batch=10)
    random.Random(1).shuffle(keys)
    account.store.page = 100
    account.store.asked.clear()
    assert account.job("second", account.items(keys[:200]), batch=100) == 200
    assert account.store.asked["list"] == 4, "300 names, and that these are all, for both batches"
    # No part is read twice for a batch, and few in vain; besides, each batch looks for its own.
    assert account.store.asked["get"] <= 200 + 2 + 4


def test_a_batch_that_died_after_writing_goes_on_from_there(configured: Policies) -> None:
    account = Account(configured, workers=2)
    for key in KEYS:
        account.put(key, b"\x89PNG")
    items = [*account.items(KEYS), {"Key": "gone.png", "Etag": "x"}]
    account.job("job", items, batch=100)
    # Step Functions tries it again, elsewhere: also what was about the moment is done, for this job, and was not known.
    assert account.job("job", items, batch=100, desk=1) == 0
    assert set(account.judge.judged.values()) == {1}
    assert account.lines().keys() == {*KEYS, "gone.png"}
    account.put("gone.png", b"\x89PNG")
    account.job("another", items, batch=100)
    assert "error" not in account.lines()["gone.png"], "what was about the moment is tried again by another job"


def test_what_is_known_from_before_is_so_at_each_try(configured: Policies) -> None:
    """A batch of which a half has lines, of the same part and of others, and which is tried three times."""
    account = Account(configured, workers=3)
    for key in KEYS[:12]:
        account.put(key, b"\x89PNG")
    account.job("first", account.items(KEYS[:12]), batch=12)
    for key in KEYS[:5]:
        account.put(key, b"\x89PNG of other bytes")
    for desk in range(3):
        assert account.job("second", account.items(KEYS[:12]), batch=12, desk=desk) == 7
    assert account.end("second")["known"] == 7

    results = account.store.buckets["results"]
    for count in [key for key in results if key.startswith("jobs/second/batches/")]:
        del results[count]  # as if the worker had died before it wrote this
    failed = account.end("second", {"Lambda.Unknown": [account.items(KEYS[:12])]})
    assert (failed["objects"], failed["known"], failed["unjudged"]["objects"]) == (12, 7, 0)


REFUSED, GONE = refused(403, "AccessDenied"), refused(404, "NoSuchKey")


@pytest.mark.parametrize("order", [1, -1], ids=["in the same batch", "in another"])
def test_what_s3_says_nothing_about_keeps_its_verdict(configured: Policies, order: int) -> None:
    """A list without ETags, in an outage: the bytes may be the same as before, and are not known to be others."""
    account = Account(configured)
    for key in KEYS[:3]:
        account.put(key, b"\x89PNG")
    account.job("first", account.items(KEYS[:3]), batch=3)
    before = account.lines()
    items = account.items(KEYS[:3], e_tags=False)[::order]
    account.put("new.png", b"\x89PNG")
    items.append({"key": "new.png"})

    def fail(bucket: str, call: str) -> None:
        if bucket == "pictures":
            raise REFUSED

    account.store.meanwhile = fail
    account.job("second", items, batch=2 + order)
    assert {key: line for key, line in account.lines().items() if key in before} == before
    summary = account.end("second")
    assert (summary["objects"], summary["known"]) == (4, 3)
    assert summary["failures"] == {"object-refused": 4}, "that it was not looked at is said"
    assert summary["verdicts"] == {"allow": 3, "review": 1}

    # So does what the read itself finds to be other: here the judge fails at it.
    account.store.meanwhile = lambda bucket, call: fail(bucket, call) if call == "head_object" else None
    account.put(KEYS[2], b"\x89PNG that fails")
    account.job("meanwhile", items[:3], batch=2 + order)
    found = account.lines()
    assert found[KEYS[2]]["error"]["type"].endswith(":judge-failed")
    assert found[KEYS[2]]["source"]["eTag"] != before[KEYS[2]]["source"]["eTag"]
    assert found[KEYS[0]] == before[KEYS[0]]
    account.put(KEYS[2], b"\x89PNG")

    # What is known to be gone, or to be other, loses it.
    account.store.meanwhile = lambda *_: None
    account.store.buckets["pictures"].pop(KEYS[0])
    account.put(KEYS[1], b"\x89PNG of other bytes")
    account.job("third", items, batch=4)
    found = account.lines()
    assert found[KEYS[0]]["error"]["type"].endswith(":object-gone")
    assert found[KEYS[1]]["source"]["eTag"] != before[KEYS[1]]["source"]["eTag"]
    assert found[KEYS[2]] == before[KEYS[2]]


def test_a_try_that_ends_early_leaves_the_lines_of_what_it_did_not_come_to(
    configured: Policies, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a list without ETags, while S3 says nothing about most of the objects."""
    account = Account(configured)
    for key in KEYS[:6]:
        account.put(key, b"\x89PNG")
    account.job("first", account.items(KEYS[:6]), batch=6)
    before = account.lines()
    account.put(KEYS[0], b"\x89PNG of other bytes")
    account.store.refuses = {f"pictures/{key}" for key in KEYS[1:6]}
    items = account.items(KEYS[:6], e_tags=False)
    with monkeypatch.context() as patched:
        limited(patched, 1)
        tried = account.batch("second", items)
    assert tried["unfinished"]
    assert {key: line for key, line in account.lines().items() if key != KEYS[0]} == {
        key: line for key, line in before.items() if key != KEYS[0]
    }
    # However often the batch is tried, it tells what could not be read, and of which it has judged nothing.
    for _ in range(2):
        told = account.batch("second", items)
        assert (told["objects"], told["known"], told["failures"]) == (6, 5, {"object-refused": 5})
    assert account.end("second")["failures"] == {"object-refused": 5}
    assert {key: line for key, line in account.lines().items() if key != KEYS[0]} == {
        key: line for key, line in before.items() if key != KEYS[0]
    }


def limited(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Let the time suffice for so many objects a try."""
    lines = Desk.lines
    monkeypatch.setattr(
        Desk, "lines", lambda desk, policy, sources, **more: lines(desk, policy, sources[:number], **more)
    )


@pytest.mark.parametrize("other", ["job", "another job"])
def test_a_call_that_has_fewer_lines_and_ends_last_takes_none_away(
    configured: Policies, monkeypatch: pytest.MonkeyPatch, other: str
) -> None:
    """Step Functions may try a batch again while its first call still works; and two jobs may run at once."""
    account = Account(configured, workers=2)
    for key in KEYS[:6]:
        account.put(key, b"\x89PNG")
    items = account.items(KEYS[:6])
    lines = Desk.lines

    def late(desk: Desk, policy: str, sources: Any, **more: Any) -> Any:
        found = lines(desk, policy, sources[:2], **more)
        monkeypatch.undo()
        account.put(KEYS[5], b"\x89PNG of other bytes")
        assert account.batch(other, account.items(KEYS[:6]), desk=1)["unfinished"] is False
        return found

    monkeypatch.setattr(Desk, "lines", late)
    told = account.batch("job", items)
    assert account.lines().keys() == set(KEYS[:6])
    assert told["objects"] == (0 if told["unfinished"] else 6)
    summary = account.end(other)
    assert (summary["objects"], summary["known"]) == (6, 0)
    # And the next try has nothing left to do, but for what the list has other bytes of.
    account.judge.judged.clear()
    assert account.batch("job", items)["objects"] == 6
    assert set(account.judge.judged) <= {KEYS[5]}


def test_a_part_that_others_write_all_the_time_is_given_up(
    configured: Policies, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = Account(configured)
    account.put(KEYS[0], b"\x89PNG")
    monkeypatch.setattr(account.desks[0].results, "write_part", lambda *_, **__: False)
    with pytest.raises(RuntimeError, match=r"Other workers write verdicts/.* all the time: the batch must be tried"):
        account.batch("job", account.items(KEYS[:1]))


def test_a_list_that_names_objects_with_their_version_and_without_comes_to_an_end(
    configured: Policies, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = Account(configured)
    for key in KEYS[:6]:
        account.store.upload("pictures", key, b"\x89PNG", version="v")
    items = [{"key": key, **version} for key in KEYS[:6] for version in ({}, {"versionId": "v"})]
    limited(monkeypatch, 3)
    tries = 0
    before: dict[str, Any] = {}
    while True:
        tries += 1
        before = account.batch("job", items, before={"counts": before} if before else {})
        if not before["unfinished"]:
            break
    assert tries <= 12
    assert (before["objects"], before["known"]) == (6, 0)
    assert account.lines().keys() == set(KEYS[:6])
    assert max(account.judge.judged.values()) <= 2
    assert account.batch("another", items)["known"] == 6


def test_a_verdict_that_is_kept_and_was_none_is_counted_by_its_own_reason(configured: Policies) -> None:
    account = Account(configured)
    account.put(KEYS[0], b"\x89PNG" + bytes(2000))
    items = account.items(KEYS[:1], e_tags=False)
    assert account.batch("first", items)["failures"] == {"too-much": 1}
    account.store.refuses = {f"pictures/{KEYS[0]}"}
    told = account.batch("second", items)
    assert (told["objects"], told["known"], told["failures"]) == (1, 1, {"too-much": 1})


def test_a_try_that_fails_is_paid_for_too(configured: Policies, monkeypatch: pytest.MonkeyPatch) -> None:
    account = Account(configured)
    account.put(KEYS[0], b"\x89PNG")
    requests = account.desks[0].requests

    def broken(*asked: Any, **more: Any) -> Any:
        requests.add(Answered(reads=100))
        raise RuntimeError("broken")

    with monkeypatch.context() as patched:
        patched.setattr(Results, "write_part", broken)
        with pytest.raises(RuntimeError, match="broken"):
            account.batch("job", account.items(KEYS[:1]))
    account.batch("job", account.items(KEYS[:1]))
    summary = account.end("job")
    assert (summary["objects"], summary["batches"]) == (1, 1)
    assert summary["requests"]["reads"] == 100 + 2, "what the judge has sent at both tries is among them"


def test_what_another_job_takes_out_is_no_more_of_those_that_were_judged(configured: Policies) -> None:
    """A part of five new lines and of seven that were there: of both, another job takes one away."""
    account = Account(configured)
    for key in KEYS[:12]:
        account.put(key, b"\x89PNG")
    account.job("first", account.items(KEYS[:12]), batch=12)
    for key in KEYS[:5]:
        account.put(key, b"\x89PNG of other bytes")
    everything = account.items(KEYS[:12])
    account.job("second", everything, batch=12)
    for key in (KEYS[0], KEYS[11]):
        account.put(key, b"\x89PNG of the newest bytes")
        account.job("third", account.items([key]), batch=1)
    results = account.store.buckets["results"]
    for name in [name for name in results if name.startswith("jobs/second/batches/")]:
        del results[name]
    failed = account.end("second", {"Lambda.Unknown": [everything]})
    assert (failed["objects"], failed["known"]) == (10, 6)
    assert {item["key"] for item in account.unjudged("second")} == {KEYS[0], KEYS[11]}


def test_delete_markers_of_an_inventory_have_no_line_and_are_counted(configured: Policies) -> None:
    account = Account(configured)
    for version in ("1", "2"):
        account.store.upload("pictures", "a.png", b"\x89PNG", version=version)
    rows = [
        {"Bucket": "pictures", "Key": "a.png", "VersionId": version, "IsLatest": "false", "IsDeleteMarker": marker}
        for version, marker in (("1", "false"), ("2", "false"), ("3", "true"))
    ]
    gone = [row | {"VersionId": str(number), "IsDeleteMarker": "TRUE"} for number, row in enumerate(rows)]
    account.job("job", [*rows, *gone], batch=3)
    account.job("job", [dict(row, Key="b.png") for row in gone], batch=3)
    summary = account.end("job")
    assert (summary["objects"], summary["batches"]) == (2, 3)
    assert summary["failures"] == {"delete-marker": 7}
    # Beside them, an item that names nothing is no reason to refuse the batch.
    assert account.batch("more", [*gone, {"Size": "3"}])["failures"] == {"delete-marker": 3, "nameless-item": 1}
    again = account.end("job", {"Lambda.Unknown": [gone]})
    assert (again["batches"], again["unjudged"]["batches"]) == (3, 0), "it has counted itself"
    # Nor are they left out by a batch that fails.
    assert account.end("other", {"Lambda.Unknown": [gone]})["unjudged"]["objects"] == 0


@pytest.mark.parametrize("then", ["the same batch again", "a later job of everything"])
def test_a_worker_that_dies_before_it_takes_an_old_line_out_leaves_it_for_the_next(
    configured: Policies, monkeypatch: pytest.MonkeyPatch, then: str
) -> None:
    account = Account(configured, workers=2)
    for key in KEYS[:3]:
        account.put(key, b"\x89PNG")
    account.job("first", account.items(KEYS[:3]), batch=3)
    account.put(KEYS[0], b"\x89PNG of other bytes")

    def die(*_: object) -> None:
        raise RuntimeError("killed")

    with monkeypatch.context() as patched:
        patched.setattr(account.desks[0].results, "take_out", die)
        with pytest.raises(RuntimeError, match="killed"):
            account.job("second", account.items(KEYS[:1]), batch=1)
    with pytest.raises(AssertionError, match="two lines"):
        account.lines()
    if then == "the same batch again":
        account.job("second", account.items(KEYS[:1]), batch=1, desk=1)
    else:
        account.job("third", account.items(KEYS[:3]), batch=3, desk=1)
    (item,) = account.items(KEYS[:1])
    assert account.lines()[KEYS[0]]["source"]["eTag"] == item["Etag"].strip('"')


def test_versions_have_a_line_each(configured: Policies) -> None:
    account = Account(configured)
    for version in ("1", "2"):
        account.store.upload("pictures", "a.png", b"\x89PNG", version=version)
    items = [{"key": "a.png", "versionId": version} for version in ("1", "2")]
    account.job("job", items, batch=1)
    assert account.job("again", items[::-1], batch=2) == 2
    with pytest.raises(AssertionError, match="two lines"):
        account.lines()


def test_what_was_there_before_a_bucket_had_versions_is_judged_as_what_it_is(configured: Policies) -> None:
    """An inventory of all versions has an empty one for it, which elsewhere means whatever is there now."""
    account = Account(configured)
    for key in KEYS[:3]:
        account.store.upload("pictures", key, b"\x89PNG block", version="null")
        account.store.upload("pictures", key, b"\x89PNG", version="2")
    rows = [
        {"Bucket": "pictures", "Key": key, "VersionId": version, "IsLatest": latest, "IsDeleteMarker": "false"}
        for key in KEYS[:3]
        for version, latest in (("2", "true"), ("", "false"))
    ]
    told = account.batch("job", rows)
    assert (told["objects"], told["verdicts"]) == (6, {"allow": 3, "block": 3})
    assert account.batch("again", rows)["known"] == 6
    listed = [{"Key": key, "VersionId": ""} for key in KEYS[:3]]
    assert account.batch("listed", listed)["verdicts"] == {"allow": 3}, "a list of one's own means what is there now"


def test_two_workers_may_take_lines_out_of_one_part(configured: Policies) -> None:
    account = Account(configured)
    for key in KEYS[:3]:
        account.put(key, b"\x89PNG")
    account.job("job", account.items(KEYS[:3]), batch=3)
    (part,) = [key for key in account.store.buckets["results"] if key.startswith("verdicts/")]
    results = account.desks[0].results
    meanwhile = [KEYS[0]]

    def is_old(line: Line) -> bool:
        if meanwhile:
            other = meanwhile.pop()
            results.take_out(part, lambda line: line["source"]["key"] == other)
        return bool(line["source"]["key"] == KEYS[1])

    results.take_out(part, is_old)
    assert account.lines().keys() == {KEYS[2]}


def test_a_line_that_another_job_writes_meanwhile_stays(configured: Policies, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two jobs over one object, each in a part of its own: neither takes out what it has not read."""
    account = Account(configured, workers=2)
    for key in KEYS[:3]:
        account.put(key, b"\x89PNG")
    account.job("first", account.items(KEYS[:3]), batch=3)
    account.put(KEYS[0], b"\x89PNG of other bytes")
    results = account.desks[0].results
    take_out = results.take_out

    def late(*asked: Any) -> None:
        monkeypatch.setattr(results, "take_out", take_out)
        account.put(KEYS[0], b"\x89PNG of the newest bytes")
        account.job("third", account.items(KEYS[:3]), batch=3, desk=1)
        take_out(*asked)

    monkeypatch.setattr(results, "take_out", late)
    account.job("second", account.items(KEYS[:1]), batch=1)
    (item,) = account.items(KEYS[:1])
    assert account.lines()[KEYS[0]]["source"]["eTag"] == item["Etag"].strip('"')


def test_a_part_that_is_written_while_its_last_line_goes_is_not_deleted(configured: Policies) -> None:
    account = Account(configured)
    account.put(KEYS[0], b"\x89PNG")
    account.job("job", account.items(KEYS[:1]), batch=1)
    (part,) = [key for key in account.store.buckets["results"] if key.startswith("verdicts/")]
    results, (old,) = account.desks[0].results, account.lines().values()
    newer = [old | {"verdict": "review"}]
    e_tag = results.part(part).e_tag

    def is_old(line: Line) -> bool:
        results.write_part(part, newer, "another", new=1, instead_of=e_tag)
        return bool(line == old)

    results.take_out(part, is_old)
    assert account.lines()[KEYS[0]]["verdict"] == "review"


@given(st.lists(st.lists(st.text(min_size=1), min_size=1, max_size=20), max_size=20), st.data())
def test_the_index_never_misses_a_part(parts: list[list[str]], data: st.DataObject) -> None:
    index = PartsIndex()
    named = []
    for keys in parts:
        name = part_name([Source(bucket="b", key=key) for key in keys])
        named.append((name, keys))
        index.add(name)
    wanted = data.draw(st.lists(st.sampled_from([key for keys in parts for key in keys] or ["a"]), max_size=5))
    found = index.find(wanted)
    assert {name for name, keys in named if set(keys) & set(wanted)} <= set(found)


def test_the_index_stays_within_its_memory() -> None:
    """Twelve bytes an object: ten million, which it may remember, take 120 MB."""
    index = PartsIndex()
    for number in range(100):
        index.add(part_name([Source(bucket="b", key=f"{number}/{one}") for one in range(100)]))
    assert index.find(["5/7"])
    entries = index._entries
    assert entries.itemsize * len(entries) + sum(map(len, index._names)) <= 13 * len(index)


@pytest.mark.parametrize("bucket", ["b" * 63])
def test_the_longest_name_of_a_part_is_one_that_s3_takes(configured: Policies, bucket: str) -> None:
    store = ObjectStore({"results": {}})
    results = Results(store, "results")
    sources = [Source(bucket=bucket, key=f"{number:04}{'x' * 1000}") for number in range(150)]
    key = own_key(sources, configured.names("demo"))
    results.write_part(key, [], "job", new=0, instead_of="")  # the store refuses a name of over 1024 bytes
    assert key in store.buckets["results"]
