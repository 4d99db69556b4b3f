"""Draws the comparison, as PNG and SVG: bars from a true zero."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot

_NAMES = {
    "predecessor_ms": "predecessor\n(torch, both towers, twice)",
    "open_clip_image_ms": "open_clip, image tower only\n(torch)",
    "onnx_fp32_ms": "ONNX Runtime, plain fp32\nimage tower only",
    "warm_ms": "ours, the whole request\n(5 known labels)",
    "image_tower_ms": "ours, image tower only",
    "floor_ms": "floor: its products alone\nin 8 bits",
}


def draw(figures: Mapping[str, float], folder: Path, stem: str = "bench") -> None:
    """Draw `figures` (milliseconds by key) into `folder`/`stem`.png and .svg."""
    keys = [key for key in _NAMES if key in figures]
    values = [figures[key] for key in keys]
    colours = ["#1f6f8b" if key in ("warm_ms", "image_tower_ms") else "#b8c0c8" for key in keys]
    figure, axes = pyplot.subplots(figsize=(8, 3.6), layout="constrained")
    bars = axes.barh([_NAMES[key] for key in keys], values, color=colours)
    axes.bar_label(bars, labels=[f"{value:.1f} ms" for value in values], padding=4, fontsize=9)
    axes.invert_yaxis()
    axes.set_xlim(0, max(values) * 1.12)
    axes.set_xlabel("milliseconds a picture, 2 threads")
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=9)
    for suffix in ("png", "svg"):
        figure.savefig(folder / f"{stem}.{suffix}", dpi=150, metadata={"Date": None} if suffix == "svg" else None)
    pyplot.close(figure)
