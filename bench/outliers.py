"""What planted outliers cost: each tower's time beside that without them, and how closely it follows float32."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from bench import models
from bench.ours import LABELS
from bench.timing import fastest
from moderator.clip.model import read_model
from moderator.clip.session import cpu_session
from moderator.clip.towers import TextTower

_ROUNDS = 8


def measure(threads: int) -> dict[str, Any]:
    """Return, by what was planted and by tower: its time's ratio, its cosines, and how many products have a form.

    Beside the ratio is the one of the tower without anything planted to itself, which is how wrong a ratio can be.
    """
    folders = {name: models.exported("auto", name) for name in ("", *models.PLANTED)}
    feeds = {
        "image": {"pixels": np.random.default_rng(0).integers(0, 256, (1, 224, 224, 3), dtype=np.uint8)},
        "text": {"tokens": TextTower(read_model(folders[""]), threads=threads).batches(LABELS)[0].tokens},
    }
    found: dict[str, Any] = {name: {} for name in models.PLANTED}
    for tower, feed in feeds.items():

        def loaded(name: str, tower: str = tower, feed: Any = feed) -> Callable[[], object]:
            session = cpu_session(folders[name] / f"{tower}.onnx", threads=threads, optimise=False)
            return partial(session.run, None, feed)

        planted = {name: loaded(name) for name in models.PLANTED}
        compared = ratios(loaded(""), loaded(""), planted, rounds=_ROUNDS)
        for name in models.PLANTED:
            chosen = _manifest(folders[name])["layers"][tower]
            found[name][tower] = {
                "ratio": compared[name],
                "same_against_same": compared[""],
                "mean_cosine": chosen["fidelity"]["mean_cosine"],
                "worst_cosine": chosen["fidelity"]["worst_cosine"],
                "forms": dict(Counter(layer["form"] for layer in chosen["layers"]).most_common()),
            }
    return found


def ratios(
    plain: Callable[[], object],
    again: Callable[[], object],
    planted: Mapping[str, Callable[[], object]],
    *,
    rounds: int,
) -> dict[str, float]:
    """Time all in turns, and return each planted one's time over that of `plain`; under "" that of `again`."""
    times = fastest({"plain": plain, "": again, **planted}, rounds=rounds)
    return {name: ms / times["plain"] for name, ms in times.items() if name != "plain"}


def _manifest(folder: Path) -> dict[str, Any]:
    manifest: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    return manifest
