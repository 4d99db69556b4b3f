"""Which open_clip models can be exported, and loading one.

Everything that can be refused is refused from the model's configuration and the names given, before any download.
"""

from __future__ import annotations

import difflib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from model_build.libraries import open_clip
from model_build.weights import WeightsUnreachable, fetch

# The weights of `--pretrained none`: any number does, as long as it stays.
_SEED = 0
_CLIP_VOCABULARY = 49408
_PREPROCESSING = ("mean", "std", "interpolation", "resize_mode")


class ExportError(Exception):
    """The model cannot be exported as asked; the message says why and what would be right."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """A loaded open_clip model, in evaluation mode and float32, and how it prepares pictures."""

    name: str
    pretrained: str  # a tag, "none", or the checkpoint file's name
    model: Any  # CLIP or CustomTextCLIP; open_clip has no types
    preprocess: Any  # open_clip's own transform: PIL picture -> normalised (3, height, width)
    image_size: tuple[int, int]  # height, width
    resize_mode: str
    interpolation: str
    context_length: int


def add_config(path: Path) -> str:
    """Tell open_clip of a model configuration in its own JSON form; return the model's name, which is the file's stem.

    Raises:
        ExportError: the file is missing, is not such a configuration, or has the name of a model that is built in.
    """
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ExportError(f"{path} cannot be read as a model configuration: {error}") from error
    missing = [
        key for key in ("embed_dim", "vision_cfg", "text_cfg") if not isinstance(config, dict) or key not in config
    ]
    if missing:
        raise ExportError(f"{path} is not an open_clip model configuration: it lacks {', '.join(missing)}.")
    known = open_clip.get_model_config(path.stem)
    if known is None:
        open_clip.add_model_config(path)
    elif known != config:
        raise ExportError(f"{path.stem} is already the name of another model: rename {path.name}.")
    return path.stem


def load(name: str, pretrained: str) -> Source:
    """Load the model `name` with the weights `pretrained`: a tag of open_clip's, a checkpoint's path, or "none".

    Raises:
        ExportError: the model, the weights or their combination cannot be exported; raised before any download.
    """
    config = open_clip.get_model_config(name)
    if config is None:
        raise ExportError(f"open_clip has no model {name!r}.{_close(name, open_clip.list_models())}")
    refuse_unsupported(name, config)
    tags = open_clip.list_pretrained_tags_by_model(name)
    tag = pretrained if pretrained != "none" and open_clip.pretrained.get_pretrained_cfg(name, pretrained) else None
    if tag is None and pretrained != "none":
        _refuse_missing_checkpoint(name, pretrained, tags)
    if tag is not None:
        _refuse_other_activation(name, tag, config)
    preprocessing = preprocessing_of(name, [tag] if tag else tags)
    _refuse_preprocessing(name, preprocessing)
    if tag is not None:
        try:
            fetch(name, tag)
        except WeightsUnreachable as error:
            raise ExportError(str(error)) from error

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_SEED)
        model, _, preprocess = open_clip.create_model_and_transforms(
            name,
            pretrained=None if pretrained == "none" else pretrained,
            image_mean=preprocessing.get("mean"),
            image_std=preprocessing.get("std"),
            image_interpolation=preprocessing.get("interpolation"),
            image_resize_mode=preprocessing.get("resize_mode"),
        )
    model.eval().requires_grad_(False)
    prepared = model.visual.preprocess_cfg
    size = prepared["size"]
    height, width = (size, size) if isinstance(size, int) else size
    if height != width and prepared["resize_mode"] == "shortest":
        raise ExportError(f"{name} takes pictures of {height}x{width}: only square ones can be cut from the centre.")
    return Source(
        name=name,
        pretrained=pretrained if tag or pretrained == "none" else Path(pretrained).name,
        model=model,
        preprocess=preprocess,
        image_size=(height, width),
        resize_mode=prepared["resize_mode"],
        interpolation=prepared["interpolation"],
        context_length=model.context_length,
    )


def refuse_unsupported(name: str, config: dict[str, Any]) -> None:
    """Judge a model by its configuration.

    Raises:
        ExportError: the service could not answer as open_clip does with this model.
    """
    text = config["text_cfg"]
    reasons = {
        "it is a CoCa model, whose text tower also writes captions": "multimodal_cfg" in config,
        f"its text tower is {text.get('hf_model_name')}, not CLIP's": text.get("hf_model_name"),
        f"it has another tokenizer ({text.get('hf_tokenizer_name')})": text.get("hf_tokenizer_name"),
        "its tokenizer cleans text in another way": text.get("tokenizer_kwargs"),
        # open_clip chooses this tokenizer by the model's name.
        "it has SigLIP's tokenizer": "siglip" in name.lower(),
        "it is a sigmoid model, whose probabilities do not sum to 1": config.get("init_logit_bias") is not None,
        "its text tower reads the embedding at a class token": text.get("embed_cls"),
        f"its vocabulary is not CLIP's {_CLIP_VOCABULARY} tokens": text.get("vocab_size", _CLIP_VOCABULARY)
        != _CLIP_VOCABULARY,
        f"its text tower pools by {text.get('pool_type')!r}": text.get("pool_type", "argmax") not in {"argmax", "eos"},
        "its end token is not CLIP's": text.get("pool_type") == "eos" and text.get("eos_id") != _CLIP_VOCABULARY - 1,
        "its towers answer more than one embedding": text.get("output_tokens")
        or config["vision_cfg"].get("output_tokens"),
    }
    for reason, applies in reasons.items():
        if applies:
            raise ExportError(f"{name} cannot be exported: {reason}.")


def preprocessing_of(name: str, tags: list[str]) -> dict[str, Any]:
    """Return how the weights of `tags` want pictures prepared where they all agree; otherwise open_clip's default.

    For a checkpoint's path open_clip takes OpenAI's mean, which is wrong for MobileCLIP, for example. What all
    published weights of a model agree on is the better guess.
    """
    wanted = [
        {key: open_clip.pretrained.get_pretrained_cfg(name, tag).get(key) for key in _PREPROCESSING} for tag in tags
    ]
    return wanted[0] if wanted and all(other == wanted[0] for other in wanted) else {}


def _refuse_preprocessing(name: str, preprocessing: dict[str, Any]) -> None:
    resize_mode = preprocessing.get("resize_mode") or "shortest"
    interpolation = preprocessing.get("interpolation") or "bicubic"
    if resize_mode not in {"shortest", "squash"}:
        raise ExportError(
            f"{name} cannot be exported: its pictures are resized by {resize_mode!r}, not shortest or squash."
        )
    if interpolation not in {"bicubic", "bilinear"}:
        raise ExportError(f"{name} cannot be exported: its pictures are interpolated by {interpolation!r}.")


def _refuse_missing_checkpoint(name: str, pretrained: str, tags: list[str]) -> None:
    path = Path(pretrained)
    if path.is_file():
        return
    if path.suffix or len(path.parts) > 1:
        raise ExportError(f"There is no checkpoint {pretrained}.")
    known = ", ".join(["none", *tags])
    raise ExportError(f"{name} has no weights {pretrained!r}: known are {known}; or give a checkpoint's path.")


def _refuse_other_activation(name: str, tag: str, config: dict[str, Any]) -> None:
    # open_clip only warns here, and then answers wrongly.
    trained_with = open_clip.pretrained.get_pretrained_cfg(name, tag).get("quick_gelu", False)
    built_with = config.get("quick_gelu", False)
    if trained_with == built_with:
        return
    other = f"{name}-quickgelu" if trained_with else name.removesuffix("-quickgelu")
    advice = f" Take {other}." if other in open_clip.list_models() else ""
    words = ("QuickGELU", "GELU") if trained_with else ("GELU", "QuickGELU")
    raise ExportError(f"{name} computes {words[1]}, but the weights {tag} were trained with {words[0]}.{advice}")


def _close(name: str, names: list[str]) -> str:
    close = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    return f" Did you mean {' or '.join(close)}?" if close else ""
