"""Follows a job to its end: a line of progress, then the summary or what went wrong."""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any, TextIO

from botocore.exceptions import ClientError

from tools.jobs.machine import Machine, job_of
from tools.jobs.progress import Progress, Watch
from tools.jobs.words import progress_line, summary_lines

# Where nobody watches a terminal, progress is said so often, in seconds.
_SAID_EVERY = 30
# Of what Step Functions recorded about failed batches, no more is read: the first ones tell.
_RECORD_BYTES = 2_000_000
_REASONS = 3
# Under it the state machine's own records are (infra/job_states.py).
_MAPS = "jobs/maps"


def follow(machine: Machine, execution: str, s3: Any, *, every: float, out: TextIO, screen: TextIO) -> bool:
    """Follow an execution, looking at it `every` so many seconds; return whether all of it was judged.

    Progress goes to `screen`, its end to `out`.
    """
    watch = Watch(execution, machine.states, s3, machine.results_bucket)
    said = _Line(screen)
    while (progress := watch.look()).running:
        said.say(progress_line(progress))
        time.sleep(every)
    said.end(progress_line(progress))
    if progress.status == "SUCCEEDED":
        summary = json.loads(progress.found["output"])
        for line in summary_lines(summary, machine.results_bucket):
            print(line, file=out)
        if progress.failed:
            for line in _why_batches_failed(watch, s3, machine.results_bucket):
                print(line, file=out)
        print(f"written      s3://{machine.results_bucket}/jobs/{job_of(execution)}/summary.json", file=out)
        return not progress.failed and not summary["unjudged"]["objects"]
    for line in _what_went_wrong(progress, watch, s3, machine.results_bucket):
        print(line, file=out)
    print(f"Go on where it stopped: make job REDRIVE={execution}", file=out)
    return False


def _what_went_wrong(progress: Progress, watch: Watch, s3: Any, bucket: str) -> Iterator[str]:
    found = progress.found
    reason = ": ".join(part for part in (found.get("error", ""), found.get("cause", "")) if part)
    yield f"The job is {progress.status.lower().replace('_', ' ')}. {reason}".rstrip()
    if "ItemReader" in reason or "S3.AccessDenied" in reason:
        yield "The job's role may read the buckets that the setting jobBuckets names, and no other."
    yield from _why_batches_failed(watch, s3, bucket)
    if progress.listed:
        yield (
            f"{progress.done:,} of {progress.listed:,} objects are in batches that were judged: their lines stay. "
            "The summary is written when the job has come to its end."
        )


def _why_batches_failed(watch: Watch, s3: Any, bucket: str) -> Iterator[str]:
    try:
        causes = _causes(watch.map_run, s3, bucket)
    except ClientError:
        return  # there may be no record, or these credentials may not read it
    for cause, number in causes.most_common(_REASONS):
        yield f"{number:,} of the batches: {cause}"


def _causes(map_run: str, s3: Any, bucket: str) -> Counter[str]:
    """Count why batches failed, by the map run's own records.

    https://docs.aws.amazon.com/step-functions/latest/dg/input-output-resultwriter.html
    """
    where = f"{_MAPS}/{map_run.rpartition(':')[2]}/manifest.json"
    manifest = json.loads(s3.get_object(Bucket=bucket, Key=where)["Body"].read())
    causes: Counter[str] = Counter()
    for file in manifest["ResultFiles"].get("FAILED", [])[:1]:
        ranged = f"bytes=0-{_RECORD_BYTES - 1}"
        text = s3.get_object(Bucket=bucket, Key=file["Key"], Range=ranged)["Body"].read().decode("utf-8", "replace")
        for quoted in re.findall(r'"Cause"\s*:\s*("(?:[^"\\]|\\.)*")', text):
            causes[_message(json.loads(quoted))] += 1
    return causes


def _message(cause: str) -> str:
    """Lambda's causes are JSON in a string: only what was said is wanted."""
    try:
        return str(json.loads(cause)["errorMessage"])
    except (ValueError, KeyError, TypeError):
        return cause[:300]


class _Line:
    """One line of a terminal that is written anew, or now and then a line of a log."""

    def __init__(self, screen: TextIO) -> None:
        self._screen = screen
        self._next = 0.0

    def say(self, text: str) -> None:
        if self._screen.isatty():
            print(f"\r\x1b[K{text}", end="", file=self._screen, flush=True)
        elif time.monotonic() >= self._next:
            print(text, file=self._screen, flush=True)
            self._next = time.monotonic() + _SAID_EVERY

    def end(self, text: str) -> None:
        start = "\r\x1b[K" if self._screen.isatty() else ""
        print(f"{start}{text}", file=self._screen, flush=True)
