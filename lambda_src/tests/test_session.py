"""A session multiplies bytes exactly on every CPU, and is not slowed down by that where it would do so anyway."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from moderator.clip.session import cpu_session
from moderator.cpus import adds_bytes_exactly
from support.harness import LAMBDA_SRC

WIDTH = 64
EXACT = 255 * 127 * WIDTH

# What a CPU without VNNI makes of it. What Linux says of its CPU is not changed by qemu, so it is said in the program.
PROGRAM = """
import sys
from pathlib import Path
import numpy as np
from moderator.clip import session
session.adds_bytes_exactly = lambda: sys.argv[2] == "exactly"
found = session.cpu_session(Path(sys.argv[1]), threads=1, optimise=False).run(
    None, {"x": np.full((1, 64), 255, dtype=np.uint8)})[0]
print(int(found.min()), int(found.max()))
"""


@pytest.fixture
def product(tmp_path: Path) -> Path:
    """A graph that multiplies a row of bytes with the largest weights."""
    weights = numpy_helper.from_array(np.full((WIDTH, WIDTH), 127, dtype=np.int8), "weights")
    graph = helper.make_graph(
        [helper.make_node("MatMulInteger", ["x", "weights"], ["y"])],
        "product",
        [helper.make_tensor_value_info("x", TensorProto.UINT8, [None, WIDTH])],
        [helper.make_tensor_value_info("y", TensorProto.INT32, [None, WIDTH])],
        [weights],
    )
    path = tmp_path / "product.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


@pytest.mark.parametrize(
    ("machine", "flags", "exactly"),
    [
        ("x86_64", "fpu sse4_2 avx2 fma", False),
        ("x86_64", "fpu avx2 avx512f avx512bw", False),
        ("x86_64", "fpu avx2 avx512f avx512_vnni", True),
        ("AMD64", "fpu avx2 avx_vnni", True),
        ("x86_64", None, False),
        ("aarch64", None, True),
        ("arm64", None, True),
    ],
)
def test_which_cpus_add_bytes_exactly(machine: str, flags: str | None, exactly: bool, tmp_path: Path) -> None:
    path = tmp_path / "cpuinfo"
    if flags is not None:
        path.write_text(f"processor\t: 0\nflags\t\t: {flags}\nbugs\t\t: none\n\nprocessor\t: 1\n")
    assert adds_bytes_exactly(machine, path) == exactly


@pytest.mark.parametrize("optimise", [True, False])
def test_here_it_multiplies_exactly(product: Path, optimise: bool) -> None:
    found = cpu_session(product, optimise=optimise).run(None, {"x": np.full((3, WIDTH), 255, dtype=np.uint8)})[0]
    assert np.array_equal(found, np.full((3, WIDTH), EXACT))


@pytest.mark.skipif(
    shutil.which("qemu-x86_64") is None or platform.machine() != "x86_64",
    reason="Needs qemu-x86_64 (Debian: qemu-user), which runs this Python as on a CPU without VNNI.",
)
@pytest.mark.parametrize("said", ["exactly", "not exactly"])
def test_without_vnni_it_multiplies_exactly_where_that_is_known(product: Path, said: str) -> None:
    run = subprocess.run(
        ["qemu-x86_64", "-cpu", "Haswell", sys.executable, "-c", PROGRAM, str(product), said],
        env=os.environ | {"PYTHONPATH": str(LAMBDA_SRC), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    exact = run.stdout.split() == [str(EXACT), str(EXACT)]
    assert exact == (said == "not exactly"), run.stdout
