"""Progress and summary of a job, as text for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tools.jobs.progress import Progress

_ORDER = ("allow", "review", "block")


def progress_line(progress: Progress) -> str:
    """Say in one line how far a job is."""
    if not progress.listed:
        return "Starting: Step Functions reads what is listed"
    said = [f"{progress.done:,} of {progress.listed:,} objects"]
    if progress.rate:
        said.append(f"{progress.rate:,.0f} a second")
    if progress.running and (left := progress.seconds_left) is not None:
        said.append(f"{duration(left)} left")
    if progress.verdicts:
        said.append(verdicts(progress.verdicts))
    if progress.failed:
        said.append(f"{progress.failed:,} without lines: their batches failed")
    return " · ".join(said)


def summary_lines(summary: Mapping[str, Any], results_bucket: str) -> Iterator[str]:
    """Say what a job found, from its summary.json in the bucket."""
    objects, known = summary["objects"], summary["known"]
    again = f", {known:,} of them known from before" if known else ""
    size = f"{summary['bytes'] / 1e6:,.1f} MB"
    yield f"{_number(objects, 'object')} ({size}) in {_number(summary['batches'], 'batch', 'batches')}{again}"
    yield f"verdicts     {verdicts(summary['verdicts']) or 'none'}"
    yield f"categories   {_counts(summary['categories']) or 'none acted'}"
    yield f"not judged   {_counts(summary['failures']) or 'nothing'}"
    each = summary["worker_seconds"] / (objects - known) if objects > known else 0.0
    of_each = f" ({1000 * each:.1f} ms an object that is new)" if each else ""
    yield f"time         {duration(summary['seconds'])}; workers {duration(summary['worker_seconds'])}{of_each}"
    yield f"cost         ${summary['dollars']:,.4f} by list prices of us-east-1"
    policy, model = summary["policy"], summary["model"]
    yield f"judged by    {policy['name']} {policy['version']}, {model['name']} ({model['pretrained']})"
    unjudged = summary["unjudged"]
    if unjudged["objects"]:
        alone = " Judge these alone:" if unjudged["list"] else ""  # a list's line may name nothing
        have = "has no line, for its batch" if unjudged["objects"] == 1 else "have no line, for their batches"
        yield f"{_number(unjudged['objects'], 'object')} {have} failed.{alone}"
    if unjudged["list"]:
        yield f"             make job LIST=s3://{results_bucket}/{unjudged['list']} POLICY={policy['name']}"


def verdicts(counts: Mapping[str, int]) -> str:
    """Write counts by verdict, from the mildest to the strictest."""
    return ", ".join(f"{name} {counts[name]:,}" for name in _ORDER if counts.get(name))


def duration(seconds: float) -> str:
    """Write a time in the unit that suits it."""
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min"


def _number(number: int, one: str, many: str = "") -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in sorted(counts.items(), key=lambda one: (-one[1], one[0])))
