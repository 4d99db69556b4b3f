"""Two jobs, or two calls of one batch, at the same time: no object loses its line, and none keeps a worse one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from moderator.jobs.batch import BatchStuck
from moderator.jobs.desk import Desk
from moderator.jobs.judge import Policies, read_configured
from moderator.jobs.sources import of_item
from moderator.settings import Settings
from support.account import Account

READ = Desk.lines


@pytest.fixture(scope="module")
def configured() -> Policies:
    return read_configured(Settings())


def filled(configured: Policies, *, version: str = "") -> Account:
    account = Account(configured, workers=2)
    for key in "xyz":
        if version:
            account.store.upload("pictures", key, b"\x89PNG", version=version)
        else:
            account.put(key, b"\x89PNG")
    return account


def meanwhile(monkeypatch: pytest.MonkeyPatch, then: Callable[[], object], *, most: int | None = None) -> None:
    """Let something happen when the next call has judged what it has time for, and has not written it yet."""

    def late(desk: Desk, policy: str, sources: Any, **more: Any) -> Any:
        found = READ(desk, policy, sources[:most], **more)
        monkeypatch.setattr(Desk, "lines", READ)
        then()
        return found

    monkeypatch.setattr(Desk, "lines", late)


def test_of_two_lines_that_are_alike_both_jobs_leave_the_same_one(
    configured: Policies, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = filled(configured)
    first, second = account.items(["x", "y"]), account.items(["x", "z"])
    meanwhile(monkeypatch, lambda: account.batch("b", second, desk=1))
    account.batch("a", first)
    with pytest.raises(AssertionError, match="two lines"):
        account.lines()

    # Both run once more, and the one is about to take a line out when the other does.
    for own, other in ((first, second), (second, first)):
        results = account.desks[0].results
        take_out = results.take_out

        def late(*asked: Any, other: Any = other, results: Any = results, take_out: Any = take_out) -> None:
            results.take_out = take_out
            account.batch("d", other, desk=1)
            take_out(*asked)

        monkeypatch.setattr(results, "take_out", late)
        assert account.batch("c", own)["known"] == 2
        monkeypatch.undo()
        assert account.lines().keys() == {"x", "y", "z"}


@pytest.mark.parametrize("other", ["job", "another job"])
@pytest.mark.parametrize(("version", "e_tags"), [("", False), ("", True), ("v", True)])
def test_what_one_call_could_not_read_does_not_replace_what_the_other_could(
    configured: Policies, monkeypatch: pytest.MonkeyPatch, other: str, version: str, e_tags: bool
) -> None:
    account = filled(configured, version=version)
    items = account.items(list("xyz"), e_tags=e_tags)
    account.store.refuses = {"pictures/x"}

    def then() -> None:
        account.store.refuses.clear()
        account.batch(other, items, desk=1)

    meanwhile(monkeypatch, then)
    told = account.batch("job", items)
    assert (told["objects"], told["verdicts"]) == (3, {"allow": 3})
    assert Counter(line["verdict"] for line in account.lines().values()) == {"allow": 3}


@pytest.mark.parametrize("other", ["job", "another job"])
@pytest.mark.parametrize("e_tags", [False, True])
def test_the_verdict_on_older_bytes_does_not_replace_the_one_on_newer(
    configured: Policies, monkeypatch: pytest.MonkeyPatch, other: str, e_tags: bool
) -> None:
    account = filled(configured)
    items = account.items(list("xyz"), e_tags=e_tags)

    def then() -> None:
        account.put("x", b"\x89PNG block")
        account.batch(other, items, desk=1)

    meanwhile(monkeypatch, then)
    assert account.batch("job", items)["verdicts"] == {"allow": 2, "block": 1}
    assert account.lines()["x"]["verdict"] == "block"


@pytest.mark.parametrize("now", ["gone", "other", "refused"])
@pytest.mark.parametrize("how", ["killed", "answer lost"])
def test_an_old_line_goes_although_the_call_that_wrote_the_new_one_died(
    configured: Policies, monkeypatch: pytest.MonkeyPatch, now: str, how: str
) -> None:
    account = filled(configured)
    account.batch("first", account.items(list("xyz")))
    account.put("x", b"\x89PNG block")
    items = account.items(["x"])
    if now == "gone":
        account.store.buckets["pictures"].pop("x")
    elif now == "refused":
        account.store.refuses = {"pictures/x"}
    results = account.desks[0].results
    with monkeypatch.context() as patched:
        if how == "killed":
            patched.setattr(results, "take_out", lambda *_: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                account.batch("second", items)
        else:
            write, asked = results.write_part, []

            def lost(*given: Any, **more: Any) -> bool:
                asked.append(write(*given, **more))
                return len(asked) > 1  # boto3's own retry is answered that the part is another one by now

            patched.setattr(results, "write_part", lost)
            account.batch("second", items)
    account.batch("second", items, desk=1)
    if now == "refused":
        account.store.refuses.clear()
        account.batch("third", items)
    line = account.lines()["x"]
    assert (line["verdict"], "error" in line) == (("review", True) if now == "gone" else ("block", False))


def test_an_error_goes_where_another_part_has_the_verdict(
    configured: Policies, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a bucket with versions: the error's line knows none, so that the two are not quite alike."""
    account = filled(configured, version="v")
    account.store.refuses = {"pictures/x"}
    account.batch("first", account.items(list("xyz")))
    account.store.refuses.clear()
    with monkeypatch.context() as patched:
        patched.setattr(account.desks[0].results, "take_out", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            account.batch("second", account.items(["x"]))
    account.batch("second", account.items(["x"]), desk=1)
    assert account.lines()["x"]["verdict"] == "allow"


def test_a_try_after_an_outage_comes_farther_although_fewer_lines_are_left(
    configured: Policies, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = Account(configured)
    keys = [f"{number:02}" for number in range(12)]
    for key in keys:
        account.put(key, b"\x89PNG")
    items = account.items(keys, e_tags=False)
    account.batch("first", items)
    account.store.refuses = {f"pictures/{key}" for key in keys}
    meanwhile(monkeypatch, lambda: None, most=10)
    tried = account.batch("second", items)
    assert (tried["unfinished"], tried["lines"]) == (True, 10)

    account.store.refuses.clear()
    for key in keys:
        account.put(key, b"\x89PNG of other bytes")
    meanwhile(monkeypatch, lambda: None, most=4)
    again = account.batch("second", items, before={"counts": tried})
    assert (again["unfinished"], again["lines"], again["judged"], again["tries"]) == (True, 4, 4, 2)
    with pytest.raises(BatchStuck, match="no more than after the last try"):
        meanwhile(monkeypatch, lambda: None, most=0)
        account.batch("second", items, before={"counts": again})
    monkeypatch.setattr(Desk, "lines", READ)
    assert account.batch("second", items, before={"counts": again})["objects"] == 12


def test_asking_which_bytes_are_there_ends_with_the_time(configured: Policies) -> None:
    account = filled(configured)
    account.batch("first", account.items(list("xyz"), e_tags=False))
    account.store.asked.clear()
    sources = [of_item({"key": key}, {"bucket": "pictures"}) for key in "xyz"]
    assert account.desks[0].e_tags(sources, until=0.0) == dict.fromkeys(sources, "")
    assert account.store.asked["head"] == 0
    account.store.buckets["pictures"].pop("x")
    assert account.desks[0].e_tags(sources)[sources[0]] is None
