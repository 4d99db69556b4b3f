"""Products in 8 bits share what they can: what depends on the number of rows alone is made once, and changes no bit."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper

from model_build.forms import Form, possible_forms, rewritten
from model_build.products import find_products
from moderator.clip.session import cpu_session

WIDTH = 512
ABOUT_ROWS = ("Shape", "Expand", "Concat")
FIXED, OPEN, FLAT = ("n", 50), ("n", "length"), ("n",)


def tower(leading: tuple[str | int, ...], products: int) -> ModelProto:
    """A chain of products, each behind an activation, by square weights."""
    rng = np.random.default_rng(0)
    nodes, constants, last = [], [], "x"
    for place in range(products):
        weight = rng.standard_normal((WIDTH, WIDTH)).astype(np.float32) / WIDTH**0.5
        constants.append(numpy_helper.from_array(weight, f"w_{place}"))
        nodes.append(helper.make_node("MatMul", [last, f"w_{place}"], [f"y_{place}"]))
        last = "embeddings" if place == products - 1 else f"z_{place}"
        nodes.append(helper.make_node("Tanh", [f"y_{place}"], [last]))
    shape = [*leading, WIDTH]
    graph = helper.make_graph(
        nodes,
        "chain",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("embeddings", TensorProto.FLOAT, shape)],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    return onnx.shape_inference.infer_shapes(model)


def in_form(model: ModelProto, form: Form) -> ModelProto:
    return rewritten(model, {product.node: form for product in find_products(model)})


def embedded(model: ModelProto, x: NDArray[np.float32]) -> NDArray[np.float32]:
    session = cpu_session(model.SerializeToString(), threads=1)
    result: NDArray[np.float32] = session.run(["embeddings"], {"x": x})[0]
    return result


def operators(model: ModelProto) -> Counter[str]:
    return Counter(node.op_type for node in model.graph.node)


@pytest.mark.parametrize("form", ["row", "block128"])
@pytest.mark.parametrize("leading", [FIXED, OPEN, FLAT])
def test_more_products_need_no_more_operators_about_their_rows(leading: tuple[str | int, ...], form: Form) -> None:
    few, many = (operators(in_form(tower(leading, products), form)) for products in (2, 8))
    assert {name: few[name] for name in ABOUT_ROWS} == {name: many[name] for name in ABOUT_ROWS}
    assert few["Expand"] == 1
    shapes = few["Concat"]
    assert shapes == 0 if leading != OPEN else shapes <= 2


def test_rows_that_are_flat_already_are_not_flattened() -> None:
    assert operators(in_form(tower(FLAT, 4), "row"))["Reshape"] == 4  # each product's scales
    assert operators(in_form(tower(FIXED, 4), "row"))["Reshape"] == 12


@pytest.mark.parametrize("form", [form for form in possible_forms(find_products(tower(FLAT, 1))[0]) if form != "fp32"])
@pytest.mark.parametrize("leading", [FIXED, OPEN, FLAT])
def test_what_is_shared_changes_no_bit(leading: tuple[str | int, ...], form: Form) -> None:
    """A graph that says nothing about its shapes has all of it made anew for each product."""
    model = tower(leading, 3)
    x = np.random.default_rng(1).standard_normal((*(3, 50, WIDTH)[: len(leading)], WIDTH)).astype(np.float32)
    x[1] *= 100
    x[2] = 0
    silent = ModelProto()
    silent.CopyFrom(model)
    del silent.graph.value_info[:]
    for value in (*silent.graph.input, *silent.graph.output):
        for axis in value.type.tensor_type.shape.dim:
            axis.Clear()
    alone = in_form(silent, form)
    assert operators(alone)["Shape"] > operators(in_form(model, form))["Shape"]
    assert np.array_equal(embedded(in_form(model, form), x), embedded(alone, x))


@pytest.mark.parametrize(("scales", "taken"), [([1.0], True), ([1.0, 2.0], False)])
def test_a_products_operator_takes_one_scale_for_all_rows(scales: list[float], taken: bool) -> None:
    """Why a row's scale is multiplied by afterwards; where this fails, it need not be any more."""
    constants: dict[str, NDArray[Any]] = {
        "w": np.ones((4, 3), np.int8),
        "scale": np.array(scales, np.float32),
        "columns": np.ones(3, np.float32),
        "zero": np.array(128, np.uint8),
    }
    node = helper.make_node(
        "MatMulIntegerToFloat", ["x", "w", "scale", "columns", "zero"], ["y"], domain="com.microsoft"
    )
    graph = helper.make_graph(
        [node],
        "one",
        [helper.make_tensor_value_info("x", TensorProto.UINT8, [2, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2, 3])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10).SerializeToString()

    def run() -> NDArray[np.float32]:
        found: NDArray[np.float32] = cpu_session(model, threads=1).run(None, {"x": np.full((2, 4), 130, np.uint8)})[0]
        return found

    if taken:
        assert (run() == 8).all()
    else:
        with pytest.raises(Exception, match="MatMulIntegerToFloat"):
            run()
