"""Chooses each matrix product's precision by measurement, so that a tower is as fast as its own weights allow.

Eight bits run several times faster than float32, but trained towers have channels that are far larger than the
others, and a row's one scale then leaves the others no digits. Which layers suffer differs from model to model, so
nothing is assumed: where the cheapest forms do not keep the tower within `BOUNDS`, we measure what the whole tower
loses by each product alone; each takes the form that is cheapest on the target and loses no more than a limit, one for
all of them, and that limit is the largest which keeps the tower within bounds. A product's own error would mislead: a
unit that adds a token thirty times as long as the others needs digits that the relative error does not show.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from onnx import ModelProto

from model_build.costs import Costs
from model_build.fidelity import BOUNDS, Embeddings, Feed, Fidelity, Judge
from model_build.forms import Form, possible_forms, rewritten
from model_build.products import find_products
from moderator.clip.session import cpu_session

Allowed = Mapping[str, Sequence[Form]]  # of each product, the cheapest first and `fp32` last

# Of a product alone. Below the least, a loss is float32's own rounding; with the most, the tower is far out of bounds.
_LEAST_LOSS, _MOST_LOSS, _LIMITS = 1e-7, 1e-2, 40
# No cosine is further from 1. What is no number at all counts as that.
_WORST_LOSS = 2.0


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One product, the form it was given, and what the tower loses by it alone in each form that was tried."""

    name: str
    rows: int
    columns: int
    form: Form
    losses: Mapping[Form, float]  # of its mean cosine; empty where the fastest forms keep the tower within bounds


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A tower in the forms chosen, and what they cost in accuracy."""

    model: ModelProto
    layers: Sequence[Layer]
    fidelity: Fidelity
    fastest: Fidelity  # what the tower would lose were every product in its fastest form

    def as_json(self, written: Fidelity) -> dict[str, Any]:
        """The manifest's form; `written` is the fidelity of the tower that was written, after its last rewriting."""
        return {
            "fidelity": asdict(written),
            "all_in_the_fastest_form": asdict(self.fastest),
            "layers": [
                {
                    "layer": layer.name,
                    "shape": [layer.rows, layer.columns],
                    "form": layer.form,
                    "loss": {form: float(f"{loss:.2g}") for form, loss in layer.losses.items()},
                }
                for layer in self.layers
            ],
        }


def choose(model: ModelProto, judge: Judge, *, forms: Sequence[Form], costs: Costs) -> Choice:
    """Find the fastest forms that keep the tower within `BOUNDS`.

    Args:
        model: the tower in float32, smoothed.
        judge: what to measure it by; its reference is the tower before it was smoothed.
        forms: the forms that may be used, `fp32` among them.
        costs: the target's, which say which form is cheapest for a product.
    """
    products = find_products(model)
    allowed = {
        product.node: costs.ordered(product, [form for form in forms if form in possible_forms(product)])
        for product in products
    }
    measured: dict[tuple[Form, ...], tuple[ModelProto, Fidelity]] = {}

    def measure(chosen: Mapping[str, Form]) -> tuple[ModelProto, Fidelity]:
        key = tuple(chosen.values())
        if key not in measured:
            measured.clear()  # one candidate of a large tower is enough to hold
            candidate = rewritten(model, chosen)
            measured[key] = (candidate, judge.fidelity(embed(candidate, judge.feeds)))
        return measured[key]

    losses = _Losses(model, judge.feeds[:1], judge.reference)
    chosen = _within(float("inf"), allowed, None)
    fastest = measure(chosen)[1]
    if not BOUNDS.hold(fastest):
        limit = _largest_limit(lambda limit: BOUNDS.hold(measure(_within(limit, allowed, losses))[1]))
        chosen = _within(limit, allowed, losses)
    candidate, fidelity = measure(chosen)
    layers = [
        Layer(
            name=product.name,
            rows=product.rows,
            columns=product.columns,
            form=chosen[product.node],
            losses=losses.known(product.node),
        )
        for product in products
    ]
    return Choice(model=candidate, layers=layers, fidelity=fidelity, fastest=fastest)


def embed(model: ModelProto, feeds: Sequence[Feed]) -> Embeddings:
    """Run a tower over all feeds: (items, dim)."""
    session = cpu_session(model.SerializeToString())
    return np.concatenate([session.run(["embeddings"], dict(feed))[0] for feed in feeds])


class _Losses:
    """What a tower loses of its mean cosine by one product alone in a form; measured when it is first asked for."""

    def __init__(self, model: ModelProto, feeds: Sequence[Feed], reference: Embeddings) -> None:
        self._model = model
        self._feeds = feeds
        self._reference = reference
        self._known: dict[tuple[str, Form], float] = {}

    def of(self, node: str, form: Form) -> float:
        """Return the loss of the tower with this product in this form, and all others in float32."""
        if (node, form) not in self._known:
            embeddings = embed(rewritten(self._model, {node: form}), self._feeds)
            cosines = (self._reference[: len(embeddings)].astype(np.float64) * embeddings).sum(axis=1)
            loss = 1 - float(cosines.mean())
            self._known[node, form] = loss if np.isfinite(loss) else _WORST_LOSS
        return self._known[node, form]

    def known(self, node: str) -> dict[Form, float]:
        """Return what was measured of this product."""
        return {form: loss for (one, form), loss in self._known.items() if one == node}


def _within(limit: float, allowed: Allowed, losses: _Losses | None) -> dict[str, Form]:
    """Give each product the cheapest form by which the tower loses at most `limit`; float32 loses nothing."""
    return {
        node: next(form for form in options if form == "fp32" or losses is None or losses.of(node, form) <= limit)
        for node, options in allowed.items()
    }


def _largest_limit(holds: Callable[[float], bool]) -> float:
    """Find by bisection the largest loss to allow a product: a tower's grows with its products'."""
    limits = np.geomspace(_LEAST_LOSS, _MOST_LOSS, _LIMITS).tolist()
    low, high = -1, _LIMITS  # with no loss at all everything is in float32, which holds whatever else does not
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if holds(limits[middle]) else (low, middle)
    return float(limits[low]) if low >= 0 else -1.0
