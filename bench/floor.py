"""The floor: how long the image tower's own matrix products take at the rate that this machine reaches in int8."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

# Large enough that nothing but the products matters, small enough for a few of them a second.
_SIZE = 2048


def operations_per_picture(model: Path) -> float:
    """Count the operations, two a multiply-add, of all products with weights in an fp32 graph, for one picture."""
    graph = onnx.load(model)
    weights = {tensor.name: tensor for tensor in graph.graph.initializer}
    products = [
        node
        for node in graph.graph.node
        if node.op_type in ("MatMul", "Gemm") and node.input[1] in weights and len(weights[node.input[1]].dims) == 2
    ]
    inputs = sorted({node.input[0] for node in products})
    graph.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in inputs)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(graph.SerializeToString(), options, providers=["CPUExecutionProvider"])
    (pixels,) = session.get_inputs()
    picture = np.zeros([1, *pixels.shape[1:]], np.uint8)
    rows: dict[str, int] = {
        name: value.size // value.shape[-1]
        for name, value in zip(inputs, session.run(inputs, {"pixels": picture}), strict=True)
    }
    return sum(2.0 * rows[node.input[0]] * float(np.prod(weights[node.input[1]].dims)) for node in products)


def int8_operations_per_second(threads: int, rounds: int = 15) -> float:
    """Measure the best rate of ONNX Runtime's int8 product on large matrices."""
    weight = np.random.default_rng(0).integers(-127, 127, (_SIZE, _SIZE), dtype=np.int8)
    graph = helper.make_graph(
        [helper.make_node("MatMulInteger", ["a", "b"], ["c"])],
        "product",
        [helper.make_tensor_value_info("a", TensorProto.UINT8, [_SIZE, _SIZE])],
        [helper.make_tensor_value_info("c", TensorProto.INT32, [_SIZE, _SIZE])],
        [numpy_helper.from_array(weight, "b")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    a = np.random.default_rng(1).integers(0, 255, (_SIZE, _SIZE), dtype=np.uint8)
    best = float("inf")
    for _ in range(rounds):
        began = time.perf_counter()
        session.run(None, {"a": a})
        best = min(best, time.perf_counter() - began)
    return 2.0 * _SIZE**3 / best
