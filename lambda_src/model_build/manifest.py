"""The model folder: its manifest, its fingerprint, and putting it in place whole or not at all."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from onnx import ModelProto, numpy_helper

from model_build.source import ExportError, Source

FORMAT = 1
# Raised when the export writes graphs that compute in another order: an embedding's last bits then change.
_ROUNDING = 2
IMAGE, TEXT, TOKENIZER, MANIFEST = "image.onnx", "text.onnx", "tokenizer.json", "manifest.json"
# The towers' weights, which are most of a tower.
IMAGE_DATA, TEXT_DATA = "image.data", "text.data"


def fingerprint(
    source: Source,
    *,
    precision: str,
    forms: Sequence[str],
    tokenizer: str,
    label_template: str,
    written: Sequence[ModelProto] = (),
) -> str:
    """Return 16 hex digits that change with anything that could change an embedding.

    Args:
        source: the model; its own weights count.
        precision: the export's.
        forms: of its products, in order.
        tokenizer: the file's content.
        label_template: wraps every label.
        written: the towers where they hold more than the model's own weights: scales that were measured on pictures
            and on the exporting machine, and what was rounded by them.
    """
    digest = hashlib.sha256()
    facts = {
        "format": FORMAT,
        "rounding": _ROUNDING,
        "name": source.name,
        "preprocessing": source.model.visual.preprocess_cfg,
        "precision": precision,
        "forms": list(forms),
        "label_template": label_template,
    }
    digest.update(json.dumps(facts, sort_keys=True).encode())
    digest.update(hashlib.sha256(tokenizer.encode()).digest())
    digest.update(_weights_digest(source.model))
    for tower in written:
        digest.update(_tower_digest(tower))
    return digest.hexdigest()[:16]


def _weights_digest(model: Any) -> bytes:
    digest = hashlib.sha256()
    for name, weights in sorted(model.state_dict().items()):
        digest.update(f"{name} {tuple(weights.shape)} {weights.dtype}\n".encode())
        digest.update(weights.contiguous().numpy().tobytes())
    return digest.digest()


def _tower_digest(tower: ModelProto) -> bytes:
    """Of a tower's constants and operators, whatever their names and order, which ONNX Runtime does not promise."""
    parts = [
        hashlib.sha256(f"{tensor.data_type} {list(tensor.dims)}\n".encode() + numpy_helper.to_array(tensor).tobytes())
        for tensor in tower.graph.initializer
    ]
    parts += [
        hashlib.sha256("".join([node.op_type, *sorted(map(str, node.attribute))]).encode()) for node in tower.graph.node
    ]
    return hashlib.sha256(b"".join(sorted(part.digest() for part in parts))).digest()


def described_files(folder: Path) -> dict[str, dict[str, Any]]:
    """Return size and SHA-256 of each file that the manifest names."""
    described = {}
    for name in (IMAGE, IMAGE_DATA, TEXT, TEXT_DATA, TOKENIZER):
        with (folder / name).open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        described[name] = {"bytes": (folder / name).stat().st_size, "sha256": sha256}
    return described


def write_manifest(manifest: dict[str, Any], folder: Path) -> None:
    """Write manifest.json, for people too."""
    text = json.dumps(manifest, indent=2, ensure_ascii=False)
    (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")


@contextmanager
def replaced_folder(target: Path) -> Iterator[Path]:
    """Yield a temporary folder whose files replace those in `target` when the block ends without an error.

    A folder without a manifest is no model, so the manifest goes first and comes back last.

    Raises:
        ExportError: `target` is not a folder.
    """
    if target.exists() and not target.is_dir():
        raise ExportError(f"{target} is a file: name a folder to write the model into.")
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        yield temporary
        target.mkdir(exist_ok=True)
        (target / MANIFEST).unlink(missing_ok=True)
        for name in (IMAGE, IMAGE_DATA, TEXT, TEXT_DATA, TOKENIZER, MANIFEST):
            (temporary / name).replace(target / name)
    finally:
        shutil.rmtree(temporary)
