"""Holds a written model folder against open_clip itself: the same pictures and labels through both."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from model_build.demo_pictures import BACKGROUNDS, COLOURS, SHAPES, draw
from model_build.flat_pictures import flat_pictures, padded
from model_build.libraries import open_clip, transforms
from model_build.manifest import IMAGE, TEXT, TOKENIZER
from model_build.photographs import photographs
from model_build.source import ExportError, Source
from moderator.clip.session import cpu_session
from moderator.clip.tokenizer import Tokenizer

LABELS = (
    "a cat",
    "a dog",
    "a photo of a rocket on its launch pad",
    "a cup of coffee",
    "a portrait of a smiling woman in an orange suit",
    "a man with a camera",
    "coins",
    "a scanned page of text",
    "the inside of an eye",
    "a red circle",
    "a blue square",
    "a yellow star",
    "an arrow pointing up",
    "a screenshot of a computer game with a score",
    "Crème brûlée &amp; café ☕",
    "x",
)

_BATCH = 4


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """How closely the written model follows open_clip; of each figure the worst."""

    pictures: int
    real_pictures: int
    labels: int
    image_cosine: float
    text_cosine: float
    probability_difference: float


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The least that a precision has to reach."""

    cosine: float
    probability_difference: float


LIMITS = {
    "fp32": Limits(cosine=0.99999, probability_difference=1e-4),
    # What precision.py holds each tower to; a probability follows from both, and is recorded.
    "auto": Limits(cosine=0.99, probability_difference=1.0),
    "int8": Limits(cosine=0.99, probability_difference=1.0),
}


def measure(source: Source, folder: Path, label_template: str) -> Agreement:
    """Run both over the same pictures and labels; needs no network.

    Raises:
        ExportError: there are no photographs.
    """
    real = photographs()
    pictures = [*real, *padded(real[:4]), *flat_pictures(), *_drawn_pictures()]
    theirs = _open_clip_embeddings(source, pictures, label_template)
    ours = _written_embeddings(source, folder, pictures, label_template)
    scale = float(source.model.logit_scale.exp())
    difference = np.abs(_probabilities(*theirs, scale) - _probabilities(*ours, scale)).max()
    return Agreement(
        pictures=len(pictures),
        real_pictures=len(real),
        labels=len(LABELS),
        image_cosine=_worst_cosine(theirs[0], ours[0]),
        text_cosine=_worst_cosine(theirs[1], ours[1]),
        probability_difference=float(f"{difference:.3g}"),
    )


def refuse_disagreement(agreement: Agreement, limits: Limits) -> None:
    """Compare with `limits`.

    Raises:
        ExportError: the written model does not follow open_clip closely enough; names the figure.
    """
    for tower, cosine in (("image", agreement.image_cosine), ("text", agreement.text_cosine)):
        # Written so that a cosine that is no number is refused too.
        if not cosine >= limits.cosine:
            raise ExportError(
                f"The written {tower} tower disagrees with open_clip: worst cosine {cosine}, wanted {limits.cosine}."
            )
    if not agreement.probability_difference <= limits.probability_difference:
        raise ExportError(
            f"The written model disagrees with open_clip: a probability differs by {agreement.probability_difference}, "
            f"wanted at most {limits.probability_difference}."
        )


def as_json(agreement: Agreement) -> dict[str, Any]:
    """Return the manifest's form of it."""
    return asdict(agreement)


def resized_pixels(source: Source, picture: Image.Image) -> NDArray[np.uint8]:
    """Return the pixels of open_clip's own resizing and cutting, before they become floats: (height, width, 3)."""
    for step in source.preprocess.transforms:
        if isinstance(step, transforms.Resize | transforms.CenterCrop):
            picture = step(picture)
    return np.asarray(picture)


def _drawn_pictures() -> Iterator[Image.Image]:
    rng = np.random.default_rng(0)
    for index, (colour, shape) in enumerate(zip(COLOURS, SHAPES, strict=True)):
        yield draw(colour, shape, BACKGROUNDS[index % len(BACKGROUNDS)], rng)


_Embeddings = tuple[NDArray[np.float32], NDArray[np.float32]]  # (pictures, dim), (labels, dim)


def _open_clip_embeddings(source: Source, pictures: Sequence[Image.Image], label_template: str) -> _Embeddings:
    tokenizer = open_clip.SimpleTokenizer(context_length=source.context_length)
    tokens = tokenizer([label_template.replace("{}", label) for label in LABELS])
    with torch.inference_mode():
        image = [
            source.model.encode_image(
                torch.stack([source.preprocess(picture) for picture in batch]), normalize=True
            ).numpy()
            for batch in _batches(pictures)
        ]
        return np.concatenate(image), source.model.encode_text(tokens, normalize=True).numpy()


def _written_embeddings(
    source: Source, folder: Path, pictures: Sequence[Image.Image], label_template: str
) -> _Embeddings:
    image = cpu_session(folder / IMAGE)
    embeddings = [
        image.run(None, {"pixels": np.stack([resized_pixels(source, picture) for picture in batch])})[0]
        for batch in _batches(pictures)
    ]
    text = cpu_session(folder / TEXT)
    ids = Tokenizer(folder / TOKENIZER, source.context_length, label_template).encode(LABELS)
    length = text.get_inputs()[0].shape[1]
    if not isinstance(length, int):  # named, so of any length
        length = max(map(len, ids))
    tokens = np.array([[*row, *[0] * (length - len(row))] for row in ids], np.int64)
    return np.concatenate(embeddings), text.run(None, {"tokens": tokens})[0]


def _batches(pictures: Sequence[Image.Image]) -> Iterator[Sequence[Image.Image]]:
    for start in range(0, len(pictures), _BATCH):
        yield pictures[start : start + _BATCH]


def _worst_cosine(theirs: NDArray[np.float32], ours: NDArray[np.float32]) -> float:
    a, b = theirs.astype(np.float64), ours.astype(np.float64)
    cosines = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    return float(round(cosines.min(), 9))


def _probabilities(image: NDArray[np.float32], text: NDArray[np.float32], scale: float) -> NDArray[np.float64]:
    logits = scale * image.astype(np.float64) @ text.astype(np.float64).T  # (pictures, labels)
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(exponentials / exponentials.sum(axis=1, keepdims=True))
