"""A folder of pictures through `make moderate`, beside the image tower alone on as many parts of pictures."""

from __future__ import annotations

import io
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from rich.console import Console

from bench import models, pictures
from moderator.clip.towers import ImageTower
from moderator.settings import Settings
from tools.core import Core, build_core
from tools.folder.ledger import read_lines
from tools.folder.run import VERDICTS, moderate_folder

# Taken in turns, so that a machine that is busy for a while is so for both.
_ROUNDS = 10
_DIFFERENT = 40
_TOGETHER = 16
POLICY = "moderation"


def measure(model_dir: Path, count: int = 1000) -> dict[str, float]:
    """Judge `count` thumbnails with all CPUs; seconds of both, what decoding took aside, and their ratio."""
    core = build_core(replace(Settings(), model_dir=model_dir))
    tower = ImageTower(core.model, threads=core.threads)
    judged, alone, decoded, parts = 0.0, 0.0, 0.0, 0
    with tempfile.TemporaryDirectory() as name:
        for number in range(_ROUNDS):
            folder = Path(name, str(number))
            _fill(folder, count // _ROUNDS)
            began = time.perf_counter()
            run = moderate_folder(core, core.policy(POLICY), folder, folder / "out", Console(file=io.StringIO()))
            judged += time.perf_counter() - began
            decoded += run.decode_ms / 1000
            of_round = sum(line["view"]["parts"] for line in read_lines(folder / "out" / VERDICTS))
            alone += _tower_alone(core, tower, of_round)
            parts += of_round
    figures = {"judged_s": judged, "decode_s": decoded, "tower_s": alone, "ratio": (judged - decoded) / alone}
    print(
        f"{count} pictures ({parts} parts) through make moderate: {judged:.1f} s, of which {decoded:.1f} s decode; "
        f"the image tower alone: {alone:.1f} s. Ratio, decoding aside: {figures['ratio']:.3f} (at most 1.15)."
    )
    return figures


def _fill(folder: Path, count: int) -> None:
    folder.mkdir(parents=True)
    different = pictures.thumbnails(_DIFFERENT)
    for number in range(count):
        (folder / f"{number:04}.jpg").write_bytes(different[number % _DIFFERENT])


def _tower_alone(core: Core, tower: ImageTower, parts: int) -> float:
    size = (core.model.preprocessing.height, core.model.preprocessing.width, 3)
    batch = list(np.random.default_rng(0).integers(0, 256, (_TOGETHER, *size), dtype=np.uint8))
    began = time.perf_counter()
    for start in range(0, parts, _TOGETHER):
        tower.embed(batch[: parts - start])
    return time.perf_counter() - began


if __name__ == "__main__":
    measure(models.exported("auto"))
