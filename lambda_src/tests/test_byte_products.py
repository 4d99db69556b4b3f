"""A tower's products of bytes are exact on every CPU, those that add them up in 16 bits too, and fast on the others."""

from __future__ import annotations

import platform
import subprocess
import sys
import sysconfig
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from model_build.forms import rewritten
from model_build.optimise import optimised
from moderator.clip import byte_products
from moderator.clip.session import cpu_session

pytestmark = pytest.mark.slow

LAMBDA_SRC = Path(__file__).resolve().parent.parent
# Runs on the emulated CPU: one product in rows, loaded as the service loads a tower and as the export does.
PROGRAM = """
import sys
from pathlib import Path
import numpy as np
from moderator.clip import byte_products
from moderator.clip.session import cpu_session
print(byte_products.exact())
for optimise in (True, False):
    session = cpu_session(Path(sys.argv[1]), threads=1, optimise=optimise)
    np.save(sys.argv[2] + f"-{optimise}.npy", session.run(None, {"x": np.load(sys.argv[3])})[0])
"""


def product(weight: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> ModelProto:
    inner, columns = weight.shape
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "one",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, inner])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, columns])],
        [numpy_helper.from_array(weight, "w")],
    )
    plain = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    return optimised(rewritten(plain, {"y": "row"}))


@pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() != "x86_64",
    reason="emulates a processor for this Python and its wheels",
)
# Haswell has AVX2 and no VNNI; Skylake's servers have AVX-512 and no VNNI.
@pytest.mark.parametrize("cpu", ["Haswell", "Skylake-Server"])
def test_a_cpu_without_vnni_multiplies_as_exactly_however_the_tower_is_loaded(cpu: str, tmp_path: Path) -> None:
    weight = np.random.default_rng(0).standard_normal((256, 128)).astype(np.float32)
    x = np.random.default_rng(1).standard_normal((50, 256)).astype(np.float32)
    onnx.save(product(weight), tmp_path / "product.onnx")
    np.save(tmp_path / "x.npy", x)
    (tmp_path / "program.py").write_text(PROGRAM, encoding="utf-8")
    path = f"{LAMBDA_SRC}:{sysconfig.get_path('purelib')}"
    done = subprocess.run(
        [
            *("qemu-x86_64", "-cpu", cpu, str(Path(sys.executable).resolve()), "-W", "ignore"),
            *(
                str(tmp_path / "program.py"),
                str(tmp_path / "product.onnx"),
                str(tmp_path / "y"),
                str(tmp_path / "x.npy"),
            ),
        ],
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "False", "the emulated CPU multiplies exactly: nothing was tried"
    here = cpu_session(tmp_path / "product.onnx", threads=1, optimise=False).run(None, {"x": x})[0]
    for optimise in (True, False):
        there = np.load(tmp_path / f"y-{optimise}.npy")
        # The sums are whole numbers: only the scales are rounded.
        assert np.abs(there - here).max() < 1e-5 * np.abs(here).max()


def test_weights_stay_as_they_are_where_products_are_exact(tmp_path: Path) -> None:
    """Rewritten for CPUs that are not exact, products would take twice as long."""
    written = product(np.eye(64, dtype=np.float32))
    if not byte_products.exact():
        pytest.skip("this CPU does not multiply bytes exactly")
    session = cpu_session(written.SerializeToString(), threads=1)
    with pytest.raises(RuntimeError, match="does not have configuration"):
        session.get_session_options().get_session_config_entry("session.x64quantprecision")


def test_the_graph_that_asks_is_a_product_of_unsigned_by_signed_bytes() -> None:
    asked = onnx.load_from_string(byte_products.GRAPH)
    assert [node.op_type for node in asked.graph.node] == ["MatMulInteger"]
    kinds = [value.type.tensor_type.elem_type for value in (*asked.graph.input, *asked.graph.output)]
    assert kinds == [TensorProto.UINT8, TensorProto.INT8, TensorProto.INT32]
