"""A job's end: what its batches counted, added up, with what was left out, the time it took and what that costs."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from moderator.jobs.cost import Prices, job_parts
from moderator.jobs.desk import Desk
from moderator.jobs.parts import folder_of
from moderator.jobs.unjudged import Unjudged

# Of an object without a line, beside the reasons that lines give.
BATCH_FAILED = "batch-failed"


def is_end(event: Mapping[str, Any]) -> bool:
    """Return whether an event asks for a job's summary."""
    return "end" in event


@dataclass(kw_only=True)
class _Totals:
    """What is added up."""

    numbers: Counter[str] = field(default_factory=Counter)
    verdicts: Counter[str] = field(default_factory=Counter)
    categories: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    parts: dict[str, set[str]] = field(default_factory=dict)  # by bucket, by the beginnings of their names

    def add(self, counted: Mapping[str, Any]) -> None:
        """Add what a batch counted."""
        self.numbers.update({name: counted.get(name, 0) for name in ("objects", "bytes", "known", "ms")})
        self.numbers.update(counted.get("requests", {}))
        for name in ("verdicts", "categories", "failures"):
            getattr(self, name).update(counted[name])
        for bucket, parts in counted.get("parts", {}).items():
            self.parts.setdefault(bucket, set()).update(parts)


def summarise(event: Mapping[str, Any], desk: Desk, *, memory_mb: int, until: float = math.inf) -> dict[str, Any]:
    """Write `summary.json`, `manifest.json` and, where objects were left out, `unjudged.jsonl`; return the summary.

    `until`, a moment of the monotonic clock, is when it must be about to end.
    """
    end = event["end"]
    job, policy = end["job"], end["policy"]
    names = desk.configured.names(policy)
    totals, done = _Totals(), set()
    for batch, counted in desk.results.counts(job):
        totals.add(counted)
        totals.numbers["unfinished" if counted.get("unfinished") else "batches"] += 1
        done.add(batch)
    unjudged = Unjudged(job, desk, totals.add, done=done, until=until).write(end.get("map"))
    if unjudged["objects"]:
        totals.failures[BATCH_FAILED] += unjudged["objects"]
    seconds = (datetime.now(UTC) - datetime.fromisoformat(end["started"])).total_seconds()
    numbers = totals.numbers
    dollars = job_parts(
        Prices(),
        objects=numbers["objects"],
        reads=numbers["reads"],
        writes=numbers["writes"],
        batches=numbers["batches"],
        retries=numbers["unfinished"],
        standard=end["standard"],
        worker_seconds=numbers["ms"] / 1000,
        memory_mb=memory_mb,
    )
    summary = {
        "job": job,
        "asked": {name: value for name, value in end["asked"].items() if name != "map"},
        "policy": dict(names.policy),
        "model": dict(names.model),
        "objects": numbers["objects"],
        "known": numbers["known"],
        "bytes": numbers["bytes"],
        "batches": numbers["batches"],
        **{name: dict(sorted(getattr(totals, name).items())) for name in ("verdicts", "categories", "failures")},
        "unjudged": unjudged,
        "seconds": round(seconds, 1),
        "worker_seconds": round(numbers["ms"] / 1000, 1),
        "requests": {name: numbers[name] for name in ("reads", "writes")},
        "dollars": round(sum(dollars.values()), 4),
    }
    key = desk.results.write_record(job, "summary", summary)
    folders = {bucket: folder_of(bucket, names) for bucket in sorted(totals.parts)}
    manifest = {
        "job": job,
        "summary": key,
        "unjudged": unjudged["list"],
        "batches": f"jobs/{job}/batches/",
        # Where its lines are; those of uploads are below stream/, one level deeper.
        "lines": desk.results.with_parts(list(folders.values())),
        # The beginnings of its own parts' names: what it knew from before may stand in others.
        "parts": sorted(folders[bucket] + part for bucket, parts in totals.parts.items() for part in parts),
        "map": end.get("map"),
    }
    desk.results.write_record(job, "manifest", manifest)
    return summary
