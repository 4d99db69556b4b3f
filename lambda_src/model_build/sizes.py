"""Refuses models whose towers are too large: a graph is one protobuf on its way to ONNX Runtime, at most 2 GiB."""

from __future__ import annotations

from typing import Any

import torch

from model_build.libraries import open_clip
from model_build.source import ExportError, refuse_unsupported

# https://protobuf.dev/programming-guides/proto-limits/ The stack refuses the same at `pulumi preview`: infra/models.py.
LARGEST_TOWER_MB = 2147


def refuse_large(name: str, model: Any, largest_mb: int = LARGEST_TOWER_MB) -> None:
    """Judge a model by its towers' sizes; a model on torch's meta device has them too.

    Raises:
        ExportError: a tower in float32 is larger than a graph can be.
    """
    image = sum(parameter.numel() for parameter in model.visual.parameters())
    both = sum(parameter.numel() for parameter in model.parameters())
    for tower, parameters in (("image", image), ("text", both - image)):
        megabytes = -(-4 * parameters // 1_000_000)  # of float32, rounded up
        if megabytes > largest_mb:
            raise ExportError(
                f"{name} cannot be exported: its {tower} tower has {megabytes} MB in float32, and a graph holds at"
                f" most {largest_mb} MB. Choose a smaller model."
            )


def refuse_large_by_name(name: str) -> None:
    """Judge a model of open_clip's before anything of it is loaded: in a second, and without memory for its weights.

    Raises:
        ExportError: it is too large, or cannot be exported for another reason.
    """
    config = open_clip.get_model_config(name)
    if config is None:
        return  # what is not known is refused when it is loaded
    refuse_unsupported(name, config)
    with torch.device("meta"):
        refuse_large(name, open_clip.create_model(name, load_weights=False, device="meta"))
