"""The models that are measured: the real CLIP architecture with seeded random weights, exported once and kept."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

NAME = "ViT-B-32-quickgelu"
FOLDER = Path("build/bench")


def exported(precision: str) -> Path:
    """The model folder of this precision; exported where the exporter or the folder is not what it was."""
    folder = FOLDER / precision
    stamp = FOLDER / f"{precision}.exporter"
    exporter = _fingerprint_of_exporter()
    if not (stamp.is_file() and stamp.read_text() == exporter and (folder / "manifest.json").is_file()):
        print(f"Exporting {NAME} with random weights as {precision}: once, it is kept in {folder}.", flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run(
            [
                *(sys.executable, "-m", "model_build.export", "--model", NAME, "--pretrained", "none"),
                *("--out", str(folder), "--precision", precision),
            ],
            check=True,
        )
        stamp.write_text(exporter)
    return folder


def plain_image_tower() -> Path:
    """The image tower as the exporter of torch writes open_clip's own, in float32: none of our rewriting."""
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


def checkpoint() -> Path:
    """The same weights as a checkpoint of open_clip's, for what loads the model as the predecessor does."""
    path = FOLDER / "weights.pt"
    if not path.is_file():
        import torch

        from model_build.source import load

        FOLDER.mkdir(parents=True, exist_ok=True)
        torch.save(load(NAME, "none").model.state_dict(), path)
    return path


def _fingerprint_of_exporter() -> str:
    import hashlib

    digest = hashlib.sha256()
    for path in sorted(Path("lambda_src/model_build").glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()
