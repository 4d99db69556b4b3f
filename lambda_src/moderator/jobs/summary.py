"""A job's end: what its batches counted, added up, with the time it took and what that costs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from moderator.jobs.batch import Desk
from moderator.jobs.cost import Prices, job_dollars


def is_end(event: Mapping[str, Any]) -> bool:
    """Return whether an event asks for a job's summary."""
    return "end" in event


def summarise(event: Mapping[str, Any], desk: Desk, *, memory_mb: int) -> dict[str, Any]:
    """Write `summary.json` and `manifest.json` of a job; return the summary."""
    end = event["end"]
    job, policy = end["job"], end["policy"]
    totals: Counter[str] = Counter()
    parts: dict[str, Counter[str]] = {"verdicts": Counter(), "categories": Counter(), "failures": Counter()}
    for counted in desk.results.counts(job):
        totals.update({name: counted[name] for name in ("objects", "bytes", "known")} | {"batches": 1})
        totals["ms"] += counted.get("ms", 0)
        for name, part in parts.items():
            part.update(counted[name])
    seconds = (datetime.now(UTC) - datetime.fromisoformat(end["started"])).total_seconds()
    names = desk.configured.names(policy)
    summary = {
        "job": job,
        "asked": end["asked"],
        "policy": dict(names.policy),
        "model": dict(names.model),
        "objects": totals["objects"],
        "known": totals["known"],
        "bytes": totals["bytes"],
        "batches": totals["batches"],
        **{name: dict(sorted(part.items())) for name, part in parts.items()},
        "seconds": round(seconds, 1),
        "worker_seconds": round(totals["ms"] / 1000, 1),
        "dollars": round(
            job_dollars(
                Prices(),
                objects=totals["objects"] - totals["known"],
                batches=totals["batches"],
                worker_seconds=totals["ms"] / 1000,
                memory_mb=memory_mb,
            ),
            4,
        ),
    }
    desk.results.write_record(job, "summary", summary)
    folders = sorted({f"verdicts/bucket=*/policy={names.policy['version']}/model={names.model['fingerprint']}/"})
    desk.results.write_record(job, "manifest", {"job": job, "lines": folders, "map": end.get("map")})
    return summary
