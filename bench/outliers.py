"""What planted outliers cost: each tower's time beside that without them, and how closely it follows float32."""

from __future__ import annotations

import json
from collections import Counter
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
    """Return, by what was planted and by tower: its time's ratio, its cosines, and how many products have a form."""
    folders = {name: models.exported("auto", name) for name in ("", *models.PLANTED)}
    feeds = {
        "image": {"pixels": np.random.default_rng(0).integers(0, 256, (1, 224, 224, 3), dtype=np.uint8)},
        "text": {"tokens": TextTower(read_model(folders[""]), threads=threads).batches(LABELS)[0].tokens},
    }
    found: dict[str, Any] = {name: {} for name in models.PLANTED}
    for tower, feed in feeds.items():
        sessions = {
            name: cpu_session(folder / f"{tower}.onnx", threads=threads, optimise=False)
            for name, folder in folders.items()
        }
        times = fastest({name: partial(one.run, None, feed) for name, one in sessions.items()}, rounds=_ROUNDS)
        for name in models.PLANTED:
            chosen = _manifest(folders[name])["layers"][tower]
            found[name][tower] = {
                "ratio": times[name] / times[""],
                "mean_cosine": chosen["fidelity"]["mean_cosine"],
                "worst_cosine": chosen["fidelity"]["worst_cosine"],
                "forms": dict(Counter(layer["form"] for layer in chosen["layers"]).most_common()),
            }
    return found


def _manifest(folder: Path) -> dict[str, Any]:
    manifest: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    return manifest
