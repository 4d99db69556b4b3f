"""Chooses each matrix product's precision by measurement, so that a tower is as fast as its own weights allow.

Eight bits run several times faster than float32, but trained towers have channels that are far larger than the
others, and a row's one scale then leaves the others no digits. Which layers suffer differs from model to model, so
nothing is assumed: each product's error is measured in each form, each takes the form that is cheapest on the target
and stays under one limit for all of them, and that limit is the largest which keeps the tower within `BOUNDS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, helper

from model_build.costs import Costs
from model_build.fidelity import BOUNDS, Embeddings, Feed, Fidelity, Judge
from model_build.forms import Form, possible_forms, rewritten
from model_build.products import Product, find_products
from moderator.clip.session import cpu_session

Allowed = Mapping[str, Sequence[Form]]  # of each product, the cheapest first and `fp32` last
Errors = Mapping[str, Mapping[Form, float]]  # of each product in each form but `fp32`


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One product: the form it was given, and what each form that it could have had loses."""

    name: str
    rows: int
    columns: int
    form: Form
    errors: Mapping[Form, float]  # of its output, relative to the output's length


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A tower in the forms chosen, and what they cost in accuracy."""

    model: ModelProto
    layers: Sequence[Layer]
    fidelity: Fidelity
    fastest: Fidelity  # what the tower would lose were every product in its fastest form

    def as_json(self) -> dict[str, Any]:
        """The manifest's form."""
        return {
            "fidelity": asdict(self.fidelity),
            "all_in_the_fastest_form": asdict(self.fastest),
            "layers": [
                {
                    "layer": layer.name,
                    "shape": [layer.rows, layer.columns],
                    "form": layer.form,
                    "error": {form: round(error, 5) for form, error in layer.errors.items()},
                }
                for layer in self.layers
            ],
        }


def choose(model: ModelProto, judge: Judge, *, forms: Sequence[Form], costs: Costs) -> Choice:
    """Find the fastest forms that keep the tower within `BOUNDS`.

    Args:
        model: the tower in float32.
        judge: what to measure it by.
        forms: the forms that may be used, `fp32` among them.
        costs: the target's, which say which form is cheapest for a product.
    """
    products = find_products(model)
    allowed = {
        product.node: costs.ordered(product, [form for form in forms if form in possible_forms(product)])
        for product in products
    }
    errors = _layer_errors(model, products, allowed, judge.feeds[:1])
    reference = embed(model, judge.feeds)
    measured: dict[tuple[Form, ...], tuple[ModelProto, Fidelity]] = {}

    def measure(chosen: Mapping[str, Form]) -> tuple[ModelProto, Fidelity]:
        key = tuple(chosen.values())
        if key not in measured:
            measured.clear()  # one candidate of a large tower is enough to hold
            candidate = rewritten(model, chosen)
            measured[key] = (candidate, judge.fidelity(reference, embed(candidate, judge.feeds)))
        return measured[key]

    fastest = measure(_within(float("inf"), allowed, errors))[1]
    chosen = _within(
        _largest_limit(errors, lambda limit: BOUNDS.hold(measure(_within(limit, allowed, errors))[1])), allowed, errors
    )
    candidate, fidelity = measure(chosen)
    layers = [
        Layer(
            name=product.name,
            rows=product.rows,
            columns=product.columns,
            form=chosen[product.node],
            errors=errors[product.node],
        )
        for product in products
    ]
    return Choice(model=candidate, layers=layers, fidelity=fidelity, fastest=fastest)


def embed(model: ModelProto, feeds: Sequence[Feed]) -> Embeddings:
    """Run a tower over all feeds: (items, dim)."""
    session = cpu_session(model.SerializeToString())
    return np.concatenate([session.run(["embeddings"], dict(feed))[0] for feed in feeds])


def _within(limit: float, allowed: Allowed, errors: Errors) -> dict[str, Form]:
    """Give each product the fastest form whose own error is at most `limit`; float32 has none."""
    return {
        node: next(form for form in options if form == "fp32" or errors[node][form] <= limit)
        for node, options in allowed.items()
    }


def _largest_limit(errors: Errors, holds: Callable[[float], bool]) -> float:
    """Find by bisection the largest error to allow a product: a tower's error grows with its products'."""
    limits = sorted({0.0, *(error for forms in errors.values() for error in forms.values() if np.isfinite(error))})
    if holds(limits[-1]):
        return limits[-1]
    low, high = 0, len(limits) - 1  # all in float32 holds whatever else does not
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if holds(limits[middle]) else (low, middle)
    return limits[low]


def _layer_errors(
    model: ModelProto, products: Sequence[Product], allowed: Mapping[str, Sequence[Form]], feeds: Sequence[Feed]
) -> dict[str, dict[Form, float]]:
    """Measure each product by itself, on what it really gets: the relative error of its output in each form."""
    inputs = sorted({product.input for product in products})
    outputs = [product.node for product in products]
    probe = ModelProto()
    probe.CopyFrom(model)
    del probe.graph.output[:]
    probe.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in [*inputs, *outputs])
    session = cpu_session(probe.SerializeToString())
    errors: dict[str, dict[Form, float]] = {}
    for feed in feeds:
        values = dict(zip([*inputs, *outputs], session.run([*inputs, *outputs], dict(feed)), strict=True))
        for product in products:
            exact = values[product.node]
            errors[product.node] = {
                form: _relative_error(exact, _run_alone(model, product, form, values[product.input]))
                for form in allowed[product.node]
                if form != "fp32"
            }
    return errors


def _run_alone(
    model: ModelProto, product: Product, form: Form, activations: NDArray[np.float32]
) -> NDArray[np.float32]:
    node = next(node for node in model.graph.node if node.output[0] == product.node)
    weight = next(tensor for tensor in model.graph.initializer if tensor.name == node.input[1])
    graph = helper.make_graph(
        [node],
        "product",
        [helper.make_tensor_value_info(product.input, 1, [None] * activations.ndim)],
        [helper.make_tensor_value_info(product.node, 1, [None] * activations.ndim)],
        [weight],
    )
    alone = helper.make_model(graph, opset_imports=list(model.opset_import), ir_version=model.ir_version)
    written = rewritten(alone, {product.node: form})
    session = cpu_session(written.SerializeToString())
    result: NDArray[np.float32] = session.run(None, {product.input: activations})[0]
    return result


def _relative_error(exact: NDArray[np.float32], approximate: NDArray[np.float32]) -> float:
    length = float(np.linalg.norm(exact.astype(np.float64)))
    error = float(np.linalg.norm(exact.astype(np.float64) - approximate))
    return error / length if length else error
