"""The models that are measured: the real CLIP architecture with seeded random weights, exported once and kept."""

from __future__ import annotations

import json
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from model_build.source import Source

NAME = "ViT-B-32-quickgelu"
FOLDER = Path("build/bench")
FACTORS = (60, 400)  # of the outlier channels
# The blocks between which the class token is 30 times as long as the others: the third to the eighth.
_FIRST, _LAST = 2, 7

# What a kept model is made by: the export, what it measures with, what is planted, and this file.
_MAKERS = (
    "lambda_src/model_build/*.py",
    "lambda_src/model_build/costs/*.json",
    "lambda_src/moderator/clip/*.py",
    "bench/models.py",
    "bench/planted.py",
)
_LIBRARIES = ("numpy", "onnx", "onnxruntime", "onnxscript", "open-clip-torch", "pillow", "scikit-image", "torch")


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


def exported(precision: str, planting: str = "", *, target: str | None = None) -> Path:
    """Return the model folder of this precision; export it again where it, or what makes it, has changed.

    Args:
        precision: the export's.
        planting: one of `PLANTED`, or nothing for the random weights as they are.
        target: the processor that it is for; by default the machine's own kind.
    """
    target = target or own_target()
    name = folder_name(precision, planting, target)

    def write(folder: Path) -> None:
        print(f"Exporting {NAME} with random weights as {name}: once, it is kept in {folder}.", flush=True)
        pretrained = str(checkpoint(planting)) if planting else "none"
        subprocess.run(
            [
                *(sys.executable, "-m", "model_build.export", "--model", NAME, "--pretrained", pretrained),
                *("--out", str(folder), "--precision", precision, "--target", target),
            ],
            check=True,
        )

    return kept(FOLDER / name, write)


def folder_name(precision: str, planting: str, target: str) -> str:
    """Return what a model folder is called: one for another processor than the machine's own has that in its name."""
    words = [planting, precision, "" if target == own_target() else target]
    return "-".join(word for word in words if word)


def kept(path: Path, write: Callable[[Path], None]) -> Path:
    """Return a file or folder that `write` makes, made again where what it is made from has changed since."""
    stamp, today = path.with_name(f"{path.name}.made-from"), fingerprint_of_makers()
    if not (path.exists() and stamp.is_file() and stamp.read_text() == today):
        stamp.unlink(missing_ok=True)
        if path.is_dir():
            shutil.rmtree(path)
        path.unlink(missing_ok=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path)
        stamp.write_text(today)
    return path


def fingerprint_of_makers(root: Path = Path(), versions: Mapping[str, str] | None = None) -> str:
    """Return a hash of all that a kept model depends on: our code, the targets' costs, and the libraries' versions.

    Args:
        root: of the repository.
        versions: of the libraries; by default those that are installed.
    """
    import hashlib

    versions = {name: version(name) for name in _LIBRARIES} if versions is None else versions
    digest = hashlib.sha256(json.dumps(versions, sort_keys=True).encode())
    for path in sorted(path for pattern in _MAKERS for path in root.glob(pattern)):
        digest.update(f"{path.relative_to(root)}\n".encode() + path.read_bytes())
    return digest.hexdigest()


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

    def write(path: Path) -> None:
        import onnx

        from model_build.image_tower import ImageTower
        from model_build.onnx_files import image_graph
        from model_build.source import load

        source = load(NAME, "none")
        onnx.save(image_graph(source, ImageTower(source.model.visual)), path)

    return kept(FOLDER / "plain.onnx", write)


def checkpoint(planting: str = "") -> Path:
    """Return the same weights as an open_clip checkpoint, for what loads the model as the predecessor does."""

    def write(path: Path) -> None:
        import torch

        from model_build.source import load

        source = load(NAME, "none")
        if planting:
            PLANTED[planting](source)
        torch.save(source.model.state_dict(), path)

    return kept(FOLDER / (f"weights-{planting}.pt" if planting else "weights.pt"), write)


def own_target() -> str:
    """Return the processor that is measured: the machine's own kind."""
    return "graviton2" if platform.machine() == "aarch64" else "x86-vnni"
