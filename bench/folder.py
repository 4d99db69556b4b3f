"""A folder of 1000 different pictures through `make moderate`, beside the image tower alone on the same pictures.

The arithmetic, all of it within one run:

- judged: seconds by the clock that the command takes, from its start to its end. Python's start and the model's,
  reading, hashing, decoding, the tower, the lines, the page with its thumbnails: everything is in it.
- tower: seconds by the clock that the image tower alone needs, on all CPUs, for what the same pictures are decoded to,
  in full batches. Half of the pictures are taken before the command runs and half after it, so that a machine that
  slows down is slower for both.
- decode: the CPU seconds that decoding these files takes, by the function that the command calls, divided by the number
  of CPUs: the least that decoding can take where all CPUs share it. Reading files, hashing them, and what the page's
  thumbnails take are no part of it.
- ratio = (judged - decode) / tower; ratio_with_decoding = judged / tower.
- cpu_ratio = the same as ratio, of CPU seconds of all threads instead of seconds by the clock. Other programs on the
  machine disturb it less, and it does not see CPUs that stand idle: between the two is what the command leaves unused.

What is taken off is the least that decoding takes, not what it costs here: the command decodes while the tower
computes, whose threads then wait for each other.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bench import models, pictures
from moderator.clip.towers import ImageTower
from moderator.pictures.batch import Picture, read_batch
from moderator.pictures.frames import FrameSampling
from moderator.pictures.preprocessing import Pixels
from moderator.settings import Settings
from tools.core import Core, build_core

COUNT = 1000
POLICY = "moderation"
_TOGETHER = 16  # pictures that are decoded together, and parts of pictures that the tower takes at once


@dataclass(kw_only=True)
class _Alone:
    """What decoding took, and the tower, each without the other."""

    decode_cpu_s: float = 0.0
    tower_s: float = 0.0
    tower_cpu_s: float = 0.0
    parts: int = 0


def measure(model_dir: Path, count: int = COUNT) -> dict[str, float]:
    """Judge `count` pictures with the command, and measure beside it what its parts take alone."""
    core = build_core(replace(Settings(), model_dir=model_dir))
    tower = ImageTower(core.model, threads=core.threads)
    alone = _Alone()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name, "pictures")
        folder.mkdir()
        paths = [folder / f"{number:04}.jpg" for number in range(count)]
        for path, data in zip(paths, pictures.different(count), strict=True):
            path.write_bytes(data)
        _apart(core, tower, paths[: count // 2], alone)
        judged_s, judged_cpu_s = _judged(folder, Path(name, "out"), model_dir)
        _apart(core, tower, paths[count // 2 :], alone)
    found = figures(
        judged_s=judged_s,
        judged_cpu_s=judged_cpu_s,
        decode_cpu_s=alone.decode_cpu_s,
        cpus=core.threads,
        tower_s=alone.tower_s,
        tower_cpu_s=alone.tower_cpu_s,
    ) | {"pictures": count, "parts": alone.parts}
    print(
        f"{count} pictures ({alone.parts} parts) through make moderate: {judged_s:.1f} s; the image tower alone: "
        f"{alone.tower_s:.1f} s. Ratio: {found['ratio_with_decoding']:.3f}. Decoding: {alone.decode_cpu_s:.1f} CPU "
        f"seconds on {core.threads} CPUs. Ratio, decoding aside: {found['ratio']:.3f} (at most 1.15). "
        f"CPU seconds: {judged_cpu_s:.1f}, the tower {alone.tower_cpu_s:.1f}; their ratio without decoding: "
        f"{found['cpu_ratio']:.3f}. "
        f"Load: {os.getloadavg()[0]:.1f}."
    )
    return found


def figures(
    *, judged_s: float, judged_cpu_s: float, decode_cpu_s: float, cpus: int, tower_s: float, tower_cpu_s: float
) -> dict[str, float]:
    """Return the figures that this file's head explains."""
    decode_s = decode_cpu_s / cpus
    return {
        "judged_s": judged_s,
        "decode_s": decode_s,
        "tower_s": tower_s,
        "ratio": (judged_s - decode_s) / tower_s,
        "ratio_with_decoding": judged_s / tower_s,
        "cpu_ratio": (judged_cpu_s - decode_cpu_s) / tower_cpu_s,
    }


def _judged(folder: Path, out: Path, model_dir: Path) -> tuple[float, float]:
    """Judge the folder; return the seconds by the clock, and the CPU seconds of the command and what it starts."""
    command = [sys.executable, "-m", "tools.folder", str(folder), "--policy", POLICY, "--out", str(out)]
    began, used = time.perf_counter(), _children_cpu_s()
    subprocess.run(command, env=os.environ | {"MODEL_DIR": str(model_dir)}, check=True, capture_output=True)
    return time.perf_counter() - began, _children_cpu_s() - used


def _children_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _apart(core: Core, tower: ImageTower, paths: Sequence[Path], alone: _Alone) -> None:
    policy = core.policy(POLICY)
    waiting: list[Pixels] = []
    for start in range(0, len(paths), _TOGETHER):
        files = [Picture(name=path.name, data=path.read_bytes()) for path in paths[start : start + _TOGETHER]]
        began = time.process_time()
        decoded = read_batch(
            files,
            core.model.preprocessing,
            view=policy.view,
            frames=FrameSampling(most=policy.frames.most, every=policy.frames.every),
            max_pixels=core.settings.max_pixels,
            threads=core.threads,
        )
        alone.decode_cpu_s += time.process_time() - began
        waiting += [part for picture in decoded for frame in picture.frames for part in frame.parts]
        while len(waiting) >= _TOGETHER:
            _embed(tower, waiting[:_TOGETHER], alone)
            waiting = waiting[_TOGETHER:]
    if waiting:
        _embed(tower, waiting, alone)


def _embed(tower: ImageTower, parts: Sequence[Pixels], alone: _Alone) -> None:
    began, used = time.perf_counter(), time.process_time()
    tower.embed(parts)
    alone.tower_s += time.perf_counter() - began
    alone.tower_cpu_s += time.process_time() - used
    alone.parts += len(parts)


if __name__ == "__main__":
    measure(models.precomputed(models.exported("auto")))
