"""Models are told apart on the same pictures: one table, of what each of them does and costs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from moderator.settings import Settings
from tools.tests.desk import command, draw_into

pytestmark = pytest.mark.slow


@pytest.fixture
def worse_model(tmp_path: Path) -> Path:
    """The demo model with noise on its image tower's weights."""
    folder = tmp_path / "worse"
    shutil.copytree(Settings().model_dir, folder)
    model = onnx.load(folder / "image.onnx")
    rng = np.random.default_rng(0)
    for weights in model.graph.initializer:
        if weights.name.endswith(".weight"):
            values = numpy_helper.to_array(weights)
            noisy = values + rng.normal(0, values.std(), values.shape)
            weights.CopyFrom(numpy_helper.from_array(noisy.astype(values.dtype), weights.name))
    onnx.save(model, folder / "image.onnx")
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["fingerprint"] = "0123456789abcdef"
    manifest["files"]["image.onnx"]["bytes"] = (folder / "image.onnx").stat().st_size
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def test_the_better_model_is_seen_to_be_better(tmp_path: Path, worse_model: Path) -> None:
    draw_into(tmp_path / "data/red circles", [("red", "circle")] * 20, seed=1)
    draw_into(tmp_path / "data/blue squares", [("blue", "square")] * 20, seed=2)
    draw_into(tmp_path / "data/neutral", [("green", "star"), ("red", "square"), ("blue", "circle")] * 8, seed=3)
    demo = Settings().model_dir
    told = command("tools.calibration.compare", "data", "--policy", "demo", "--models", demo, worse_model, cwd=tmp_path)
    assert told.returncode == 0, told.stderr
    good, bad = json.loads((tmp_path / "build/compare/compare.json").read_text())
    assert set(good["auroc"]) == {"red circles", "blue squares"}
    assert min(good["auroc"].values()) > 0.99 > max(bad["auroc"].values())
    assert good["milliseconds"] > 0
    assert good["megabytes"] == pytest.approx(10, abs=2)
    rows = [row.split("|")[1].strip() for row in told.stdout.splitlines() if row.startswith("|")]
    assert rows[2:] == [
        *("model", "AUROC, blue squares", "AUROC, red circles", "AUROC, mean"),
        *("image tower, ms per picture", "size, MB"),
    ]


def test_a_folder_that_is_no_model_is_named(tmp_path: Path) -> None:
    draw_into(tmp_path / "data/neutral", [("green", "star")], seed=1)
    told = command("tools.calibration.compare", "data", "--policy", "demo", "--models", "nothing", cwd=tmp_path)
    assert told.returncode == 2
    assert "nothing" in told.stderr
