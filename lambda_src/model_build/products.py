"""The matrix products of a graph that have constant weights: what can be written in fewer bits."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from onnx import ModelProto


@dataclass(frozen=True, kw_only=True)
class Product:
    """A `MatMul` of activations with constant weights."""

    name: str  # of its weights, which say which layer it is
    node: str  # the name of its output, which is unique
    input: str
    rows: int  # of the weights
    columns: int


def find_products(model: ModelProto) -> list[Product]:
    """All products with constant two-dimensional weights, in the graph's order."""
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    names = _layer_names(model)
    return [
        Product(
            name=names[node.output[0]],
            node=node.output[0],
            input=node.input[0],
            rows=weights[node.input[1]].dims[0],
            columns=weights[node.input[1]].dims[1],
        )
        for node in model.graph.node
        if node.op_type == "MatMul" and node.input[1] in weights and len(weights[node.input[1]].dims) == 2
    ]


def _layer_names(model: ModelProto) -> dict[str, str]:
    """A readable name for each product: that of the bias added to it where it has its own, else of its output."""
    biases = {tensor.name for tensor in model.graph.initializer if len(tensor.dims) == 1}
    # Equal biases are stored once, under one name: random weights have many, all zero.
    uses = Counter(name for node in model.graph.node for name in node.input)
    names = {node.output[0]: node.output[0] for node in model.graph.node}
    for node in model.graph.node:
        if node.op_type == "Add":
            for one, other in (node.input, reversed(list(node.input))):
                if other in biases and uses[other] == 1 and one in names:
                    names[one] = other.removesuffix(".bias")
    return names
