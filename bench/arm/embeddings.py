"""The real towers' embeddings on the emulated machine and on this one: to each other, alone and in company."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bench import pictures
from bench.arm.machine import FOLDER, Machine
from bench.ours import LABELS
from model_build.flat_pictures import flat_pictures, padded
from model_build.photographs import photographs
from moderator.clip.model import read_model
from moderator.pictures.decode import read_picture

Embedded = Mapping[str, NDArray[np.float32]]  # by tower and way, (items, dim)

_TOWERS = ("image", "text")
_WAYS = ("alone", "together", "together, 2 threads")


def compared_embeddings(machine: Machine, model: Path) -> dict[str, Any]:
    """Embed four pictures and five labels there and here, each alone and together, and compare."""
    folder = FOLDER / "embeddings"
    folder.mkdir(parents=True, exist_ok=True)
    asked, there, here = folder / "asked.json", folder / "there.npz", folder / "here.npz"
    np.save(folder / "pixels.npy", _pixels(model))
    settings = {"model": str(model.resolve()), "pixels": str(folder / "pixels.npy"), "labels": LABELS}
    asked.write_text(json.dumps(settings))
    program = ["bench/arm/guest.py", "embeddings", str(asked)]
    machine.run([*program, str(there)])
    subprocess.run([sys.executable, "-W", "ignore", *program, str(here)], check=True)
    return compared(np.load(there), np.load(here))


def compared(there: Embedded, here: Embedded) -> dict[str, Any]:
    """Return of each tower whether company shows there, and how far its embeddings are from those here."""
    found: dict[str, Any] = {}
    for tower in _TOWERS:
        ways = [there[f"{tower}, {way}"] for way in _WAYS]
        one, other = ways[0], here[f"{tower}, {_WAYS[0]}"]
        found[tower] = {
            "count": len(one),
            "company_shows": not all(np.array_equal(way, one) for way in ways),
            "same_bits_as_here": int(sum(np.array_equal(*pair) for pair in zip(one, other, strict=True))),
            "largest_difference": float(np.abs(one - other).max()),
            "worst_cosine": float((one.astype(np.float64) * other).sum(axis=1).min()),
        }
    return found


def _pixels(model: Path) -> NDArray[np.uint8]:
    """Two photographs, one of them between bars too, and a blank picture: (pictures, height, width, 3)."""
    (barred,) = padded(photographs()[:1])
    encoded = [*pictures.thumbnails(2), _png(barred), _png(flat_pictures()[0])]
    preprocessing = read_model(model).preprocessing
    read = [read_picture(one, preprocessing, max_pixels=10**8, name="picture") for one in encoded]
    return np.stack([picture.frames[0].parts[0] for picture in read])


def _png(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()
