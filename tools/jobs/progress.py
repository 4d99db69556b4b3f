"""How far a job is: objects by the map run's own counts, verdicts by the names of its batches' records."""

from __future__ import annotations

import re
import time
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

from tools.jobs.trouble import is_denied

# A rate is that of the last minute.
_RATE_SECONDS = 60
# Of the time that goes by, listing may take this share: of a job of 10 million objects it is a hundred requests, about
# once a minute.
_LISTING_SHARE = 0.2
_OVER = ("succeeded", "failed", "timedOut", "aborted")


@dataclass(frozen=True, kw_only=True)
class Progress:
    """A look at a job; `listed` grows while Step Functions still reads the listing."""

    status: str
    listed: int = 0
    done: int = 0
    failed: int = 0  # of these batches failed for good
    rate: float = 0.0  # objects a second; 0 where it is not known yet
    verdicts: Mapping[str, int] = field(default_factory=dict)
    found: Mapping[str, Any] = field(default_factory=dict)  # what DescribeExecution said

    @property
    def running(self) -> bool:
        """Whether it goes on."""
        return self.status in ("RUNNING", "PENDING_REDRIVE")

    @property
    def seconds_left(self) -> float | None:
        """Seconds until what is listed so far is done, or None where nobody knows."""
        left = self.listed - self.done - self.failed
        return left / self.rate if self.rate and left >= 0 else None


class Watch:
    """Looks at one execution, again and again."""

    def __init__(self, execution: str, states: Any, s3: Any, results_bucket: str) -> None:
        self._execution, self._states = execution, states
        self._s3, self._bucket = s3, results_bucket
        self._map_run = ""
        self._seen: deque[tuple[float, int]] = deque()
        self._verdicts: Counter[str] = Counter()
        self._listed_next = 0.0
        self._may_list = True

    @property
    def map_run(self) -> str:
        """The map run's ARN, or nothing before there is one."""
        return self._map_run

    def look(self) -> Progress:
        """Look once: two requests to Step Functions, and seldom a listing of the records."""
        found = self._states.describe_execution(executionArn=self._execution)
        counts = self._counts()
        done = counts.get("succeeded", 0)
        over = found["status"] not in ("RUNNING", "PENDING_REDRIVE")
        return Progress(
            status=found["status"],
            listed=counts.get("total", 0),
            done=done,
            failed=sum(counts.get(name, 0) for name in _OVER) - done,
            rate=self._rate(done),
            verdicts=self._counted(now=over),
            found=found,
        )

    def _counts(self) -> Mapping[str, int]:
        if not self._map_run:
            runs = self._states.list_map_runs(executionArn=self._execution)["mapRuns"]
            # A redriven job goes on with the run it had; one that starts from the beginning has a newer one.
            self._map_run = max(runs, key=lambda run: run["startDate"])["mapRunArn"] if runs else ""
        if not self._map_run:
            return {}
        counts: Mapping[str, int] = self._states.describe_map_run(mapRunArn=self._map_run)["itemCounts"]
        return counts

    def _rate(self, done: int) -> float:
        now = time.monotonic()
        self._seen.append((now, done))
        while now - self._seen[0][0] > _RATE_SECONDS:
            self._seen.popleft()
        since, then = self._seen[0]
        return max(done - then, 0) / (now - since) if now > since else 0.0

    def _counted(self, *, now: bool) -> Mapping[str, int]:
        if self._may_list and (now or time.monotonic() >= self._listed_next):
            began = time.monotonic()
            try:
                self._verdicts = count_verdicts(self._names())
            except ClientError as error:
                if not is_denied(error):
                    raise
                self._may_list = False  # these credentials see no verdicts before the summary
            ended = time.monotonic()
            self._listed_next = ended + (ended - began) / _LISTING_SHARE
        return self._verdicts

    def _names(self) -> Iterator[str]:
        prefix = f"jobs/{self._execution.rpartition(':')[2]}/batches/"
        for page in self._s3.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix):
            for found in page.get("Contents", []):
                yield found["Key"].rpartition("/")[2]


def count_verdicts(names: Iterator[str]) -> Counter[str]:
    """Add up the verdicts that the names of batches' records tell, such as HASH.allow_90.review_8.block_2.json.

    A batch that was tried again after it had written, and came out otherwise, counts once: the name that is met last.
    """
    by_batch: dict[str, str] = {}
    for name in names:
        batch, _, verdicts = name.partition(".")
        by_batch[batch] = verdicts
    total: Counter[str] = Counter()
    for verdicts in by_batch.values():
        for action, number in re.findall(r"(allow|review|block)_(\d+)", verdicts):
            total[action] += int(number)
    return total
