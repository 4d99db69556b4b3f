"""A summary's dollars are of the kind of executions that ran, with videos' ranges and further tries of batches."""

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

BATCH = count([]) | {"objects": 500_000, "known": 100_000, "ranges": 10_000_000, "ms": 30_000_000}
UNFINISHED = count([]) | {"ms": 60_000_000, "unfinished": True}


class Counted:
    """The results of a job whose batches have counted this, and which keeps nothing."""

    def counts(self, job: str) -> Iterator[tuple[str, dict[str, Any]]]:
        yield from {"one": BATCH, "another": BATCH, "a try": UNFINISHED}.items()

    def write_record(self, job: str, name: str, record: Mapping[str, Any]) -> str:
        return f"jobs/{job}/{name}.json"

    def with_parts(self, folders: Sequence[str]) -> list[str]:
        return list(folders)


def dollars(**end: object) -> float:
    desk = Desk(
        objects=cast(Any, None),
        judge=cast(Any, None),
        results=cast(Results, Counted()),
        configured=read_configured(Settings()),
        readers=1,
    )
    asked = {"job": "job", "policy": "demo", "started": "2026-11-28T12:00:00Z", "asked": {}} | end
    return float(summarise({"end": asked}, desk, memory_mb=3008)["dollars"])


def test_a_jobs_dollars_are_those_of_what_ran() -> None:
    # 3 calls of 120,000 s in all · 3008/1024 GB · $0.0000133334, each with three PUTs and a GET of lines, and a log.
    calls = 120_000 * 2.9375 * 0.0000133334 + 3 * (0.2e-6 + 15.4e-6 + 0.25e-6)
    # 800,000 objects that had no line yet, of their videos' ranges as many: 16 million; and 800 listings.
    reading = 16_800_000 * 0.4e-6 + 800 * 5e-6
    # Two executions that are started, with three tries of their one state: $25 per million.
    standard = 5 * 25e-6
    # Or two that are started, and Express ones for 120,000 s of 64 MB.
    express = 2 * (25e-6 + 1e-6) + 120_000 * 0.0625 * 0.00001667
    assert dollars(standard=True) == pytest.approx(calls + reading + standard, abs=0.0001)
    assert dollars(standard=False) == pytest.approx(calls + reading + express, abs=0.0001)


def test_an_older_state_machine_that_does_not_tell_ran_express_executions() -> None:
    assert dollars() == dollars(standard=False)
