"""Measures the worker of jobs and writes docs/benchmark-jobs.md: `python -m bench.jobs`, or `make bench-jobs`.

The worker is the real one, with AWS' own client library, at an S3 whose answers take 30 ms to begin (`slow_s3.py`).
Beside it, in turns, the image tower alone is measured on as many parts of pictures.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from bench import jobs_page
from bench.machine import machine
from bench.slow_s3 import items
from moderator.clip.model import read_model
from moderator.clip.towers import ImageTower
from moderator.cpus import usable_cpus
from moderator.policy.file import read_policies
from moderator.settings import Settings

RESULT = Path("build/bench-jobs.json")
PAGE = Path("docs/benchmark-jobs.md")
FIRST_BYTE_MS = 30
BATCH = 100  # the stack's default
_ROUNDS = 10  # taken in turns, so that a machine that is busy for a while is so for both
_TOGETHER = 16


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What one model's worker did; times are those of all rounds."""

    name: str
    policy: str
    objects: int
    parts: int
    worker_s: float
    tower_s: float
    ratios: Sequence[float]  # of each round, the tower's time to the worker's
    cpu_s: Mapping[str, float]  # of each of the worker's processes, all rounds
    tower_cpu_s: float
    peak_mb: Mapping[str, float]  # of each of the worker's processes
    after_mb: Sequence[float]  # of both together, after each round

    @property
    def overlap(self) -> float:
        """The time that the tower alone takes, as a share of the worker's: the median round's."""
        return median(self.ratios)


def measure(model_dir: Path, policy: str, count: int) -> Measured:
    """Judge `count` pictures by one model."""
    model = read_model(model_dir)
    tower = ImageTower(model, threads=usable_cpus())
    view = read_policies(Settings().policies_dir, max_labels=1000)[policy].view
    size = (model.preprocessing.height, model.preprocessing.width, 3)
    noise = list(np.random.default_rng(0).integers(0, 256, (_TOGETHER, *size), dtype=np.uint8))
    # A thumbnail of 440 x 248 is two tiles.
    parts = 2 if view == "tiles" else 1
    worker_s, tower_s, tower_cpu_s, ratios, after = 0.0, 0.0, 0.0, [], []
    with _s3() as port, _worker(model_dir, policy, port) as worker:
        before = _ask(worker, 0, _TOGETHER)["cpu_s"]  # it starts, and the tower below is warm too
        _tower_alone(tower, noise, _TOGETHER)
        of_round = count // _ROUNDS
        for number in range(_ROUNDS):
            # A hundred pictures before and a hundred after are enough to know how long all of them take.
            some = min(BATCH, of_round)
            on_cpu = time.process_time()
            alone = _tower_alone(tower, noise, parts * some)
            told = _ask(worker, number * of_round, of_round)
            alone += _tower_alone(tower, noise, parts * some)
            scale = of_round / (2 * some)
            alone *= scale
            tower_cpu_s += scale * (time.process_time() - on_cpu)
            worker_s += told["seconds"]
            tower_s += alone
            ratios.append(alone / told["seconds"])
            after.append(sum(told["now_mb"].values()))
            print(
                f"{model.name}, round {number + 1} of {_ROUNDS}: {of_round / told['seconds']:.1f} objects a second, "
                f"the tower alone takes {ratios[-1]:.0%} of that time",
                file=sys.stderr,
            )
    return Measured(
        name=f"{model.name} ({model.pretrained})",
        policy=policy,
        objects=of_round * _ROUNDS,
        parts=parts,
        worker_s=worker_s,
        tower_s=tower_s,
        ratios=tuple(ratios),
        cpu_s={name: told["cpu_s"][name] - before[name] for name in before},
        tower_cpu_s=tower_cpu_s,
        peak_mb=told["peak_mb"],
        after_mb=tuple(after),
    )


def _tower_alone(tower: ImageTower, noise: list[Any], parts: int) -> float:
    began = time.perf_counter()
    for start in range(0, parts, _TOGETHER):
        tower.embed(noise[: parts - start])
    return time.perf_counter() - began


@contextmanager
def _s3() -> Iterator[int]:
    with subprocess.Popen(
        [sys.executable, "-m", "bench.slow_s3", str(FIRST_BYTE_MS)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout  # noqa: S101  # a pipe, as said above
        try:
            yield int(process.stdout.readline())
        finally:
            process.kill()  # or leaving waits for it for ever


@contextmanager
def _worker(model_dir: Path, policy: str, port: int) -> Iterator[subprocess.Popen[str]]:
    environment = os.environ | {
        "MODEL_DIR": str(model_dir),
        "JOBS_RESULTS_BUCKET": "results",
        "JOBS_POLICY": policy,
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "none",
        "AWS_SECRET_ACCESS_KEY": "none",
        "AWS_DEFAULT_REGION": "eu-central-1",
        "POWERTOOLS_METRICS_DISABLED": "true",
    }
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "bench.jobs", "--as-worker", policy],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def _ask(worker: subprocess.Popen[str], first: int, count: int) -> dict[str, Any]:
    assert worker.stdin  # noqa: S101  # pipes, as said above
    assert worker.stdout  # noqa: S101
    worker.stdin.write(f"{first} {count}\n")
    worker.stdin.flush()
    line = worker.stdout.readline()
    if not line:
        raise RuntimeError("The worker ended; what it said is above.")
    told: dict[str, Any] = json.loads(line)
    return told


def _serve_as_worker(policy: str) -> None:
    """Judge what each line of input names, in batches, as Lambda would have it."""
    from moderator.jobs.worker import handler

    for line in sys.stdin:
        first, count = map(int, line.split())
        listed = items(first, count)
        began = time.perf_counter()
        for at in range(0, count, BATCH):
            given = {"job": "bench", "policy": policy, "bucket": "pictures"}
            counted = handler({"BatchInput": given, "Items": listed[at : at + BATCH]}, None)
            if counted["failures"] or counted["known"]:
                raise RuntimeError(f"Every picture should be judged: {counted}")
        seconds = time.perf_counter() - began
        told = {"peak_mb": _memory("VmHWM"), "now_mb": _memory("VmRSS"), "cpu_s": _cpu_seconds()}
        print(json.dumps({"seconds": seconds} | told), flush=True)


def _processes() -> dict[str, str]:
    """Return the numbers of this process and of its child, by what they are called here."""
    own = os.getpid()
    (child,) = Path(f"/proc/{own}/task/{own}/children").read_text().split()
    return {"worker": str(own), "judge": child}


def _memory(what: str) -> dict[str, float]:
    """Return the memory of both, in MB of 2^20 bytes, as Lambda counts them."""
    status = {name: Path(f"/proc/{number}/status").read_text() for name, number in _processes().items()}
    found = {name: re.search(rf"{what}:\s+(\d+) kB", text) for name, text in status.items()}
    return {name: int(value[1]) / 1024 for name, value in found.items() if value}


def _cpu_seconds() -> dict[str, float]:
    """Return the time that both have had of any CPU."""
    stat = {
        name: Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()
        for name, number in _processes().items()
    }
    return {name: (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK") for name, fields in stat.items()}


def main() -> None:
    """Measure the demo model and, where there is one, an exported one."""
    parser = argparse.ArgumentParser(prog="python -m bench.jobs", description=__doc__)
    parser.add_argument("--model-dir", type=Path, help="an exported model with its labels precomputed")
    parser.add_argument("--objects", type=int, default=5000)
    parser.add_argument("--page-only", action="store_true", help="write the page from the last measurement")
    parser.add_argument("--as-worker", help=argparse.SUPPRESS)
    told = parser.parse_args()
    if told.as_worker:
        _serve_as_worker(told.as_worker)
        return
    if not told.page_only:
        _measure_all(told.model_dir, told.objects)
    page = jobs_page.page(**_read())
    PAGE.write_text(page, "utf-8")
    print(page)


def _measure_all(model_dir: Path | None, objects: int) -> None:
    about = machine()
    measured = [measure(Path("build/demo_model"), "demo", objects)]
    if model_dir:
        measured.append(measure(model_dir, "moderation", objects))
    RESULT.write_text(json.dumps({"machine": about, "measured": [asdict(one) for one in measured]}, indent=2) + "\n")


def _read() -> dict[str, Any]:
    found = json.loads(RESULT.read_text())
    return {"machine": found["machine"], "measured": [Measured(**one) for one in found["measured"]]}


if __name__ == "__main__":
    main()
