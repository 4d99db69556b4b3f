"""A model is written for the processor that will run it, by that processor's own costs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from model_build import costs
from model_build.costs import Costs, Shape, read_costs
from model_build.export import main
from model_build.forms import Form, possible_forms
from model_build.norms import with_plain_norms
from model_build.precision import embed
from model_build.products import Product
from model_build.source import ExportError

PRODUCT = Product(name="c_fc", node="y", input="x", rows=768, columns=3072)
FORMS = possible_forms(PRODUCT)


def target(*, row: float, block256: float, block128: float, fp32: float, block32: float = 9.0) -> Costs:
    cost: dict[Form, float] = {
        "row": row,
        "block256": block256,
        "block128": block128,
        "block32": block32,
        "fp32": fp32,
    }
    return Costs(target="made up", norm="fused", shapes=[Shape(inner=768, columns=3072, cost=cost)])


def test_the_order_of_the_forms_is_the_targets() -> None:
    here = target(row=1.0, block256=2.0, block128=3.0, fp32=4.0)
    there = target(row=3.0, block256=1.0, block128=2.0, fp32=4.0)
    assert here.ordered(PRODUCT, FORMS) == ["row", "block256", "block128", "fp32"]
    assert there.ordered(PRODUCT, FORMS) == ["block256", "block128", "row", "fp32"]
    fine = target(row=1.0, block256=2.0, block128=3.0, block32=3.5, fp32=4.0)
    assert fine.ordered(PRODUCT, FORMS) == ["row", "block256", "block128", "block32", "fp32"]


def test_a_form_that_costs_more_than_float32_is_never_taken() -> None:
    assert target(row=1.0, block256=2.0, block128=5.0, fp32=4.0).ordered(PRODUCT, FORMS) == ["row", "block256", "fp32"]


def test_a_product_of_another_shape_costs_what_the_nearest_one_does() -> None:
    small = Shape(inner=512, columns=512, cost={"row": 2.0, "fp32": 1.0})
    large = Shape(inner=3072, columns=768, cost={"row": 1.0, "fp32": 2.0})
    both = Costs(target="made up", norm="fused", shapes=[small, large])
    near_large = Product(name="n", node="y", input="x", rows=4096, columns=1024)
    near_small = Product(name="n", node="y", input="x", rows=256, columns=640)
    assert both.ordered(near_large, ["row", "fp32"]) == ["row", "fp32"]
    assert both.ordered(near_small, ["row", "fp32"]) == ["fp32"]


@pytest.mark.parametrize("name", costs.targets())
def test_every_targets_table_has_each_form_of_each_shape_and_says_how_it_was_made(name: str) -> None:
    read = read_costs(name)
    assert len(read.shapes) >= 8
    for shape in read.shapes:
        assert set(shape.cost) == set(FORMS)
        assert all(cost > 0 for cost in shape.cost.values())
    assert "bench" in json.loads((costs.FOLDER / f"{name}.json").read_text(encoding="utf-8"))["how"]


@pytest.mark.parametrize("name", costs.targets())
def test_small_blocks_are_never_much_cheaper_than_float32(name: str) -> None:
    """What the page about models says of them."""
    ratios = [shape.cost["block32"] / shape.cost["fp32"] for shape in read_costs(name).shapes]
    assert min(ratios) > 0.995
    assert sum(ratio > 1 for ratio in ratios) >= len(ratios) - 1


def test_there_is_a_table_for_what_the_stack_deploys_on_and_it_is_the_default() -> None:
    assert costs.DEFAULT == "graviton2"
    assert {"graviton2", "x86-vnni"} <= set(costs.targets())


def test_an_unknown_target_is_refused_before_the_long_work(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ExportError, match="graviton2, x86-vnni"):
        read_costs("z80")
    arguments = ["--model", "ViT-B-32", "--pretrained", "none", "--out", str(tmp_path / "out"), "--target", "z80"]
    assert main(arguments) == 2
    assert "'z80' is not known: there are graviton2, x86-vnni" in capsys.readouterr().err


def normed(width: int) -> ModelProto:
    rng = np.random.default_rng(0)
    constants = [
        numpy_helper.from_array(rng.standard_normal(width).astype(np.float32), name) for name in ("gain", "bias")
    ]
    graph = helper.make_graph(
        [helper.make_node("LayerNormalization", ["x", "gain", "bias"], ["embeddings"], axis=-1, epsilon=1e-5)],
        "norm",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, None, width])],
        [helper.make_tensor_value_info("embeddings", TensorProto.FLOAT, [None, None, width])],
        constants,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def test_a_norm_in_plain_operators_computes_the_same() -> None:
    fused = normed(768)
    plain = with_plain_norms(fused)
    assert {node.op_type for node in plain.graph.node} == {"ReduceMean", "Sub", "Mul", "Add", "Sqrt", "Div"}
    x = np.random.default_rng(1).standard_normal((3, 50, 768)).astype(np.float32) * 30 + 5
    assert np.abs(embed(fused, [{"x": x}]) - embed(plain, [{"x": x}])).max() < 1e-4
