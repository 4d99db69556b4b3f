"""A job's end: what its batches counted, added up, with what was left out, the time it took and what that costs."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from moderator.jobs.batch import piles_of
from moderator.jobs.cost import Prices, job_dollars
from moderator.jobs.desk import Desk
from moderator.jobs.line import Line, count
from moderator.jobs.map_results import FailedBatch, failed_batches
from moderator.jobs.sources import Source

# Of an object without a line, beside the reasons that lines give.
BATCH_FAILED = "batch-failed"
_AT_ONCE = 64  # failed batches that are looked after together


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

    def add(self, counted: Mapping[str, Any]) -> None:
        """Add what a batch counted."""
        self.numbers.update({name: counted.get(name, 0) for name in ("objects", "bytes", "known", "ms")})
        for name in ("verdicts", "categories", "failures"):
            getattr(self, name).update(counted[name])


def summarise(event: Mapping[str, Any], desk: Desk, *, memory_mb: int) -> dict[str, Any]:
    """Write `summary.json`, `manifest.json` and, where objects were left out, `unjudged.jsonl`; return the summary."""
    end = event["end"]
    job, policy = end["job"], end["policy"]
    names = desk.configured.names(policy)
    totals = _Totals()
    for counted in desk.results.counts(job):
        totals.add(counted)
        totals.numbers["unfinished" if counted.get("unfinished") else "batches"] += 1
    unjudged = _unjudged(job, end.get("map"), desk, totals)
    seconds = (datetime.now(UTC) - datetime.fromisoformat(end["started"])).total_seconds()
    numbers = totals.numbers
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
        "dollars": round(
            job_dollars(
                Prices(),
                objects=numbers["objects"] - numbers["known"],
                batches=numbers["batches"] + numbers["unfinished"],
                worker_seconds=numbers["ms"] / 1000,
                memory_mb=memory_mb,
            ),
            4,
        ),
    }
    desk.results.write_record(job, "summary", summary)
    folders = sorted({f"verdicts/bucket=*/policy={names.policy['version']}/model={names.model['fingerprint']}/"})
    desk.results.write_record(job, "manifest", {"job": job, "lines": folders, "map": end.get("map")})
    return summary


def _unjudged(job: str, map_record: Mapping[str, Any] | None, desk: Desk, totals: _Totals) -> dict[str, Any]:
    """Count, and name in a file, the objects of failed batches that have no line; those with one are added up."""
    reasons: Counter[str] = Counter()
    batches = 0
    with tempfile.TemporaryFile() as file:
        failed = failed_batches(desk.results, map_record)
        while some := list(islice(failed, _AT_ONCE)):
            batches += len(some)
            with ThreadPoolExecutor(16) as pool:
                became = list(pool.map(lambda batch: _what_became_of(batch, desk), some))
            for batch, (lines, missing) in zip(some, became, strict=True):
                totals.add(count(lines))
                reasons[batch.why] += len(missing) + batch.nameless
                file.writelines(_item(source) for source in missing)
        objects = reasons.total()
        if objects:
            totals.failures[BATCH_FAILED] += objects
        # A list that a job takes as it is.
        is_empty = file.tell() == 0
        file.seek(0)
        key = None if is_empty else desk.results.write_list(job, "unjudged", file)
    return {"objects": objects, "batches": batches, "reasons": dict(sorted(reasons.items())), "list": key}


def _what_became_of(batch: FailedBatch, desk: Desk) -> tuple[list[Line], list[Source]]:
    """Return the lines that a batch wrote before it failed, and the objects that have none of it."""
    names = desk.configured.names(batch.policy)
    lines: list[Line] = []
    missing: list[Source] = []
    for pile in piles_of(batch.sources):
        _, part = desk.results.own_part(pile, names)
        lines += part.lines
        seen = {
            (line["source"]["key"], version) for line in part.lines for version in (line["source"]["versionId"], None)
        }
        missing += [source for source in pile if (source.key, source.version_id) not in seen]
    return lines, missing


def _item(source: Source) -> bytes:
    """Write an object as the lists of jobs name it; what is not known is left out."""
    item = {name: value for name, value in source.as_json().items() if value is not None}
    size = item.pop("bytes", None)
    return (
        json.dumps(item | ({} if size is None else {"size": size}), ensure_ascii=False).encode("utf-8", "surrogatepass")
        + b"\n"
    )
