"""Moves a tower's outlier channels from its activations into its weights, which have a scale each: the same function.

A channel that leaves a norm is divided by a scale, in the norm's gain and bias, and the weights that read it are
multiplied by it; likewise a value channel between the attention's two products. It is what SmoothQuant
(https://arxiv.org/abs/2211.10438) and RepQ-ViT (https://arxiv.org/abs/2212.08254) do, the scale of channel j being
max|x_j| ** e / max|w_j| ** (1 - e). The exponent e differs between towers, so it is measured. What comes out of an
activation function cannot be scaled beforehand and stays as it is.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

from model_build.fidelity import Feed
from model_build.forms import rewritten
from model_build.precision import embed
from model_build.products import find_products
from moderator.clip.session import cpu_session

# From 0.3 to 0.7 the loss changes by less than a tenth (ViT-B/32's image tower, random weights, planted outliers too).
_EXPONENTS = (0.3, 0.5, 0.7)
# By how much a number of an embedding may differ once smoothed. In exact arithmetic none would.
MOST_CHANGE = 1e-5
# What leads one position of the whole to the products of the last block; channels stay where they are.
_PICKS = ("Gather", "GatherElements", "Slice")


@dataclass(frozen=True, kw_only=True)
class Smoothing:
    """A tower after smoothing, the exponent taken (None: none was better), and what each one tried lost."""

    model: ModelProto
    exponent: float | None
    losses: Mapping[float | None, float]  # 1 - mean cosine of the tower in rows to itself in float32
    change: float  # the largest difference of a number in an embedding that smoothing alone makes, in float32


def best_smoothing(model: ModelProto, feeds: Sequence[Feed]) -> Smoothing:
    """Smooth a float32 tower by the exponent with which it loses least when all its products are in rows.

    An exponent that changes the function itself by more than `MOST_CHANGE` is not taken.
    """
    reference = embed(model, feeds)
    sizes = _channel_sizes(model, feeds)
    best = Smoothing(model=model, exponent=None, losses={}, change=0.0)
    losses: dict[float | None, float] = {}
    for exponent in (None, *_EXPONENTS):
        candidate = model if exponent is None else _smoothed(model, sizes, exponent)
        change = float(np.abs(embed(candidate, feeds) - reference).max()) if exponent is not None else 0.0
        rows = rewritten(candidate, {product.node: "row" for product in find_products(candidate)})
        loss = 1 - float((reference.astype(np.float64) * embed(rows, feeds)).sum(axis=1).mean())
        losses[exponent] = loss if np.isfinite(loss) else float("inf")
        if losses[exponent] < losses[best.exponent] and change <= MOST_CHANGE:
            best = Smoothing(model=candidate, exponent=exponent, losses={}, change=change)
    return replace(best, losses=losses)


def smoothed(model: ModelProto, feeds: Sequence[Feed], exponent: float) -> ModelProto:
    """Smooth a float32 tower; `model` is not changed, and the result computes the same."""
    return _smoothed(model, _channel_sizes(model, feeds), exponent)


@dataclass(frozen=True, kw_only=True)
class _Source:
    """Where channels can be scaled: what to divide there, and the products that read them."""

    output: str  # the activations whose channels these are
    divided: Sequence[tuple[NodeProto, int]]  # a node and which of its inputs is the constant
    columns: slice  # of each constant, its last axis
    readers: Sequence[NodeProto]


def _smoothed(model: ModelProto, sizes: Mapping[str, NDArray[np.float32]], exponent: float) -> ModelProto:
    result = ModelProto()
    result.CopyFrom(model)
    graph = result.graph
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    changed: dict[str, NDArray[np.float32]] = {}
    uses = Counter(name for node in graph.node for name in node.input)

    def replace(node: NodeProto, place: int, value: NDArray[np.float64]) -> None:
        # Equal constants are stored once, under one name: what another node reads too gets a name of its own.
        shared = uses[node.input[place]] > 1
        name = f"{node.output[0]}_smoothed_{place}" if shared else node.input[place]
        node.input[place] = name
        constants[name] = changed[name] = value.astype(np.float32)

    for source in _sources(graph):
        weights = [constants[reader.input[1]] for reader in source.readers]
        largest = np.max([np.abs(weight).max(axis=1) for weight in weights], axis=0)
        scale = _scale(sizes[source.output], largest, exponent)
        for node, place in source.divided:
            value = constants[node.input[place]].astype(np.float64)
            value[..., source.columns] /= scale
            replace(node, place, value)
        for reader, weight in zip(source.readers, weights, strict=True):
            replace(reader, 1, weight * scale[:, np.newaxis])
    used = {name for node in graph.node for name in node.input}
    kept = [tensor for tensor in graph.initializer if tensor.name in used and tensor.name not in changed]
    del graph.initializer[:]
    graph.initializer.extend(kept)
    graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in changed.items() if name in used)
    return result


def _scale(activations: NDArray[np.float32], weights: NDArray[np.float32], exponent: float) -> NDArray[np.float64]:
    """Return each channel's scale; 1 for a channel that is never anything or never read."""
    scale = np.ones(len(weights))
    live = (activations > 0) & (weights > 0)
    scale[live] = activations[live].astype(np.float64) ** exponent / weights[live].astype(np.float64) ** (1 - exponent)
    return scale


def _channel_sizes(model: ModelProto, feeds: Sequence[Feed]) -> dict[str, NDArray[np.float32]]:
    """Measure the largest absolute value of each channel: (channels,) by the activations' name."""
    names = [source.output for source in _sources(model.graph)]
    if not names:
        return {}
    probe = ModelProto()
    probe.CopyFrom(model)
    del probe.graph.output[:]
    probe.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in names)
    session = cpu_session(probe.SerializeToString())
    largest: dict[str, NDArray[np.float32]] = {}
    for feed in feeds:
        for name, value in zip(names, session.run(names, dict(feed)), strict=True):
            size = np.abs(value).reshape(-1, value.shape[-1]).max(axis=0)
            largest[name] = np.maximum(largest.get(name, size), size)
    return largest


def _sources(graph: GraphProto) -> list[_Source]:
    constants = {tensor.name: tensor for tensor in graph.initializer}
    producers = {name: node for node in graph.node for name in node.output}
    consumers: dict[str, list[NodeProto]] = defaultdict(list)
    for node in graph.node:
        for name in node.input:
            consumers[name].append(node)

    def readers(name: str) -> list[NodeProto] | None:
        """Return the products that read `name`, where nothing else does."""
        found: list[NodeProto] = []
        for node in consumers[name]:
            if node.op_type == "MatMul" and node.input[0] == name and node.input[1] in constants:
                found.append(node)
            elif node.op_type in _PICKS and node.input[0] == name:
                behind = readers(node.output[0])
                if behind is None:
                    return None
                found += behind
            elif node.op_type != "Shape":
                return None
        return found or None

    sources = []
    for node in graph.node:
        found = readers(node.output[0]) if node.op_type in ("LayerNormalization", "MultiHeadAttention") else None
        if found is None:
            continue
        norm = node.op_type == "LayerNormalization"
        values = ([(node, 1), (node, 2)], slice(None)) if norm else _values(node, producers, constants)
        if values is not None:
            divided, columns = values
            sources.append(_Source(output=node.output[0], divided=divided, columns=columns, readers=found))
    return sources


def _values(
    attention: NodeProto, producers: Mapping[str, NodeProto], constants: Mapping[str, TensorProto]
) -> tuple[list[tuple[NodeProto, int]], slice] | None:
    """Return the product and the addition that make the attention's values, and which of their columns do."""
    split = producers.get(attention.input[2])
    add = producers.get(split.input[0]) if split is not None and split.op_type == "Split" else None
    if split is None or add is None or add.op_type != "Add":
        return None
    place = list(split.output).index(attention.input[2])
    bias = 0 if add.input[0] in constants else 1
    product = producers.get(add.input[1 - bias])
    if product is None or product.op_type != "MatMul" or place + 1 != len(split.output):
        return None
    # The values are the last of two or three equal parts.
    width = constants[product.input[1]].dims[1] // len(split.output)
    return [(product, 1), (add, bias)], slice(-width, None)
