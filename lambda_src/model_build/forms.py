"""The forms that a matrix product with constant weights can be written in.

| form       | weights                         | activations                                | operators             |
| ---------- | ------------------------------- | ------------------------------------------ | --------------------- |
| `row`      | 8 bits, a scale a column        | 8 bits, a scale a row                      | one integer product   |
| `block256` | 8 bits, one a column and block  | 8 bits, a scale a row and block of 256     | one a block, added up |
| `block128` | the same in blocks of 128       | the same                                   | the same              |
| `fp32`     | as they are                     | as they are                                | MatMul                |

In every form a row of the result depends on that row alone: a picture or a label is answered bit for bit the same in
any company. Integer sums have no order, and a scale is never shared between rows. `MatMulNBits`, which ONNX Runtime has
for blocks, does not promise that: it takes another kernel for one row than for several, and they round differently.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

from model_build.products import Product

Form = Literal["row", "block256", "block128", "fp32"]

_BLOCKS: Mapping[Form, int] = {"block256": 256, "block128": 128}  # rows of the weights that share a scale
_MICROSOFT = "com.microsoft"

# The activations' zero. They are symmetric, but x86 has no fast product of two signed operands.
_ZERO = 128
# The least that a row's largest value counts as: a row of zeros has a scale too.
_LEAST = np.float32(1e-30)


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
    written = _Written()
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
    if not any(entry.domain == _MICROSOFT for entry in result.opset_import):
        result.opset_import.append(helper.make_opsetid(_MICROSOFT, 1))
    return result


def possible_forms(product: Product) -> Sequence[Form]:
    """Return the forms that this product can have, the fastest first."""
    blocks = [form for form, block in _BLOCKS.items() if product.rows % block == 0 and product.rows > block]
    return ("row", *blocks, "fp32")


class _Written:
    """A graph's nodes so far, some of them products in 8 bits; what two products read is quantised once."""

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []
        self.constants: dict[str, TensorProto] = {}
        self._quantised: dict[tuple[str, int], tuple[list[str], list[str]]] = {}

    def product_of_bytes(self, node: NodeProto, weight: NDArray[np.float32], as_bytes: str) -> None:
        """Multiply pixels as the bytes that they are, without an error."""
        (out,) = node.output
        inputs = [as_bytes, *self._weight(out, weight)]
        self._add("MatMulIntegerToFloat", inputs, out, domain=_MICROSOFT)

    def product(self, node: NodeProto, weight: NDArray[np.float32], block: int) -> None:
        """Multiply in blocks of `block` rows of the weights, each a product of its own, and add them up."""
        (out,) = node.output
        parts, scales = self._activations(node.input[0], len(weight), block)
        terms = []
        for place, (part, scale) in enumerate(zip(parts, scales, strict=True)):
            name = f"{out}_{place}"
            inputs = [part, *self._weight(name, weight[place * block : (place + 1) * block]), self._zero()]
            unscaled = self._add("MatMulIntegerToFloat", inputs, f"{name}_unscaled", domain=_MICROSOFT)
            terms.append(self._add("Mul", [unscaled, scale], out if len(parts) == 1 else f"{name}_scaled"))
        if len(terms) > 1:
            self._add("Sum", terms, out)

    def _activations(self, name: str, width: int, block: int) -> tuple[list[str], list[str]]:
        """Quantise `name` as it comes, a row of each block by itself.

        Returns:
            Of each block the bytes (..., block) and the scales (..., 1).
        """
        if (name, block) not in self._quantised:
            self._quantised[name, block] = self._quantise(name, f"{name}_by_{block}", width, block)
        return self._quantised[name, block]

    def _quantise(self, name: str, prefix: str, width: int, block: int) -> tuple[list[str], list[str]]:
        # 1. One row for each scale: (rows, block).
        rows = self._add("Reshape", [name, self._numbers(f"rows_of_{block}", [-1, block])], f"{prefix}_rows")
        # 2. The scale: 127 stands for the row's largest value.
        sizes = self._add("Abs", [rows], f"{prefix}_sizes")
        last = self._numbers("last_axis", [1])
        largest = self._add("ReduceMax", [sizes, last], f"{prefix}_largest", keepdims=0)
        some = self._add("Max", [largest, self._number("least", _LEAST)], f"{prefix}_some")
        scale = self._add("Mul", [some, self._number("a_127th", np.float32(1 / 127))], f"{prefix}_scale")
        # 3. The bytes, in the shape that the activations had.
        shape = self._add("Shape", [scale], f"{prefix}_scale_shape")
        zeros = self._add("Expand", [self._zero(), shape], f"{prefix}_zeros")
        quantised = self._add("QuantizeLinear", [rows, scale, zeros], f"{prefix}_row_bytes", axis=0)
        whole = self._add("Shape", [name], f"{prefix}_shape")
        as_bytes = self._add("Reshape", [quantised, whole], f"{prefix}_bytes")
        leading = self._add("Shape", [name], f"{prefix}_leading", end=-1)
        blocks = width // block
        of_blocks = self._add("Concat", [leading, self._numbers(f"{blocks}_blocks", [blocks])], f"{prefix}_s", axis=0)
        scales = self._add("Reshape", [scale, of_blocks], f"{prefix}_scales")
        if blocks == 1:
            return [as_bytes], [scales]
        # 4. The blocks apart.
        return self._split(as_bytes, blocks), self._split(scales, blocks)

    def _split(self, name: str, parts: int) -> list[str]:
        names = [f"{name}_{place}" for place in range(parts)]
        self.nodes.append(helper.make_node("Split", [name], names, axis=-1, num_outputs=parts))
        return names

    def _weight(self, name: str, weight: NDArray[np.float32]) -> list[str]:
        """Quantise weights a column at a time; the names of the bytes, of a scale of 1, and of the columns' scales."""
        scale = np.maximum(np.abs(weight).max(axis=0), np.finfo(np.float32).tiny) / np.float32(127)  # (columns,)
        quantised = np.clip(np.rint(weight / scale), -127, 127).astype(np.int8)
        return [
            self._constant(f"{name}_weight_int8", quantised),
            self._number("one", np.float32(1)),
            self._constant(f"{name}_weight_scale", scale.astype(np.float32)),
        ]

    def _zero(self) -> str:
        return self._number("zero_128", np.uint8(_ZERO))

    def _number(self, name: str, value: np.float32 | np.uint8) -> str:
        return self._constant(f"quantised_{name}", np.array(value))

    def _numbers(self, name: str, values: Sequence[int]) -> str:
        return self._constant(f"quantised_{name}", np.array(values, np.int64))

    def _constant(self, name: str, value: NDArray[Any]) -> str:
        if name not in self.constants:
            self.constants[name] = numpy_helper.from_array(value, name)
        return name

    def _add(self, operator: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(operator, inputs, [output], **attributes))
        return output


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
