"""The figures as one Markdown table, without the URL and without the account: to paste into an issue."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench import cost
from tools.measure.log import Log
from tools.measure.outside import Starts, StoreUse, Warm

# https://aws.amazon.com/rekognition/pricing/ (moderation labels, first tier) and https://aws.amazon.com/cloudwatch/pricing/
REKOGNITION = 1.00
_PER_LOG_BYTE = 0.50 / 1e9

# Arm's names of what Lambda runs on; x86 has a name of its own. https://github.com/torvalds/linux/blob/master/arch/arm64/include/asm/cputype.h
_PARTS = {"0x41 0xd0c": "Neoverse N1, as Graviton2", "0x41 0xd40": "Neoverse V1, as Graviton3"} | {
    "0x41 0xd4f": "Neoverse V2, as Graviton4"
}
# The instructions that the towers' 8-bit products can use, on either processor.
_OF_INTEREST = ("asimddp", "i8mm", "bf16", "sve", "avx2", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_int8")


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Everything that was found."""

    health: Mapping[str, Any]
    starts: Starts
    store: StoreUse
    warm: Warm
    log: Log | None


def markdown(found: Measured) -> str:
    """Write the table."""
    rows = [*_service(found), *_latency(found), *_of_log(found), *_money(found)]
    return "\n".join(["| | |", "| --- | --- |", *(f"| {name} | {value} |" for name, value in rows)])


def store_in_words(use: StoreUse) -> str:
    """Return whether the store is used, and how that was seen."""
    if use.state == "none":
        return "none is configured: each instance keeps its own labels"
    counts = ", ".join(f"{name}={count}" for name, count in sorted(use.counts.items()))
    if use.used is None:
        return f"not seen: one instance answered everything ({counts}); its state is {use.state}"
    what = "yes: another instance read the label there" if use.used else "**no**: other instances computed it again"
    return f"{what} ({counts}); its state is {use.state}"


def _service(found: Measured) -> Iterator[tuple[str, str]]:
    model, processor = found.health["model"], found.health["processor"]
    name = _PARTS.get(processor["name"], processor["name"] or "a processor that names itself in no way")
    known = [feature for feature in _OF_INTEREST if feature in processor["features"]]
    yield "healthy", f"yes: {model['name']} ({model['pretrained']}), {model['fingerprint']}"
    yield "label store used", store_in_words(found.store)
    yield "processor", f"{name}, {processor['architecture']}; of interest: {', '.join(known) or 'nothing'}"
    yield "all its instructions", " ".join(processor["features"]) or "not told"


def _latency(found: Measured) -> Iterator[tuple[str, str]]:
    starts, warm = found.starts, found.warm
    if starts.cold_ms:
        cold = f"{_spread(starts.cold_ms)} ({len(starts.cold_ms)} of {starts.asked} requests)"
    else:
        cold = f"none seen: {starts.asked} requests were answered by {starts.instances} that ran already"
    yield "cold start, from outside", cold
    yield "warm picture, from outside", f"{_quantiles(warm.outside_ms)} ({len(warm.outside_ms)} requests)"
    yield "warm picture, as the service says", _quantiles(warm.service_ms)


def _of_log(found: Measured) -> Iterator[tuple[str, str]]:
    if found.log is None:
        peak, memory = found.health["instance"]["peak_mb"], found.health["instance"]["memory_mb"]
        yield "memory", f"{peak or 'unknown'} MB at most{f' of {memory} MB' if memory else ''}, of one instance"
        return
    reports, pictures = found.log.reports, found.log.pictures
    inits = [report.start_ms for report in reports if report.start_ms is not None]
    yield "start, by the log", _spread(inits) if inits else "none in these minutes"
    yield "duration of a warm picture, by the log", _quantiles([one.duration_ms for one in pictures])
    yield (
        "billed for a warm picture",
        f"{_quantiles([one.billed_ms for one in pictures])} ({len(pictures)} invocations)",
    )
    most, size = max(report.most_memory_mb for report in reports), reports[0].memory_mb
    yield "memory, by the log", f"{most} MB at most of {size} MB"


def _money(found: Measured) -> Iterator[tuple[str, str]]:
    if found.log is not None and found.log.pictures:
        seconds = statistics.fmean(one.billed_ms for one in found.log.pictures) / 1000
        gigabytes = found.log.reports[0].memory_mb / 1024
        logs = 1000 * found.log.bytes_billed / len(found.log.reports) * _PER_LOG_BYTE
        total = cost.of(seconds, gigabytes, "").total + logs
        how = f"{1000 * seconds:.1f} ms billed, {gigabytes:.2f} GB, calls, API, logs of ${logs:.5f}; without the store"
    elif memory := found.health["instance"]["memory_mb"]:
        seconds, gigabytes = statistics.median(found.warm.service_ms) / 1000, memory / 1024
        total = cost.of(seconds, gigabytes, "").total
        how = f"an estimate by the service's own {1000 * seconds:.1f} ms; FUNCTION= reads what is billed"
    else:
        yield "1000 pictures", f"not known: this is no Lambda; Amazon Rekognition asks ${REKOGNITION:.2f}"
        return
    yield "1000 pictures", f"${total:.4f} ({how})"
    yield "1000 pictures, Amazon Rekognition", f"${REKOGNITION:.2f}, {REKOGNITION / total:.0f} times as much"


def _quantiles(milliseconds: Sequence[float]) -> str:
    if not milliseconds:
        return "none found"
    return " · ".join(f"p{share} {np.quantile(milliseconds, share / 100):.1f} ms" for share in (50, 99))


def _spread(milliseconds: Sequence[float]) -> str:
    return f"{min(milliseconds):.0f} to {max(milliseconds):.0f} ms, median {statistics.median(milliseconds):.0f} ms"
