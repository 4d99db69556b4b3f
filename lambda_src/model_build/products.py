"""The matrix products of a graph that have constant weights, and the forms that each can be written in.

| form       | weights                         | activations                     | operator of ONNX Runtime |
| ---------- | ------------------------------- | ------------------------------- | ------------------------ |
| `int8`     | 8 bits, a scale a column        | 8 bits, a scale a tensor        | DynamicQuantizeMatMul    |
| `block128` | 8 bits, a scale a block of 128  | 8 bits, a scale a block of 128  | MatMulNBits              |
| `block32`  | 8 bits, a scale a block of 32   | 8 bits, a scale a block of 32   | MatMulNBits              |
| `fp32`     | as they are                     | as they are                     | MatMul                   |
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

Form = Literal["int8", "block128", "block32", "fp32"]

_BLOCKS: Mapping[Form, int] = {"block128": 128, "block32": 32}  # rows that share a scale
# Activations in 8 bits too: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.MatMulNBits
_INT8_ACCURACY = 4
_MICROSOFT = "com.microsoft"


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


def rewritten(model: ModelProto, forms: Mapping[str, Form]) -> ModelProto:
    """Write each product in its form.

    Args:
        model: a graph in float32; it is not changed.
        forms: by `Product.node`; what is not named stays fp32.
    """
    result = ModelProto()
    result.CopyFrom(model)
    graph = result.graph
    weights = {tensor.name: tensor for tensor in graph.initializer}
    producers = {node.output[0]: node for node in graph.node}
    nodes: list[NodeProto] = []
    for node in graph.node:
        form = forms.get(node.output[0], "fp32")
        if form == "fp32":
            nodes.append(node)
            continue
        weight = numpy_helper.to_array(weights[node.input[1]])
        if form == "int8":
            new, constants = _int8(node, weight, _bytes_behind(node.input[0], producers, graph))
        else:
            new, constants = _in_blocks(node, weight, _BLOCKS[form])
        nodes.extend(new)
        graph.initializer.extend(constants)
    del graph.node[:]
    graph.node.extend(nodes)
    del graph.value_info[:]  # it still names what is gone
    _drop_unused(result)
    if not any(entry.domain == _MICROSOFT for entry in result.opset_import):
        result.opset_import.append(helper.make_opsetid(_MICROSOFT, 1))
    return result


def possible_forms(product: Product) -> Sequence[Form]:
    """The forms that this product can have, the fastest first."""
    return ("int8", *(form for form, block in _BLOCKS.items() if product.rows % block == 0), "fp32")


def _int8(
    node: NodeProto, weight: NDArray[np.float32], as_bytes: str | None
) -> tuple[list[NodeProto], list[TensorProto]]:
    """Quantise the weights a column at a time, and the activations when they come.

    Pixels are bytes already: they are multiplied as they are, without an error.
    """
    out = node.output[0]
    scale = np.maximum(np.abs(weight).max(axis=0), np.finfo(np.float32).tiny) / np.float32(127)  # (columns,)
    quantised = np.clip(np.rint(weight / scale), -127, 127).astype(np.int8)
    constants = [
        numpy_helper.from_array(quantised, f"{out}_weight_int8"),
        numpy_helper.from_array(scale.astype(np.float32), f"{out}_weight_scale"),
    ]
    if as_bytes is not None:
        constants.append(numpy_helper.from_array(np.array(1.0, np.float32), f"{out}_one"))
        inputs = [as_bytes, f"{out}_weight_int8", f"{out}_one", f"{out}_weight_scale"]
        return [helper.make_node("MatMulIntegerToFloat", inputs, [out], domain=_MICROSOFT)], constants
    activations, activation_scale, zero = f"{out}_activations", f"{out}_activation_scale", f"{out}_zero"
    # ONNX Runtime makes one operator of these, the bias that follows included.
    return [
        helper.make_node("DynamicQuantizeLinear", [node.input[0]], [activations, activation_scale, zero]),
        helper.make_node("MatMulInteger", [activations, f"{out}_weight_int8", zero], [f"{out}_sum"]),
        helper.make_node("Cast", [f"{out}_sum"], [f"{out}_float"], to=TensorProto.FLOAT),
        helper.make_node("Mul", [activation_scale, f"{out}_weight_scale"], [f"{out}_scale"]),
        helper.make_node("Mul", [f"{out}_float", f"{out}_scale"], [out]),
    ], constants


def _in_blocks(node: NodeProto, weight: NDArray[np.float32], block: int) -> tuple[list[NodeProto], list[TensorProto]]:
    """Quantise the weights in blocks of `block` rows; the operator does the same with the activations."""
    out = node.output[0]
    rows, columns = weight.shape
    blocks = weight.T.reshape(columns, rows // block, block)
    scale = np.maximum(np.abs(blocks).max(axis=2, keepdims=True), np.finfo(np.float32).tiny) / np.float32(127)
    quantised = (np.clip(np.rint(blocks / scale), -127, 127) + 128).astype(np.uint8)  # the operator's zero is 128
    constants = [
        numpy_helper.from_array(quantised, f"{out}_weight_blocks"),
        numpy_helper.from_array(scale.astype(np.float32).reshape(columns, -1), f"{out}_weight_scale"),
    ]
    inputs = [node.input[0], f"{out}_weight_blocks", f"{out}_weight_scale"]
    attributes = {"K": rows, "N": columns, "bits": 8, "block_size": block, "accuracy_level": _INT8_ACCURACY}
    return [helper.make_node("MatMulNBits", inputs, [out], domain=_MICROSOFT, **attributes)], constants


def _bytes_behind(name: str, producers: Mapping[str, NodeProto], graph: onnx.GraphProto) -> str | None:
    """The bytes that `name` is a cast of, where it is one. Moving bytes around leaves them bytes."""
    cast = producers.get(name)
    if cast is None or cast.op_type != "Cast":
        return None
    source = cast.input[0]
    kinds = {value.name: value.type.tensor_type.elem_type for value in graph.input}
    origin = source
    while origin in producers and producers[origin].op_type in ("Reshape", "Transpose", "Slice"):
        origin = producers[origin].input[0]
    return source if kinds.get(origin) == TensorProto.UINT8 else None


def _drop_unused(model: ModelProto) -> None:
    graph = model.graph
    needed = {output.name for output in graph.output}
    kept: list[NodeProto] = []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            kept.append(node)
            needed.update(node.input)
    del graph.node[:]
    graph.node.extend(reversed(kept))
    constants = [tensor for tensor in graph.initializer if tensor.name in needed]
    del graph.initializer[:]
    graph.initializer.extend(constants)


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
