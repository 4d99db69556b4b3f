"""Buckets of objects and of results, and workers on jobs that know nothing of each other but by these."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, cast

from moderator.jobs.batch import judge_batch
from moderator.jobs.desk import Desk
from moderator.jobs.judge import Policies
from moderator.jobs.judge_process import JudgeProcess
from moderator.jobs.line import Line
from moderator.jobs.objects import Objects
from moderator.jobs.results import Results
from moderator.jobs.summary import summarise
from support.light_judge import LightJudge
from support.object_store import ObjectStore

NEVER = float("inf")


class Account:
    """A bucket of objects and one of results, and workers that know nothing of each other but by these."""

    def __init__(self, configured: Policies, *, workers: int = 1, page: int = 1000, remembered: int = 10_000) -> None:
        self.store = ObjectStore({"pictures": {}, "results": {}}, page=page)
        self.judge = LightJudge(configured)
        self.desks = [
            Desk(
                objects=Objects(self.store, max_bytes=1000),
                judge=cast("JudgeProcess", self.judge),
                results=Results(self.store, "results", remembered=remembered),
                configured=configured,
                readers=2,
            )
            for _ in range(workers)
        ]

    def put(self, key: str, data: bytes) -> None:
        self.store.buckets["pictures"][key] = data

    def items(self, keys: list[str], *, e_tags: bool = True) -> list[dict[str, Any]]:
        items = {item["Key"]: item for item in self.store.items("pictures")}
        return [items[key] if e_tags else {"key": key} for key in keys]

    def job(self, name: str, items: list[dict[str, Any]], *, batch: int, desk: int = 0) -> int:
        """Run a job whose batches take turns on the workers; return how many objects were known."""
        return sum(
            self.batch(name, items[at : at + batch], desk=(desk + number) % len(self.desks))["known"]
            for number, at in enumerate(range(0, len(items), batch))
        )

    def batch(self, name: str, items: list[dict[str, Any]], *, desk: int = 0, **more: Any) -> dict[str, Any]:
        """Run one batch of a job; return its answer."""
        given = {"job": name, "policy": "demo", "bucket": "pictures", **more}
        return judge_batch({"BatchInput": given, "Items": items}, self.desks[desk], until=NEVER)

    def lines(self) -> dict[str, Line]:
        parts = [data for key, data in self.store.buckets["results"].items() if key.startswith("verdicts/")]
        lines = [json.loads(line) for part in parts for line in part.splitlines()]
        twice = [key for key, number in Counter(line["source"]["key"] for line in lines).items() if number > 1]
        assert twice == [], "an object has two lines"
        return {line["source"]["key"]: line for line in lines}

    def end(
        self, name: str, failed: Mapping[str, Sequence[Sequence[Any]]] | None = None, **more: Any
    ) -> dict[str, Any]:
        """Give the summary of a job; `failed` are the items of its batches that failed, by Step Functions' reason."""
        given = {"job": name, "policy": "demo", "bucket": "pictures"}
        executions = [
            {"Error": why, "Status": "FAILED", "Input": json.dumps({"BatchInput": given, "Items": list(items)})}
            for why, batches in (failed or {}).items()
            for items in batches
        ]
        results, folder = self.store.buckets["results"], f"jobs/maps/{name}"
        results[f"{folder}/FAILED_0.json"] = json.dumps(executions).encode()
        files = {"FAILED": [{"Key": f"{folder}/FAILED_0.json"}] if executions else []}
        results[f"{folder}/manifest.json"] = json.dumps({"ResultFiles": files}).encode()
        end = {
            "job": name,
            "policy": "demo",
            "started": "2026-11-28T08:00:00+00:00",
            "asked": {"source": "prefix", "bucket": "pictures", "prefix": "", "policy": "demo"},
            "standard": False,
            "map": {"ResultWriterDetails": {"Bucket": "results", "Key": f"{folder}/manifest.json"}},
        }
        return summarise({"end": end}, self.desks[0], memory_mb=3008, **more)

    def unjudged(self, name: str) -> list[dict[str, Any]]:
        """The items of the list of what a job left out."""
        data = self.store.buckets["results"].get(f"jobs/{name}/unjudged.jsonl", b"")
        return [json.loads(item) for item in data.splitlines()]
