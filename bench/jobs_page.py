"""Writes docs/benchmark-jobs.md: what the worker of jobs does in a second, holds in memory, and costs."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from moderator.jobs.cost import Prices, job_parts, requests_of_batches

if TYPE_CHECKING:
    from bench.jobs import Measured

_MEMORY_MB = 3008  # the stack's default
_MB_PER_VCPU = 1769  # https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html
_VCPUS = _MEMORY_MB / _MB_PER_VCPU
_BATCH = 100
_MILLION = 1_000_000


def page(measured: Sequence[Measured], machine: Mapping[str, Any]) -> str:
    """Return the page in Markdown."""
    lines = [
        "# The worker of jobs, measured",
        "",
        _paragraph(
            "Written by `make bench-jobs`. The real worker, with AWS' own client library, at an S3 on the same machine",
            "whose answers begin after 30 ms; thumbnails of 440 x 248 in batches of 100, eight read at the same time.",
            "The S3 takes its part of the same CPUs. Of the tower alone, a hundred pictures before each round and a",
            "hundred after it stand for all of the round's.",
        ),
        "",
        f"Machine: {machine['cpu']}, {machine['cpus']} CPUs ({', '.join(machine['instructions'])}), "
        f"Python {machine['python']}, other programs' load {machine['load']:.1f}.",
        "",
        "| | " + " | ".join(one.name for one in measured) + " |",
        "| --- |" + " --: |" * len(measured),
        *(f"| {what} | {' | '.join(values)} |" for what, values in _rows(measured)),
        "",
        _paragraph(
            "Memory is the sum of both processes' highest, which need not be at the same moment; Lambda counts both.",
            "Other programs' load stretches the clock's times, of both alike, and not the CPU's: the dollars are made",
            "of these. `none` stands for seeded random weights, which take as long as trained ones. The demo model's",
            "tower takes less than S3's client library: of overlap a real model tells. Larger pictures take more:",
            "up to 64 MB of them are read ahead, and each is decoded.",
        ),
        "",
        _arithmetic(measured[-1]),
        "",
    ]
    return "\n".join(lines)


def _paragraph(*sentences: str) -> str:
    return "\n".join(textwrap.wrap(" ".join(sentences), 150, break_long_words=False, break_on_hyphens=False))


def _rows(measured: Sequence[Measured]) -> Iterator[tuple[str, list[str]]]:
    def ms(seconds: float, one: Measured) -> str:
        return f"{1000 * seconds / one.objects:.1f}"

    yield "policy, parts of a picture", [f"{one.policy}, {one.parts}" for one in measured]
    yield "objects", [f"{one.objects:,}" for one in measured]
    yield "objects a second", [f"{one.objects / one.worker_s:.1f}" for one in measured]
    yield "an object by the clock, in ms: worker", [ms(one.worker_s, one) for one in measured]
    yield "an object by the clock, in ms: image tower alone", [ms(one.tower_s, one) for one in measured]
    yield (
        "**tower alone / worker** by the clock: median of ten rounds (lowest to highest)",
        [f"**{one.overlap:.0%}** ({min(one.ratios):.0%} to {max(one.ratios):.0%})" for one in measured],
    )
    yield "an object's CPU time, in ms: reading and writing S3", [ms(one.cpu_s["worker"], one) for one in measured]
    yield "an object's CPU time, in ms: decoding and judging", [ms(one.cpu_s["judge"], one) for one in measured]
    yield "an object's CPU time, in ms: image tower alone", [ms(one.tower_cpu_s, one) for one in measured]
    yield (
        "**tower alone / worker** by the CPU's time",
        [f"**{one.tower_cpu_s / sum(one.cpu_s.values()):.0%}**" for one in measured],
    )
    yield "**memory at its peak**, both processes, in MB", [f"**{sum(one.peak_mb.values()):.0f}**" for one in measured]
    yield "of which the process that reads and writes S3", [f"{one.peak_mb['worker']:.0f}" for one in measured]
    yield "memory after each tenth, in MB", [", ".join(f"{mb:.0f}" for mb in one.after_mb) for one in measured]
    yield "memory that the stack gives it, in MB", [f"{_MEMORY_MB:,}"] * len(measured)
    yield "dollars a million, by the arithmetic below", [f"{_dollars(one):.2f}" for one in measured]


def _arithmetic(one: Measured) -> str:
    here, there = _cpu_seconds(one), _seconds_there(one)
    price = Prices().lambda_gb_second
    worker = _MILLION * there * _MEMORY_MB / 1024 * price
    return _paragraph(
        f"**Dollars a million**, for {one.name}: an object takes {1000 * here:.1f} ms of one CPU. {_MEMORY_MB} MB have",
        f"{_MEMORY_MB}/{_MB_PER_VCPU} = {_VCPUS:.2f} vCPUs, so {1000 * there:.1f} ms, **if these were as fast as this",
        "machine's**, which they are not: [benchmark-arm.md](benchmark-arm.md) counts for Graviton2. A million",
        f"objects are 10,000 batches: {_MILLION * there:,.0f} s · {_MEMORY_MB}/1024 GB · ${price:.10f} = ${worker:.2f}",
        "for the worker's time, and with its calls, S3's requests, listings and Step Functions",
        f"**${_dollars(one):.2f}**, by `lambda_src/moderator/jobs/cost.py`. What a job of yours costs, its summary",
        "says.",
    )


def _cpu_seconds(one: Measured) -> float:
    return sum(one.cpu_s.values()) / one.objects


def _seconds_there(one: Measured) -> float:
    """Return an object's seconds with the CPUs of the worker's memory, all of them busy."""
    return _cpu_seconds(one) / _VCPUS


def _dollars(one: Measured) -> float:
    batches = _MILLION // _BATCH
    of_batches = requests_of_batches(batches)
    parts = job_parts(
        Prices(),
        objects=_MILLION,
        reads=_MILLION + of_batches.reads,
        writes=of_batches.writes,
        batches=batches,
        worker_seconds=_MILLION * _seconds_there(one),
        memory_mb=_MEMORY_MB,
    )
    return sum(parts.values())
