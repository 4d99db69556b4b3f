"""The models that are measured: the real CLIP architecture with seeded random weights, exported once and kept."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

NAME = "ViT-B-32-quickgelu"
FOLDER = Path("build/bench")


def exported(precision: str) -> Path:
    """Return the model folder of this precision; export it again where the exporter or the folder has changed."""
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


def checkpoint() -> Path:
    """Return the same weights as an open_clip checkpoint, for what loads the model as the predecessor does."""
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
