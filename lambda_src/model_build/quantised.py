"""The operators of products in 8 bits, and the constants that they read: what `forms.py` puts into a graph.

What two products read is quantised once, and what depends only on how many rows there are is made once for all of them;
where the graph says what the shapes are, they are constants. In ViT-B/32's image tower that is 250 operators fewer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import GraphProto, NodeProto, TensorProto, helper, numpy_helper

MICROSOFT = "com.microsoft"

# The sizes of all axes but the last: numbers, or names that mean the same number wherever they stand.
Sizes = tuple[int | str, ...]

# The activations' zero. They are symmetric, but x86 has no fast product of two signed operands.
_ZERO = 128
# The least that a row's largest value counts as: a row of zeros has a scale too.
_LEAST = np.float32(1e-30)


def leading_sizes(graph: GraphProto) -> dict[str, Sizes]:
    """Return the sizes of all axes but the last, of what has them all: numbers, or names that mean the same number."""
    found: dict[str, Sizes] = {}
    for value in (*graph.input, *graph.value_info):
        axes = value.type.tensor_type.shape.dim
        sizes = tuple(axis.dim_param or axis.dim_value for axis in axes[:-1])
        if all(sizes):
            found[value.name] = sizes
    return found


class Quantised:
    """A graph's nodes so far, some of them products in 8 bits."""

    def __init__(self, leading: Mapping[str, Sizes]) -> None:
        self.nodes: list[NodeProto] = []
        self.constants: dict[str, TensorProto] = {}
        self._leading = leading
        self._quantised: dict[tuple[str, int], tuple[list[str], list[str]]] = {}
        self._shared: dict[tuple[str | Sizes, str, int], str] = {}

    def product_of_bytes(self, node: NodeProto, weight: NDArray[np.float32], as_bytes: str) -> None:
        """Multiply pixels as the bytes that they are, without an error."""
        (out,) = node.output
        inputs = [as_bytes, *self._weight(out, weight)]
        self._add("MatMulIntegerToFloat", inputs, out, domain=MICROSOFT)

    def product(self, node: NodeProto, weight: NDArray[np.float32], block: int) -> None:
        """Multiply in blocks of `block` rows of the weights, each a product of its own, and add them up."""
        (out,) = node.output
        parts, scales = self._activations(node.input[0], len(weight), block)
        terms = []
        for place, (part, scale) in enumerate(zip(parts, scales, strict=True)):
            name = f"{out}_{place}"
            inputs = [part, *self._weight(name, weight[place * block : (place + 1) * block]), self._zero()]
            unscaled = self._add("MatMulIntegerToFloat", inputs, f"{name}_unscaled", domain=MICROSOFT)
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
        rows, blocks = name, width // block
        if blocks > 1 or len(self._leading.get(name, ())) != 1:
            rows = self._add("Reshape", [name, self._numbers(f"rows_of_{block}", [-1, block])], f"{prefix}_rows")
        # 2. The scale: 127 stands for the row's largest value.
        sizes = self._add("Abs", [rows], f"{prefix}_sizes")
        last = self._numbers("last_axis", [1])
        largest = self._add("ReduceMax", [sizes, last], f"{prefix}_largest", keepdims=0)
        some = self._add("Max", [largest, self._number("least", _LEAST)], f"{prefix}_some")
        scale = self._add("Mul", [some, self._number("a_127th", np.float32(1 / 127))], f"{prefix}_scale")
        # 3. The bytes, in the shape that the activations had.
        as_bytes = self._add("QuantizeLinear", [rows, scale, self._zeros(name, blocks, scale)], f"{prefix}_q", axis=0)
        if rows != name:
            as_bytes = self._add("Reshape", [as_bytes, self._shape(name, width)], f"{prefix}_bytes")
        scales = self._add("Reshape", [scale, self._shape(name, blocks)], f"{prefix}_scales")
        if blocks == 1:
            return [as_bytes], [scales]
        # 4. The blocks apart.
        return self._split(as_bytes, blocks), self._split(scales, blocks)

    def _zeros(self, name: str, blocks: int, scale: str) -> str:
        """Return a zero for each of the scales: activations that have as many rows share them."""
        key = (self._leading.get(name, name), "zeros", blocks)
        if key not in self._shared:
            shape = self._add("Shape", [scale], f"{scale}_shape")
            self._shared[key] = self._add("Expand", [self._zero(), shape], f"{scale}_zeros")
        return self._shared[key]

    def _shape(self, name: str, last: int) -> str:
        """Return the shape of `name` but for its last axis, which becomes `last`: a constant where it can be one."""
        leading = self._leading.get(name)
        if leading is not None and sum(isinstance(size, str) for size in leading) <= 1:
            sizes = [-1 if isinstance(size, str) else size for size in leading]
            return self._numbers("_by_".join(map(str, ["shape", *leading, last])), [*sizes, last])
        key = (leading or name, "shape", last)
        if key not in self._shared:
            begins = (leading or name, "leading", 0)
            if begins not in self._shared:
                self._shared[begins] = self._add("Shape", [name], f"{name}_leading", end=-1)
            parts = [self._shared[begins], self._numbers(f"a_last_{last}", [last])]
            self._shared[key] = self._add("Concat", parts, f"{name}_shape_{last}", axis=0)
        return self._shared[key]

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
