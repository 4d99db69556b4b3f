"""A summary's dollars are of the kind of executions that ran, of the requests that were sent, and of all tries."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import pytest

from moderator.jobs.desk import Desk
from moderator.jobs.judge import read_configured
from moderator.jobs.line import count
from moderator.jobs.results import Results
from moderator.jobs.summary import summarise
from moderator.settings import Settings

BATCH = count([]) | {
    "objects": 500_000,
    "known": 100_000,
    "ms": 30_000_000,
    "requests": {"reads": 8_000_000, "writes": 4},
    "unfinished": False,
}
UNFINISHED = count([]) | {"ms": 60_000_000, "requests": {"reads": 800_000, "writes": 3}, "unfinished": True}


class Counted:
    """The results of a job whose batches have counted this, and which keeps nothing."""

    def counts(self, job: str) -> Iterator[tuple[str, dict[str, Any]]]:
        yield from {"one": BATCH, "another": BATCH, "a try": UNFINISHED}.items()

    def forget_list(self, job: str, name: str) -> None:
        pass

    def write_record(self, job: str, name: str, record: Mapping[str, Any]) -> str:
        return f"jobs/{job}/{name}.json"

    def with_parts(self, folders: Sequence[str]) -> list[str]:
        return list(folders)


def summary(*, standard: bool) -> dict[str, Any]:
    desk = Desk(
        objects=cast(Any, None),
        judge=cast(Any, None),
        results=cast(Results, Counted()),
        configured=read_configured(Settings()),
        readers=1,
    )
    asked = {"job": "job", "policy": "demo", "started": "2026-11-28T12:00:00Z", "asked": {}, "standard": standard}
    return summarise({"end": asked}, desk, memory_mb=3008)


def test_a_jobs_dollars_are_those_of_what_ran() -> None:
    # 3 calls of 120,000 s in all · 3008/1024 GB · $0.0000133334, each with a log.
    calls = 120_000 * 2.9375 * 0.0000133334 + 3 * (0.2e-6 + 0.25e-6)
    # What was sent, whatever it was for; and 1000 listings of what there is to judge.
    requests = 16_800_000 * 0.4e-6 + (11 + 1000) * 5e-6
    # Two executions that are started, of three tries, each with a look at how it ended, and two ends: $25 per million.
    standard = (2 + 2 * 3 + 2) * 25e-6
    # Or two that are started, and Express ones for 120,000 s of 64 MB.
    express = 2 * (25e-6 + 1e-6) + 120_000 * 0.0625 * 0.00001667
    assert summary(standard=True)["dollars"] == pytest.approx(calls + requests + standard, abs=0.0001)
    assert summary(standard=False)["dollars"] == pytest.approx(calls + requests + express, abs=0.0001)


def test_a_summary_says_how_many_requests_were_sent() -> None:
    assert summary(standard=False)["requests"] == {"reads": 16_800_000, "writes": 11}
