"""A moderation service sends nothing anywhere: it looks up no name and writes nothing outside /tmp."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from support.aws_events import http_api
from support.harness import LAMBDA_SRC
from support.pictures import drawn, encoded
from support.sealed_network import POSSIBLE, names_asked

pytestmark = pytest.mark.slow

needs_namespaces = pytest.mark.skipif(not POSSIBLE, reason="needs root, Linux and iproute2 for a network of its own")

# ONNX Runtime's first report went out 9 to 10 s after its start.
WAIT = "import time; time.sleep(12)"
PICTURE = encoded(drawn("red", "circle"))
EVENT = http_api("POST", "/classify", query="label=a+cat&label=a+dog", body=PICTURE, kind="image/png", encode=True)
HANDLER = f"""
import json
from moderator.handler import handler
assert handler(json.loads({json.dumps(json.dumps(EVENT))}), None)["statusCode"] == 200
{WAIT}
"""
# The towers of a tiny model, exported and run.
EXPORT = f"""
import json, os, pathlib
from model_build.export import main
config = {{
    "embed_dim": 16,
    "vision_cfg": {{"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16}},
    "text_cfg": {{"context_length": 20, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1}},
}}
folder = pathlib.Path(os.environ["TMPDIR"])
(folder / "tiny.json").write_text(json.dumps(config))
tiny = ["--config", str(folder / "tiny.json"), "--pretrained", "none", "--precision", "fp32"]
assert main([*tiny, "--out", str(folder / "out")]) == 0
assert (folder / "out" / "manifest.json").is_file()
{WAIT}
"""
# The control: the runtime by itself does report, and that would be noticed.
TALKATIVE = f"""
import os, sys
sys.path.insert(0, os.environ["PYTHONPATH"])
import onnxruntime
onnxruntime.InferenceSession("demo_model/text.onnx", providers=["CPUExecutionProvider"])
{WAIT}
"""


def run(code: str, tmp_path: Path) -> tuple[list[str], list[Path]]:
    """Return the names asked for, and the files that are new or changed in the home and the service's own folder."""
    home, scratch = tmp_path / "home", tmp_path / "scratch"
    home.mkdir()
    scratch.mkdir()
    before = _files(home) | _files(LAMBDA_SRC)
    # Nothing else of our own environment: where a variable such as CI is set, the runtime is silent by itself, and the
    # test would show nothing.
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "TMPDIR": str(scratch),
        "PYTHONPATH": str(LAMBDA_SRC),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONWARNINGS": "ignore",
    }
    asked, printed = names_asked(f"import os; os.chdir({str(LAMBDA_SRC)!r})\n{code}", tmp_path, environment)
    assert "elemetry" not in printed
    return asked, sorted(path for path, what in (_files(home) | _files(LAMBDA_SRC)).items() if before.get(path) != what)


def _files(folder: Path) -> dict[Path, tuple[int, int]]:
    return {
        path: (path.stat().st_size, path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


@needs_namespaces
@pytest.mark.parametrize("code", [HANDLER, EXPORT], ids=["the handler", "the export"])
def test_no_name_is_looked_up_and_nothing_is_written_elsewhere(code: str, tmp_path: Path) -> None:
    assert run(code, tmp_path) == ([], [])


@needs_namespaces
def test_onnx_runtime_by_itself_is_noticed(tmp_path: Path) -> None:
    asked, written = run(TALKATIVE, tmp_path)
    assert asked
    assert written


def test_the_image_says_so_too() -> None:
    assert "ENV ORT_DISABLE_TELEMETRY=1" in (LAMBDA_SRC / "Dockerfile").read_text().splitlines()
