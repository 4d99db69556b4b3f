"""The forms that a matrix product with constant weights can be written in.

| form       | weights                         | activations                                | operators             |
| ---------- | ------------------------------- | ------------------------------------------ | --------------------- |
| `row`      | 8 bits, a scale a column        | 8 bits, a scale a row                      | one integer product   |
| `block256` | 8 bits, one a column and block  | 8 bits, a scale a row and block of 256     | one a block, added up |
| `block128` | the same in blocks of 128       | the same                                   | the same              |
| `block32`  | the same in blocks of 32        | the same                                   | the same              |
| `fp32`     | as they are                     | as they are                                | MatMul                |

In every form a row of the result depends on that row alone: a picture or a label is answered bit for bit the same in
any company. Integer sums have no order, and a scale is never shared between rows. `MatMulNBits`, which ONNX Runtime has
for blocks, does not promise that: it takes another kernel for one row than for several, and they round differently.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

from model_build.products import Product
from model_build.quantised import MICROSOFT, Quantised, leading_sizes

Form = Literal["row", "block256", "block128", "block32", "fp32"]

_BLOCKS: Mapping[Form, int] = {
    "block256": 256,
    "block128": 128,
    "block32": 32,
}  # rows of the weights that share a scale


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
    written = Quantised(leading_sizes(graph))
    for node in graph.node:
        form = forms.get(node.output[0], "fp32")
        if form == "fp32":
            written.nodes.append(node)
            continue
        weight = numpy_helper.to_array(weights[node.input[1]])
        as_bytes = _bytes_behind(node.input[0], producers, graph)
        if as_bytes is not None:
            written.product_of_bytes(node, weight, as_bytes)
        else:
            written.product(node, weight, _BLOCKS.get(form, len(weight)))
    del graph.node[:]
    graph.node.extend(written.nodes)
    graph.initializer.extend(written.constants.values())
    del graph.value_info[:]  # it still names what is gone
    _drop_unused(result)
    if not any(entry.domain == MICROSOFT for entry in result.opset_import):
        result.opset_import.append(helper.make_opsetid(MICROSOFT, 1))
    return result


def possible_forms(product: Product) -> Sequence[Form]:
    """Return the forms that this product can have, the fastest first."""
    blocks = [form for form, block in _BLOCKS.items() if product.rows % block == 0 and product.rows > block]
    return ("row", *blocks, "fp32")


def _bytes_behind(name: str, producers: Mapping[str, NodeProto], graph: GraphProto) -> str | None:
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
