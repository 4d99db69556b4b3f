"""What the export takes, found out by asking it about every model and all weights that open_clip knows.

Run as `python -m infra.tests.exportable`; it writes `infra/models.json`.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from unittest.mock import patch

import torch

from infra.models import SupportedModel
from model_build import source
from model_build.libraries import open_clip

MODELS_FILE = Path(__file__).resolve().parents[1] / "models.json"


class _NotRefusedError(Exception):
    """The export would now make the model and download its weights."""


_CONFIGS = Path(open_clip.__file__).parent / "model_configs"


def exportable() -> dict[str, tuple[str, ...]]:
    """Return the weights, "none" first, that the export takes for each model that it takes; downloads nothing."""
    models = {
        name: tuple(tag for tag in ("none", *open_clip.list_pretrained_tags_by_model(name)) if _takes(name, tag))
        for name in open_clip.list_models()
        if (_CONFIGS / f"{name}.json").is_file()  # other tests add models of their own
    }
    return {name: tags for name, tags in models.items() if tags}


def described(name: str, tags: tuple[str, ...]) -> SupportedModel:
    """Return the model with the size of its towers, which takes a second or more."""
    with torch.device("meta"):  # sizes alone
        model = open_clip.create_model(name, load_weights=False, device="meta")
    image = sum(parameter.numel() for parameter in model.visual.parameters())
    both = sum(parameter.numel() for parameter in model.parameters())
    return SupportedModel(weights=tags, image_mb=_megabytes(image), text_mb=_megabytes(both - image))


def _megabytes(parameters: int) -> int:
    return -(-parameters * 4 // 1_000_000)


def _takes(name: str, pretrained: str) -> bool:
    with (
        patch.object(open_clip, "create_model_and_transforms", side_effect=_NotRefusedError),
        patch.object(source, "fetch", side_effect=_NotRefusedError),
    ):
        try:
            source.load(name, pretrained)
        except source.ExportError:
            return False
        except _NotRefusedError:
            return True
    raise AssertionError("the export makes models in another way")


if __name__ == "__main__":
    lines = ",\n".join(
        f"  {json.dumps(name)}: {json.dumps(asdict(described(name, tags)))}" for name, tags in exportable().items()
    )
    MODELS_FILE.write_text(f"{{\n{lines}\n}}\n", encoding="utf-8")
