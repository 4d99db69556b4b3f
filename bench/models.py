"""The models that are measured: the real CLIP architecture with seeded random weights, exported once and kept."""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from model_build.source import Source

NAME = "ViT-B-32-quickgelu"
FOLDER = Path("build/bench")
FACTORS = (60, 400)  # of the outlier channels
# The blocks between which the class token is 30 times as long as the others: the third to the eighth.
_FIRST, _LAST = 2, 7


def _plant_channels(factor: float, source: Source) -> None:
    from bench.planted import plant_channels

    plant_channels(source.model, factor)


def _plant_tokens(source: Source) -> None:
    import torch

    from bench.planted import plant_tokens
    from model_build.photographs import photographs

    pixels = torch.stack([source.preprocess(picture) for picture in photographs()])
    plant_tokens(source.model, pixels, first=_FIRST, last=_LAST)


# What is planted into the weights, by the name of the model folder.
PLANTED: Mapping[str, Callable[[Source], None]] = {
    **{f"channels-{factor}": partial(_plant_channels, factor) for factor in FACTORS},
    "tokens": _plant_tokens,
}


def exported(precision: str, planting: str = "") -> Path:
    """Return the model folder of this precision; export it again where the exporter or the folder has changed.

    Args:
        precision: the export's.
        planting: one of `PLANTED`, or nothing for the random weights as they are.
    """
    name = f"{planting}-{precision}" if planting else precision
    folder, stamp = FOLDER / name, FOLDER / f"{name}.exporter"
    exporter = _fingerprint_of_exporter()
    if not (stamp.is_file() and stamp.read_text() == exporter and (folder / "manifest.json").is_file()):
        print(f"Exporting {NAME} with random weights as {name}: once, it is kept in {folder}.", flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        pretrained = str(checkpoint(planting)) if planting else "none"
        subprocess.run(
            [
                *(sys.executable, "-m", "model_build.export", "--model", NAME, "--pretrained", pretrained),
                *("--out", str(folder), "--precision", precision, "--target", _target()),
            ],
            check=True,
        )
        stamp.write_text(exporter)
    return folder


def precomputed(folder: Path) -> Path:
    """Return a copy of a model folder that has the configured labels' embeddings too."""
    from dataclasses import replace

    from moderator.jobs.precompute import precompute
    from moderator.settings import Settings

    copy = folder.with_name(f"{folder.name}-precomputed")
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(folder, copy)
    precompute(replace(Settings(), model_dir=copy))
    return copy


def plain_image_tower() -> Path:
    """Return the float32 image tower that torch's exporter makes of open_clip's own, without our rewriting."""
    path = FOLDER / "plain.onnx"
    if not path.is_file():
        import onnx

        from model_build.image_tower import ImageTower
        from model_build.onnx_files import image_graph
        from model_build.source import load

        source = load(NAME, "none")
        FOLDER.mkdir(parents=True, exist_ok=True)
        onnx.save(image_graph(source, ImageTower(source.model.visual)), path)
    return path


def checkpoint(planting: str = "") -> Path:
    """Return the same weights as an open_clip checkpoint, for what loads the model as the predecessor does."""
    path = FOLDER / (f"weights-{planting}.pt" if planting else "weights.pt")
    if not path.is_file():
        import torch

        from model_build.source import load

        FOLDER.mkdir(parents=True, exist_ok=True)
        source = load(NAME, "none")
        if planting:
            PLANTED[planting](source)
        torch.save(source.model.state_dict(), path)
    return path


def _target() -> str:
    """Return the processor that is measured: the machine's own kind."""
    return "graviton2" if platform.machine() == "aarch64" else "x86-vnni"


def _fingerprint_of_exporter() -> str:
    import hashlib

    digest = hashlib.sha256()
    for path in sorted(Path("lambda_src/model_build").glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()
