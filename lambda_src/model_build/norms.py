"""Writes LayerNormalization as plain operators, which arm64 runs in vectors; ONNX Runtime's own is scalar there.

Counted under emulation of Graviton2's processor (docs/benchmark-arm.md). The square is a Mul and not a Pow, so that
ONNX Runtime does not fuse it all again.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

_LAST_AXIS = "plain_norm_last_axis"


def with_plain_norms(model: ModelProto) -> ModelProto:
    """Rewrite every LayerNormalization over the last axis; `model` is not changed, and the result computes the same."""
    result = ModelProto()
    result.CopyFrom(model)
    graph = result.graph
    constants: dict[str, TensorProto] = {}
    nodes: list[NodeProto] = []
    for node in graph.node:
        nodes += _plain(node, constants) if _over_the_last_axis(node) else [node]
    del graph.node[:]
    graph.node.extend(nodes)
    graph.initializer.extend(constants.values())
    return result


def _over_the_last_axis(node: NodeProto) -> bool:
    axes = [attribute.i for attribute in node.attribute if attribute.name == "axis"]
    whole = len(node.input) == 3 and len(node.output) == 1  # gain and bias in, nothing but the result out
    return node.op_type == "LayerNormalization" and axes in ([], [-1]) and whole


def _plain(node: NodeProto, constants: dict[str, TensorProto]) -> Iterator[NodeProto]:
    (out,) = node.output
    x, gain, bias = node.input
    epsilon = next((attribute.f for attribute in node.attribute if attribute.name == "epsilon"), 1e-5)
    least = f"plain_norm_{epsilon:g}"
    constants.setdefault(_LAST_AXIS, numpy_helper.from_array(np.array([-1], np.int64), _LAST_AXIS))
    constants.setdefault(least, numpy_helper.from_array(np.array(epsilon, np.float32), least))

    def step(operator: str, *inputs: str, name: str = "") -> NodeProto:
        return helper.make_node(operator, inputs, [f"{out}_{name}" if name else out])

    yield step("ReduceMean", x, _LAST_AXIS, name="mean")
    yield step("Sub", x, f"{out}_mean", name="centred")
    yield step("Mul", f"{out}_centred", f"{out}_centred", name="squares")
    yield step("ReduceMean", f"{out}_squares", _LAST_AXIS, name="variance")
    yield step("Add", f"{out}_variance", least, name="some_variance")
    yield step("Sqrt", f"{out}_some_variance", name="deviation")
    yield step("Div", f"{out}_centred", f"{out}_deviation", name="scaled")
    yield step("Mul", f"{out}_scaled", gain, name="gained")
    yield step("Add", f"{out}_gained", bias)
