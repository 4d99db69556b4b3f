"""Judges image towers of other programs as the export judges ours: on the same pictures, and by the same bounds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench import models
from model_build import samples
from model_build.fidelity import BOUNDS, Judge
from model_build.source import Source
from moderator.clip.model import read_model
from moderator.clip.towers import TextTower

Embed = Callable[[NDArray[np.uint8]], NDArray[np.float32]]  # (pictures, height, width, 3) -> (pictures, dim)


def image_judge(source: Source, exact: Embed) -> Judge:
    """Return the export's judge: photographs, the same between bars and cut, blank pictures and drawn ones.

    Args:
        source: the model; what is planted in it is in its image tower alone.
        exact: its image tower in float32, as open_clip has it.
    """
    labels = samples.labels()
    feeds = [{"pixels": batch} for batch in samples.pictures(source, None).batches]
    return Judge(
        feeds=feeds,
        reference=np.concatenate([exact(feed["pixels"]) for feed in feeds]),
        others=TextTower(read_model(models.exported("fp32")), threads=0).embed(labels),
        logit_scale=float(source.model.logit_scale.exp()),
        label_sets=samples.label_sets(len(labels)),
        embeds_pictures=True,
    )


def judged(judge: Judge, embed: Embed) -> dict[str, Any]:
    """Return a tower's fidelity to float32, and whether it is within our bounds."""
    found = np.concatenate([embed(feed["pixels"]) for feed in judge.feeds])
    fidelity = judge.fidelity(found / np.linalg.norm(found, axis=1, keepdims=True))
    return {**asdict(fidelity), "within_bounds": BOUNDS.hold(fidelity)}
