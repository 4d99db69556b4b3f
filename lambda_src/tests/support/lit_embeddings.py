"""Real embeddings of 55 photographs and 267 texts, from Google's LiT demo: `lit/README.md` says whose they are."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt

LOGIT_SCALE = 120.45
DIM = 1024

_FOLDER = Path(__file__).resolve().parent / "lit"

Embeddings = npt.NDArray[np.float32]  # (rows, dim), of unit length


def photographs() -> dict[str, npt.NDArray[np.float32]]:
    """Return each photograph's embedding (dim,) by its number."""
    return dict(zip((_FOLDER / "zimgs.txt").read_text("utf-8").split(), _read("zimgs.bin"), strict=True))


def texts() -> dict[str, npt.NDArray[np.float32]]:
    """Return each text's embedding (dim,)."""
    return dict(zip((_FOLDER / "ztxts.txt").read_text("utf-8").splitlines(), _read("ztxts.bin"), strict=True))


def descriptions() -> dict[str, str]:
    """Return what each photograph shows, by its number."""
    return {entry["id"]: entry["description"] for entry in json.loads((_FOLDER / "images.json").read_text("utf-8"))}


def _read(name: str) -> Embeddings:
    return np.fromfile(_FOLDER / name, "<f4").reshape(-1, DIM)
