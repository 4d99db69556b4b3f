"""Writes what jobs cost into docs/jobs.md, by the arithmetic of every summary: `make job-costs`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from moderator.jobs.cost import Prices, job_parts, requests_of_batches, stream_parts
from moderator.jobs.object_file import PIECE_BYTES
from moderator.jobs.video_pipe import Limits

PAGE = Path("docs/jobs.md")
BEGIN, END = "<!-- begin: make job-costs -->\n", "<!-- end: make job-costs -->"

CATALOGUE = 10_000_000
BATCH = 100
UPLOADS = 100_000
# The worker's default memory, and what one vCPU is worth.
# https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html
MEMORY_MB = 3008
_MB_PER_VCPU = 1769
# What a picture takes of one vCPU, in ms: docs/benchmark-arm.md has that of ViT-B/32 on Graviton2 as an estimate. What
# it is in a stack, its summaries say; the others show how much hangs on it.
VCPU_MS = 80
_OTHER_MS = (40, 160)
# Of a job over videos: how large they are, and how many frames a policy's `frames` looks at. What the decoder takes of
# a vCPU is an assumption: docs/videos.md has its times as multiples of one another, not in seconds.
VIDEOS = 100_000
VIDEO_BYTES = 20_000_000
FRAMES = 64
DECODER_VCPU_MS = 2000
# Lambda asks the queue for messages by five pollers, which wait for 20 s each where there is none.
_POLLS_A_DAY = 5 * 86_400 / 20

# A line by the policy `moderation`, about; and what keeping it and asking about it costs.
# https://aws.amazon.com/s3/pricing/ https://aws.amazon.com/athena/pricing/
LINE_BYTES = 1300
_KEEPING_GB = 0.023  # a month
_ASKING_TB = 5.00

_WHAT = {
    "worker": "the worker's time and calls",
    "reading": "reading the objects",
    "lines": "writing lines",
    "listing": "listing the bucket",
    "states": "Step Functions",
    "queue": "the queue",
    "events": "an event for each verdict",
    "tags": "a tag for each object (`tagObjects`)",
    "logs": "logs of the worker",
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the tables into the page."""
    parser = argparse.ArgumentParser(prog="make job-costs", description=__doc__)
    parser.parse_args(arguments)
    before, _, rest = PAGE.read_text("utf-8").partition(BEGIN)
    PAGE.write_text(before + BEGIN + tables() + END + rest.partition(END)[2], "utf-8")


def tables() -> str:
    """Return the tables in Markdown, and what hangs on a picture's time."""
    prices = Prices()
    catalogue, uploads = catalogue_parts(prices, VCPU_MS), upload_parts(prices, VCPU_MS)
    seconds = _seconds(VCPU_MS)
    how_job = {
        "worker": f"10 million · {seconds:.4f} s · {MEMORY_MB}/1024 GB · ${prices.lambda_gb_second:.10f}, "
        f"and 100,000 · ${prices.lambda_request * 1e6:.2f} per million",
        "reading": f"10 million GET, and 100,000 of earlier lines · ${prices.s3_get * 1e6:.2f} per million",
        "lines": "100,000 · (a listing at most, a part and its counts) · $5.00 per million",
        "listing": "10,000 listings of 1000 · $5.00 per million",
        "states": f"100,000 started · ${prices.state_transition * 1e6:.2f} per million; Express: 100,000 · "
        f"${prices.express_request * 1e6:.2f} per million, and the worker's seconds · 64 MB · "
        f"${prices.express_gb_second:.8f}",
        "logs": f"100,000 · 500 bytes · ${prices.log_byte * 1e9:.2f} per GB",
    }
    how_uploads = {
        "worker": f"100,000 · {seconds:.4f} s · {MEMORY_MB}/1024 GB, and 100,000 calls",
        "reading": "100,000 GET",
        "queue": f"100,000 sent, received and deleted, and {_POLLS_A_DAY:,.0f} looks when it is empty · "
        f"${prices.sqs_request * 1e6:.2f} per million",
        "events": f"100,000 · ${prices.custom_event * 1e6:.2f} per million",
        "lines": "100,000 PUT · $5.00 per million",
        "tags": "100,000 · (GET and PUT of the tags, and two looks at the ETag)",
        "logs": "100,000 · 500 bytes",
    }
    text = "**10 million thumbnails**, in batches of 100:\n\n" + _table(catalogue, how_job, {})
    with_videos = catalogue_parts(prices, VCPU_MS, standard=True)
    text += (
        "\nWith `videos: true` batches are Standard executions, which may take longer and cost four transitions each\n"
        f"in place of what Express ones cost: ${with_videos['states']:.2f} in that row, and the same thumbnails "
        f"${sum(with_videos.values()):.2f} together.\n"
    )
    text += (
        f"\n**{VIDEOS:,} videos** of {VIDEO_BYTES // 1_000_000} MB, {FRAMES} frames of each, in batches of {BATCH}:\n\n"
    )
    text += _table(video_parts(prices), _how_videos(prices), {})
    text += (
        f"\nThat is {FRAMES} · {VCPU_MS} ms of a vCPU and, **as an assumption**, {DECODER_VCPU_MS / 1000:.0f} s for "
        "the decoder. Ranges are counted\nas if each video was read once, from its beginning to its end.\n"
    )
    text += "\n**100,000 uploads a day**, as if each came alone:\n\n"
    text += _table(uploads, how_uploads, {"tags": "not in the sum"}, days=True)
    text += (
        f"\nThe worker has {MEMORY_MB} MB, {MEMORY_MB / _MB_PER_VCPU:.2f} vCPUs; a picture takes {VCPU_MS} ms "
        f"of one, so {1000 * seconds:.1f} ms. How much hangs on that:\n\n"
        "| ms of one vCPU | 10 million, $ | a million, $ | 100,000 uploads, $ |\n| --: | --: | --: | --: |\n"
    )
    for milliseconds in sorted((VCPU_MS, *_OTHER_MS)):
        total = sum(catalogue_parts(prices, milliseconds).values())
        day = _sum(upload_parts(prices, milliseconds))
        text += f"| {milliseconds} | {total:.2f} | {total / CATALOGUE * 1e6:.2f} | {day:.2f} |\n"
    gigabytes = CATALOGUE * LINE_BYTES / 1e9
    return text + (
        f"\nLines take about {LINE_BYTES} bytes each: 10 million are {gigabytes:.0f} GB, "
        f"${gigabytes * _KEEPING_GB:.2f} a month in S3, and a question to Athena that reads them all "
        f"${gigabytes / 1000 * _ASKING_TB:.2f}.\n"
    )


def _how_videos(prices: Prices) -> dict[str, str]:
    batches = f"{VIDEOS // BATCH:,}"
    return {
        "worker": f"{VIDEOS:,} · {_video_seconds():.4f} s · {MEMORY_MB}/1024 GB, and {batches} calls",
        "reading": f"{VIDEOS:,} · (the first request and {ranges_of(VIDEO_BYTES)} ranges), and {batches} · "
        f"${prices.s3_get * 1e6:.2f} per million",
        "lines": f"{batches} · as above",
        "listing": f"{VIDEOS // 1000:,} listings of 1000",
        "states": f"{batches} · 4 transitions · ${prices.state_transition * 1e6:.2f} per million",
        "logs": f"{batches} · 500 bytes",
    }


def video_parts(prices: Prices) -> dict[str, float]:
    """Return what each part of a job over videos costs, where each batch is done in one call."""
    batches = VIDEOS // BATCH
    of_batches = requests_of_batches(batches)
    return job_parts(
        prices,
        objects=VIDEOS,
        reads=VIDEOS * (1 + ranges_of(VIDEO_BYTES)) + of_batches.reads,
        writes=of_batches.writes,
        batches=batches,
        worker_seconds=VIDEOS * _video_seconds(),
        memory_mb=MEMORY_MB,
        standard=True,
    )


def ranges_of(video_bytes: int) -> int:
    """Return how many ranges of a video are read, each once: its megabytes, as far as a video is read at all."""
    return -(-min(video_bytes, Limits().bytes_read) // PIECE_BYTES)


def _video_seconds() -> float:
    return _seconds(FRAMES * VCPU_MS + DECODER_VCPU_MS)


def catalogue_parts(prices: Prices, vcpu_ms: float, *, standard: bool = False) -> dict[str, float]:
    """Return what each part of the back catalogue costs, with Standard executions where videos are judged too."""
    batches = CATALOGUE // BATCH
    of_batches = requests_of_batches(batches)
    return job_parts(
        prices,
        objects=CATALOGUE,
        reads=CATALOGUE + of_batches.reads,
        writes=of_batches.writes,
        batches=batches,
        worker_seconds=CATALOGUE * _seconds(vcpu_ms),
        memory_mb=MEMORY_MB,
        standard=standard,
    )


def upload_parts(prices: Prices, vcpu_ms: float) -> dict[str, float]:
    """Return what each part of a day's uploads costs, the looks into an empty queue included."""
    parts = stream_parts(
        prices, objects=UPLOADS, per_batch=1, worker_seconds=UPLOADS * _seconds(vcpu_ms), memory_mb=MEMORY_MB
    )
    return parts | {"queue": parts["queue"] + _POLLS_A_DAY * prices.sqs_request}


def _seconds(vcpu_ms: float) -> float:
    return vcpu_ms / 1000 * _MB_PER_VCPU / MEMORY_MB


def _sum(parts: dict[str, float]) -> float:
    return sum(dollars for name, dollars in parts.items() if name != "tags")


def _table(parts: dict[str, float], how: dict[str, str], notes: dict[str, str], *, days: bool = False) -> str:
    head = "| what | arithmetic | $ a day | $ in 30 days |" if days else "| what | arithmetic | $ |"
    lines = [head, "| --- | --- |" + " --: |" * (2 if days else 1)]
    for name, dollars in parts.items():
        note = f"; {notes[name]}" if name in notes else ""
        lines.append(f"| {_WHAT[name]}{note} | {how[name]} | {_money(dollars, days=days)} |")
    total = _sum(parts)
    lines.append(f"| **together** | | **{_money(total, days=days).replace(' | ', '** | **')}** |")
    return "\n".join(lines) + "\n"


def _money(dollars: float, *, days: bool) -> str:
    return f"{dollars:.3f} | {30 * dollars:.2f}" if days else f"{dollars:.2f}"


if __name__ == "__main__":
    main()
