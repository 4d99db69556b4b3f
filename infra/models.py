"""The open_clip models that a stack may choose, with their weights and sizes, and what is wrong with a choice."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from infra.settings import StackSettings

# A tower is one protobuf. https://protobuf.dev/programming-guides/proto-limits/
LARGEST_TOWER_MB = 2147

# What the service needs beside the towers: itself (130 MB), and pictures while they are decoded (300 MB).
_BESIDE_MB = 430
# A tower of 600 MB took 740 MB when it was loaded, one of 200 MB 250.
_LOADED = 1.25
# 8-bit weights, beside the token table, which stays as it is.
_INT8 = 0.5


@dataclass(frozen=True, kw_only=True)
class SupportedModel:
    """One model: its weights' tags, "none" among them, and the size of its towers in float32, in MB."""

    weights: tuple[str, ...]
    image_mb: int
    text_mb: int


# Every open_clip model that the export takes; `make supported-models` writes the file, and a test holds it to the
# export's own checks. Read from a file, because the program must not need torch.
SUPPORTED_MODELS = {
    name: SupportedModel(weights=tuple(one["weights"]), image_mb=one["image_mb"], text_mb=one["text_mb"])
    for name, one in json.loads(Path(__file__).with_name("models.json").read_text("utf-8")).items()
}


def complaints_of_model(settings: StackSettings) -> Iterator[str]:
    """Say what is wrong with the choice of a model, its weights, and the memory for it."""
    if settings.model == "demo":
        return
    if settings.model not in SUPPORTED_MODELS:
        close = _close(settings.model, SUPPORTED_MODELS, "is near")
        yield f"model is {settings.model!r}: it must be demo or a name in infra/models.json{close}."
        return
    model = SUPPORTED_MODELS[settings.model]
    for tower, megabytes in {"image": model.image_mb, "text": model.text_mb}.items():
        if megabytes > LARGEST_TOWER_MB:
            yield (
                f"model is {settings.model!r}: its {tower} tower has {megabytes / 1000:.1f} GB, "
                f"and it must be one of at most {LARGEST_TOWER_MB / 1000:.1f} GB, which is what an ONNX file holds."
            )
    if settings.pretrained not in model.weights:
        others = [name for name, other in SUPPORTED_MODELS.items() if settings.pretrained in other.weights]
        close = _close(settings.model, others, "has them")
        yield (
            f"pretrained is {settings.pretrained!r}: with {settings.model} it must be one of "
            f"{', '.join(model.weights)}{close}."
        )
    needed = needed_memory(model, precision=settings.precision)
    for key, memory in {
        "memory": settings.memory,
        "jobMemory": settings.job_memory if settings.jobs else needed,
    }.items():
        if memory < needed:
            yield f"{key} is {memory}: with {settings.model} it must be at least {needed}, in MB."


def needed_memory(model: SupportedModel, *, precision: str) -> int:
    """Return the MB that the service needs with both towers loaded; `auto` may keep them in float32."""
    towers = (model.image_mb + model.text_mb) * (_INT8 if precision == "int8" else 1)
    return round(_BESIDE_MB + _LOADED * towers)


def _close(name: str, names: Iterable[str], why: str) -> str:
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return f"; {close[0]} {why}" if close else ""
