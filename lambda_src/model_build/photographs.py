"""The real pictures that an export is measured on: photographs and scans that scikit-image's wheel carries.

They are read from the installed wheel and never fetched: what scikit-image downloads on demand is not among them.
Each is CC0, in the public domain or without known restrictions, as `skimage.data` says of it; of `page.png` it says
nothing, so that scikit-image's own licence (BSD-3-Clause) holds. None is copied into the repository, the model folder
or the image.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from model_build.source import ExportError

# Seven in colour and eight in grey: everyday things, textures, what a telescope and a microscope see, a scanned page.
NAMES = (
    "astronaut.png",
    "chelsea.png",
    "coffee.png",
    "rocket.jpg",
    "camera.png",
    "coins.png",
    "retina.jpg",
    "page.png",
    "hubble_deep_field.jpg",
    "ihc.png",
    "clock_motion.png",
    "brick.png",
    "grass.png",
    "gravel.png",
    "cell.png",
)


def photographs() -> list[Image.Image]:
    """Return all of `NAMES`, in RGB.

    Raises:
        ExportError: one is missing: figures of drawings alone say nothing of photographs.
    """
    return [Image.open(path).convert("RGB") for path in _paths()]


def refuse_missing_photographs() -> None:
    """Look for the photographs before the long work begins.

    Raises:
        ExportError: as `photographs`.
    """
    for _ in _paths():
        pass


def _paths() -> Iterator[Path]:
    found = importlib.util.find_spec("skimage")
    advice = "install what model_build/requirements.txt names: an export is measured on real photographs"
    if found is None or found.origin is None:
        raise ExportError(f"There are no photographs, because scikit-image is not installed: {advice}.")
    folder = Path(found.origin).parent / "data"
    missing = [name for name in NAMES if not (folder / name).is_file()]
    if missing:
        raise ExportError(f"scikit-image has no {', '.join(missing)} in {folder}: {advice}.")
    for name in NAMES:
        yield folder / name
