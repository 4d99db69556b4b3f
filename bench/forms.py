"""One product in each form, and one norm in both, as graphs to be timed or counted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from model_build.costs import Norm
from model_build.forms import Form, rewritten
from model_build.norms import with_plain_norms
from model_build.optimise import optimised

# ViT-B/32's: 49 patches and the class token.
ROWS = 50
# Both towers' products: attention in and out, the MLP's two. (inner, columns)
PRODUCTS = (
    (768, 2304), (768, 768), (768, 3072), (3072, 768),
    (512, 1536), (512, 512), (512, 2048), (2048, 512),
)  # fmt: skip
FORMS: Sequence[Form] = ("row", "block256", "block128", "block32", "fp32")
NORMS: Sequence[Norm] = ("fused", "plain")
_NORM_WIDTH = 768


@dataclass(frozen=True, kw_only=True)
class Case:
    """One graph: `x` float32 (ROWS, inner) -> `y`."""

    name: str
    inner: int
    graph: ModelProto


def product(inner: int, columns: int, form: Form) -> Case:
    """Return a product by random weights (inner, columns)."""
    weight = np.random.default_rng(0).standard_normal((inner, columns)).astype(np.float32)
    plain = _graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])], [numpy_helper.from_array(weight, "w")], inner, columns
    )
    written = plain if form == "fp32" else rewritten(plain, {"y": form})
    return Case(name=f"{inner}x{columns} {form}", inner=inner, graph=optimised(written))


def norm(form: Norm) -> Case:
    """Return a LayerNormalization."""
    ones = np.ones(_NORM_WIDTH, np.float32)
    constants = [numpy_helper.from_array(ones, "gain"), numpy_helper.from_array(ones, "bias")]
    node = helper.make_node("LayerNormalization", ["x", "gain", "bias"], ["y"], axis=-1)
    fused = _graph([node], constants, _NORM_WIDTH, _NORM_WIDTH)
    written = with_plain_norms(fused) if form == "plain" else fused
    return Case(name=f"norm {form}", inner=_NORM_WIDTH, graph=optimised(written))


def _graph(nodes: list[NodeProto], constants: list[TensorProto], inner: int, columns: int) -> ModelProto:
    graph = helper.make_graph(
        nodes,
        "one",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [ROWS, inner])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [ROWS, columns])],
        constants,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
