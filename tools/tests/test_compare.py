"""Models are told apart on the same pictures: one table, of what each of them does and costs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from PIL import Image

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
    # The table's figures are the JSON's.
    for name in ("red circles", "blue squares"):
        assert f"| AUROC, {name} | {good['auroc'][name]:.4f} | {bad['auroc'][name]:.4f} |" in told.stdout
    means = [sum(one["auroc"].values()) / 2 for one in (good, bad)]
    assert f"| AUROC, mean | {means[0]:.4f} | {means[1]:.4f} |" in told.stdout
    rows = [row.split("|")[1].strip() for row in told.stdout.splitlines() if row.startswith("|")]
    assert rows[2:] == [
        *("model", "AUROC, blue squares", "AUROC, red circles", "AUROC, mean"),
        *("image tower, ms per picture", "size, MB"),
    ]


def test_near_duplicates_count_as_one_picture_here_too(tmp_path: Path) -> None:
    """A picture that is there thirty times is no more of an argument for a model than one."""
    draw_into(tmp_path / "data/red circles", [("red", "circle")] * 10, seed=1)
    draw_into(tmp_path / "data/neutral", [("green", "star"), ("blue", "circle")] * 5, seed=3)
    # Three red circles that are labelled wrongly, each again and again.
    for first in sorted((tmp_path / "data/red circles").iterdir())[:3]:
        picture = Image.open(first)
        for number in range(10):
            picture.save(tmp_path / f"data/neutral/{first.stem}-{number}.jpg", quality=99 - number)
    told = command(
        *("tools.calibration.compare", "data", "--policy", "demo", "--models", Settings().model_dir), cwd=tmp_path
    )
    assert told.returncode == 0, told.stderr
    auroc = json.loads((tmp_path / "build/compare/compare.json").read_text())[0]["auroc"]["red circles"]
    # 3 of 13 others score like the category's pictures: 0.95. Counted ten times each, they would be 30 of 40: 0.80.
    assert auroc == pytest.approx(0.95, abs=0.03)


def test_a_folder_that_is_no_model_is_named(tmp_path: Path) -> None:
    draw_into(tmp_path / "data/neutral", [("green", "star")], seed=1)
    told = command("tools.calibration.compare", "data", "--policy", "demo", "--models", "nothing", cwd=tmp_path)
    assert told.returncode == 2
    assert told.stderr == "The model folder nothing does not exist: `make model` writes one.\n"
    assert not (tmp_path / "build/compare").exists()
