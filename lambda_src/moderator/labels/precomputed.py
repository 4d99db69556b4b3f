"""The precomputed tier: the embeddings of all configured labels, made when the image is built, in the model folder.

A safetensors file with one matrix; its metadata names the model's fingerprint and the label of each row.
https://huggingface.co/docs/safetensors/index
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from logging import Logger
from pathlib import Path

import numpy as np

from moderator.clip.model import Model
from moderator.clip.towers import Embeddings
from moderator.errors import ConfigurationError
from moderator.labels.store import Embedding

FILE = "labels.safetensors"

_MATRIX = "embeddings"
# Computed embeddings are unit vectors to seven digits.
_LENGTH_TOLERANCE = 1e-4


def read_precomputed(model: Model, log: Logger) -> Mapping[str, Embedding]:
    """Read the file in `model`'s folder; return nothing if there is none, or if it is another model's.

    Raises:
        ConfigurationError: it cannot be read, has the wrong shape, or holds vectors that are not of unit length.
    """
    path = model.folder / FILE
    if not path.is_file():
        return {}
    # Imported here, so that a folder without the file does not pay for it.
    from safetensors import safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            matrix = file.get_tensor(_MATRIX)
            labels = json.loads(metadata["labels"])
            fingerprint = metadata["fingerprint"]
    except Exception as error:  # safetensors raises many kinds of error for a damaged file
        raise ConfigurationError(f"{path} cannot be read ({error}): make it again, or delete it.") from error
    if fingerprint != model.fingerprint:
        log.warning(
            "The precomputed labels are another model's and are not used: make them again.",
            extra={"made_for": fingerprint, "running": model.fingerprint},
        )
        return {}
    _check(path, labels, matrix, model)
    return dict(zip(labels, matrix, strict=True))


def write_precomputed(model: Model, labels: Sequence[str], matrix: Embeddings) -> Path:
    """Write the file in `model`'s folder: `matrix` (labels, dim) has a row for each label. Return its path.

    Never half-written: the old file, or none, stands until the new one is whole.
    """
    from safetensors.numpy import save_file

    path = model.folder / FILE
    unfinished = path.with_suffix(".unfinished")
    metadata = {"fingerprint": model.fingerprint, "labels": json.dumps(list(labels), ensure_ascii=False)}
    save_file({_MATRIX: np.ascontiguousarray(matrix, np.float32)}, unfinished, metadata=metadata)
    unfinished.replace(path)
    return path


def _check(path: Path, labels: object, matrix: Embeddings, model: Model) -> None:
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        raise ConfigurationError(f"{path} does not name its labels: make it again, or delete it.")
    shape = (len(labels), model.embedding_size)
    if matrix.shape != shape or matrix.dtype != np.float32:
        raise ConfigurationError(
            f"{path} holds {matrix.dtype} of shape {matrix.shape}, not float32 of shape {shape}: "
            "make it again, or delete it."
        )
    with np.errstate(over="ignore", invalid="ignore"):
        lengths = np.linalg.norm(matrix.astype(np.float64), axis=1)
    if not bool(np.all(np.abs(lengths - 1.0) <= _LENGTH_TOLERANCE)):
        raise ConfigurationError(f"{path} holds vectors that are not of unit length: make it again, or delete it.")
