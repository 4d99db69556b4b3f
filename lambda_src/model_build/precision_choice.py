"""Applies `precision.py` to both towers of a model, each judged by the other's float32 embeddings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from model_build import samples
from model_build.costs import Costs
from model_build.fidelity import BOUNDS, Feed, Fidelity, Judge
from model_build.forms import Form
from model_build.manifest import IMAGE, TEXT, TOKENIZER
from model_build.onnx_files import Towers
from model_build.precision import Choice, choose, embed
from model_build.smoothing import Smoothing, best_smoothing
from model_build.source import ExportError, Source
from moderator.clip.session import cpu_session
from moderator.clip.tokenizer import Tokenizer

_FORMS: Sequence[Form] = ("row", "block256", "block128", "block32", "fp32")

_LABELS_AT_ONCE = 32
# Batches. Channels are large on every picture; more would change no exponent.
_SMOOTHED_BY = 2


@dataclass(frozen=True, kw_only=True)
class Choices:
    """What was chosen for both towers."""

    image: Choice
    text: Choice
    smoothing: Mapping[str, Smoothing]  # of `image` and `text`
    judges: Mapping[str, Judge]  # likewise
    pictures: int  # that they were measured on
    photographs: int  # of which these many are different photographs, whole


def choose_precision(
    source: Source, towers: Towers, folder: Path, label_template: str, *, own: Path | None, costs: Costs
) -> Choices:
    """Choose the forms of both towers.

    Args:
        source: where the towers came from.
        towers: both in float32.
        folder: the model folder so far; its tokenizer is used.
        label_template: wraps every label.
        own: a folder of pictures to measure on, instead of those that are at hand.
        costs: of the forms, on the target.

    Raises:
        ExportError: there are no photographs to measure on.
    """
    labels = samples.labels()
    sets = samples.label_sets(len(labels))
    scale = float(source.model.logit_scale.exp())
    pictures = samples.pictures(source, own)
    image_feeds: list[Feed] = [{"pixels": batch} for batch in pictures.batches]
    tokenizer = Tokenizer(folder / TOKENIZER, source.context_length, label_template)
    text_feeds = _text_feeds(tokenizer.encode(labels), towers)
    pictures_embedded, labels_embedded = embed(towers.image, image_feeds), embed(towers.text, text_feeds)
    smoothing = {
        "image": best_smoothing(towers.image, image_feeds[:_SMOOTHED_BY]),
        "text": best_smoothing(towers.text, text_feeds[:_SMOOTHED_BY]),
    }
    judges = {
        "image": Judge(
            feeds=image_feeds,
            reference=pictures_embedded,
            others=labels_embedded,
            logit_scale=scale,
            label_sets=sets,
            embeds_pictures=True,
        ),
        "text": Judge(
            feeds=text_feeds,
            reference=labels_embedded,
            others=pictures_embedded,
            logit_scale=scale,
            label_sets=sets,
            embeds_pictures=False,
        ),
    }
    return Choices(
        smoothing=smoothing,
        judges=judges,
        pictures=pictures.count,
        photographs=pictures.photographs,
        image=choose(smoothing["image"].model, judges["image"], forms=_FORMS, costs=costs),
        text=choose(smoothing["text"].model, judges["text"], forms=_FORMS, costs=costs),
    )


def refuse_choice(choices: Choices, precision: str) -> None:
    """Hold the choice against what was asked for.

    Raises:
        ExportError: a tower is out of bounds, or `int8` was asked for and a product could not have it.
    """
    for tower, choice in (("image", choices.image), ("text", choices.text)):
        if not BOUNDS.hold(choice.fidelity):
            raise ExportError(f"The {tower} tower is out of bounds in every form: {choice.fidelity}; wanted {BOUNDS}.")
        if precision == "int8" and not BOUNDS.hold(choice.fastest):
            raise ExportError(
                f"With 8 bits everywhere the {tower} tower is out of bounds: {choice.fastest}; wanted {BOUNDS}. "
                "Use PRECISION=auto, which keeps the layers that need it in a finer form."
            )


def judge_written(choices: Choices, folder: Path) -> dict[str, Fidelity]:
    """Return how closely the towers in `folder` follow the ones in float32 that the choice began with.

    Between the choice and the files lie the target's norms and another optimisation: what is judged is what is served.

    Raises:
        ExportError: a tower is out of bounds.
    """
    found = {}
    for tower, file in (("image", IMAGE), ("text", TEXT)):
        judge = choices.judges[tower]
        session = cpu_session(folder / file)
        embeddings = [session.run(["embeddings"], dict(feed))[0] for feed in judge.feeds]
        found[tower] = judge.fidelity(np.concatenate(embeddings))
        if not BOUNDS.hold(found[tower]):
            raise ExportError(
                f"The written {tower} tower is out of bounds against itself in float32: {found[tower]}; wanted "
                f"{BOUNDS}. Use PRECISION=fp32, which rounds nothing."
            )
    return found


def forms_of(choices: Choices | None, costs: Costs) -> list[str]:
    """Each layer's form, in order, the smoothing before it, and the norms; a model's fingerprint changes with them."""
    norms = f"{costs.norm} norms"
    if choices is None:
        return [norms]
    exponents = [f"smoothed by {smoothing.exponent}" for smoothing in choices.smoothing.values()]
    return [*exponents, *(layer.form for choice in (choices.image, choices.text) for layer in choice.layers), norms]


def summary(choices: Choices) -> str:
    """Return what was chosen, a line a tower, and on what it was measured."""
    lines = [f"measured on {choices.pictures} pictures, among them {choices.photographs} different photographs"]
    for tower, choice in (("image", choices.image), ("text", choices.text)):
        forms = Counter(layer.form for layer in choice.layers)
        counted = ", ".join(f"{count} in {form}" for form, count in forms.most_common())
        lines.append(
            f"{tower} tower: {len(choice.layers)} products, {counted}; mean cosine "
            f"{choice.fidelity.mean_cosine:.5f}, top-1 agreement {choice.fidelity.top_1_agreement:.2%}"
        )
    return "\n        ".join(lines)


def table(choices: Choices) -> str:
    """What was chosen, layer by layer, for people."""
    lines = []
    for tower, choice in (("image", choices.image), ("text", choices.text)):
        lines.append(f"\n{tower} tower{'':32} {'shape':>12}  {'form':8} what it alone costs of the mean cosine")
        for layer in choice.layers:
            losses = "  ".join(f"{form} {loss:.1g}" for form, loss in layer.losses.items())
            lines.append(
                f"  {layer.name[-40:]:40} {layer.rows:>6}x{layer.columns:<5}  {layer.form:8} {losses}".rstrip()
            )
        for name, fidelity in (
            ("as chosen", choice.fidelity),
            ("all in the fastest form", choice.fastest),
        ):
            lines.append(
                f"  {name:23} mean cosine {fidelity.mean_cosine:.5f}, worst {fidelity.worst_cosine:.5f}, "
                f"top-1 agreement {fidelity.top_1_agreement:.2%} (identical {fidelity.top_1_identical:.2%})"
            )
    return "\n".join(lines)


def _text_feeds(tokens: Sequence[Sequence[int]], towers: Towers) -> list[Feed]:
    """Labels in batches, padded as the service pads them."""
    length = towers.text.graph.input[0].type.tensor_type.shape.dim[1]
    feeds: list[Feed] = []
    for start in range(0, len(tokens), _LABELS_AT_ONCE):
        rows = tokens[start : start + _LABELS_AT_ONCE]
        width = length.dim_value or max(map(len, rows))
        batch = np.zeros((len(rows), width), np.int64)
        for place, row in enumerate(rows):
            batch[place, : len(row)] = row
        feeds.append({"tokens": batch})
    return feeds
