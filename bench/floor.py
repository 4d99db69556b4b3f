"""The floor: the image tower's matrix products and nothing else, in its shapes and with its 8-bit operator.

Large square products would say nothing about it: with 50 rows most of the time goes to fetching the weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from moderator.clip.session import cpu_session


@dataclass(frozen=True, kw_only=True)
class Shape:
    """One product: activations (rows, inner) by weights (inner, columns)."""

    rows: int
    inner: int
    columns: int


def shapes(model: Path) -> list[Shape]:
    """Return all products with weights in an fp32 graph, in its order, for one picture."""
    graph = onnx.load(model)
    weights = {tensor.name: tensor for tensor in graph.graph.initializer}
    products = [
        node
        for node in graph.graph.node
        if node.op_type in ("MatMul", "Gemm") and node.input[1] in weights and len(weights[node.input[1]].dims) == 2
    ]
    inputs = sorted({node.input[0] for node in products})
    graph.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in inputs)
    session = cpu_session(graph.SerializeToString(), optimise=False)
    (pixels,) = session.get_inputs()
    picture = np.zeros([1, *pixels.shape[1:]], np.uint8)
    rows: dict[str, int] = {
        name: value.size // value.shape[-1]
        for name, value in zip(inputs, session.run(inputs, {"pixels": picture}), strict=True)
    }
    found = []
    for node in products:
        inner, columns = weights[node.input[1]].dims
        found.append(Shape(rows=rows[node.input[0]], inner=inner, columns=columns))
    return found


class Floor:
    """All products one after another, each with weights of its own, as the tower has them."""

    def __init__(self, products: list[Shape], threads: int) -> None:
        rng = np.random.default_rng(0)
        nodes, constants, outputs = [], [_constant("one", np.float32(1)), _constant("zero", np.uint8(128))], []
        self._feeds: dict[str, Any] = {}
        for place, shape in enumerate(products):
            read, made = f"{shape.rows}x{shape.inner}", f"made_{place}"
            self._feeds[read] = rng.integers(0, 255, (shape.rows, shape.inner), dtype=np.uint8)
            weight = rng.integers(-127, 127, (shape.inner, shape.columns), dtype=np.int8)
            constants.append(_constant(f"weight_{place}", weight))
            constants.append(_constant(f"scale_{place}", np.full(shape.columns, 1e-3, np.float32)))
            inputs = [read, f"weight_{place}", "one", f"scale_{place}", "zero"]
            nodes.append(helper.make_node("MatMulIntegerToFloat", inputs, [made], domain="com.microsoft"))
            outputs.append(helper.make_tensor_value_info(made, TensorProto.FLOAT, [shape.rows, shape.columns]))
        inputs_of_all = [
            helper.make_tensor_value_info(name, TensorProto.UINT8, list(value.shape))
            for name, value in self._feeds.items()
        ]
        opsets = [helper.make_opsetid("", 18), helper.make_opsetid("com.microsoft", 1)]
        graph = helper.make_graph(nodes, "floor", inputs_of_all, outputs, constants)
        model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
        self._session = cpu_session(model.SerializeToString(), threads=threads, optimise=False)

    def run(self) -> list[Any]:
        """Multiply everything once: of each product (rows, columns)."""
        products: list[Any] = self._session.run(None, self._feeds)
        return products


def _constant(name: str, value: Any) -> TensorProto:
    return numpy_helper.from_array(np.asarray(value), name)
