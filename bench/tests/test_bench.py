"""The arithmetic behind the figures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from bench import cost, floor, report
from bench.timing import medians


def test_the_predecessors_published_cost_comes_out() -> None:
    assert cost.predecessor().compute == pytest.approx(0.08, rel=0.001)


def test_our_cost_is_the_published_time_scaled_by_the_measured_ratio() -> None:
    ours = cost.ours(warm_1_ms=30, predecessor_2_ms=900)
    # 1.5 s / 30 = 0.05 s on one vCPU of 1769 MB, and $1.20 per million calls
    assert ours.compute == pytest.approx(1000 * 0.05 * 1769 / 1024 * 0.0000133334)
    assert ours.total == pytest.approx(ours.compute + 0.0012)
    assert f"${ours.total:.5f}" in ours.arithmetic


def test_the_floor_counts_products_with_weights_and_nothing_else(tmp_path: Path) -> None:
    weights = {"first": (3, 10), "second": (10, 7)}
    nodes = [
        helper.make_node("Cast", ["pixels"], ["x"], to=TensorProto.FLOAT),
        helper.make_node("MatMul", ["x", "first"], ["y"]),
        helper.make_node("MatMul", ["y", "second"], ["z"]),
        helper.make_node("Transpose", ["z"], ["t"], perm=[0, 1, 3, 2]),
        helper.make_node("MatMul", ["z", "t"], ["out"]),
    ]
    graph = helper.make_graph(
        nodes,
        "tower",
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["n", 4, 5, 3])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.zeros(shape, np.float32), name) for name, shape in weights.items()],
    )
    path = tmp_path / "image.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)
    assert floor.operations_per_picture(path) == 2 * (4 * 5) * (3 * 10 + 10 * 7)


def test_every_action_is_timed_alike() -> None:
    calls = {"a": 0, "b": 0}

    def counted(name: str) -> None:
        calls[name] += 1

    figures = medians({"a": lambda: counted("a"), "b": lambda: counted("b")}, rounds=2, warm_up=1)
    assert set(figures) == {"a", "b"}
    assert calls["a"] == calls["b"] == 3 * 4


@pytest.mark.parametrize(
    ("tower", "verdict"),
    [(14.0, "1.40 | 2.3 | 1.5 | stretch"), (20.0, "bar"), (24.0, "2.40 | 2.3 | 1.5 | falls short")],
)
def test_the_page_says_what_falls_short(tower: float, verdict: str) -> None:
    figures = dict.fromkeys((*report._MEANINGS, "image_and_decode_ms"), 10.0) | {"image_tower_ms": tower}
    page = report.markdown(
        {
            "machine": {"cpu": "c", "cpus": 2, "architecture": "a", "instructions": ["i"], "python": "3"},
            "threads_1": figures,
            "threads_2": figures,
            "cold_start_s": 1.0,
            "cold_start_torch_s": 9.0,
            "peak_mb": 350.0,
            "peak_torch_mb": 1000.0,
            "start_order_ms": {"Python": 20.0},
            "image_tower_operators_ms": {"MatMul": 9.0},
            "in_company": {"least_cosine": 0.999, "most_probability_difference": 0.001},
            "cost_per_1000_usd": {"ours": {"arithmetic": "1 + 1 = 2"}},
        }
    )
    (row,) = (line for line in page.splitlines() if line.startswith("| image tower / floor"))
    assert verdict in row
    assert "1 + 1 = 2" in page
