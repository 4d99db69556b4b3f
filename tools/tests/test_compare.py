"""Models are told apart on the same pictures: one table, of what each of them does and costs."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from PIL import Image
from skimage.data import astronaut

from moderator.settings import Settings
from tools.calibration.embed import EMBEDDINGS, open_store
from tools.calibration.store import Stored
from tools.core import build_core
from tools.tests.desk import ROOT, command, draw_into, heeds_ctrl_c

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
        *("pictures that could be read", "compared, because all models could read them", "of them different"),
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


def test_a_mistyped_last_model_is_named_before_the_first_one_embeds_anything(tmp_path: Path) -> None:
    draw_into(tmp_path / "data/neutral", [("green", "star")], seed=1)
    asked = ("tools.calibration.compare", "data", "--policy", "demo", "--models", Settings().model_dir, "nothing")
    told = command(*asked, cwd=tmp_path)
    assert (told.returncode, told.stderr) == (2, "The model folder nothing does not exist: `make model` writes one.\n")
    assert not (tmp_path / "build").exists()


def test_ctrl_c_stops_with_a_sentence(tmp_path: Path) -> None:
    """What a first model has embedded by then is kept: `embed.py` adds it picture by picture."""
    draw_into(tmp_path / "data/neutral", [("green", "star")] * 400, seed=1)
    asked = ["tools.calibration.compare", "data", "--policy", "demo", "--models", str(Settings().model_dir)]
    paths = os.pathsep.join([str(ROOT), str(ROOT / "lambda_src")])
    with subprocess.Popen(
        [sys.executable, "-m", *asked],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": paths},
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=heeds_ctrl_c,
    ) as run:
        while run.poll() is None and not (tmp_path / EMBEDDINGS).exists():
            time.sleep(0.002)
        run.send_signal(signal.SIGINT)
        _, told = run.communicate()
    assert (run.returncode, told.strip()) == (130, "Stopped. What was embedded is kept, and is not embedded again.")
    assert not (tmp_path / "build/compare/compare.json").exists()


def test_all_models_are_compared_on_the_same_groups_of_near_duplicates(tmp_path: Path) -> None:
    """A model scales pictures in its own way, but which of them are alike is no matter of the model."""
    draw_into(tmp_path / "data/red circles", [("red", "circle")] * 6, seed=1)
    draw_into(tmp_path / "data/neutral", [("green", "star")] * 6, seed=2)
    # Seven or more of their 128 bits differ if they are scaled as one model does, and five as the other does.
    photograph = Image.fromarray(astronaut())
    photograph.save(tmp_path / "data/neutral/whole.png")
    photograph.crop((0, 0, photograph.width - 16, photograph.height)).save(tmp_path / "data/neutral/cut.png")
    smooth = tmp_path / "smooth"
    shutil.copytree(Settings().model_dir, smooth)
    manifest = json.loads((smooth / "manifest.json").read_text())
    manifest["fingerprint"] = "0123456789abcdef"
    manifest["interpolation"] = "bilinear"
    (smooth / "manifest.json").write_text(json.dumps(manifest))
    told = command(
        *("tools.calibration.compare", "data", "--policy", "demo", "--models", Settings().model_dir, smooth),
        cwd=tmp_path,
    )
    assert told.returncode == 0, told.stderr
    compared = json.loads((tmp_path / "build/compare/compare.json").read_text())
    assert [one["pictures"] for one in compared] == [14, 14]
    assert compared[0]["different"] == compared[1]["different"]


def test_a_limit_holds_for_all_models_whatever_an_earlier_run_embedded(tmp_path: Path, worse_model: Path) -> None:
    draw_large_squares(tmp_path / "data")
    demo = Settings().model_dir
    one = ("tools.calibration.compare", "data", "--policy", "demo", "--models")
    assert command(*one, demo, cwd=tmp_path).returncode == 0
    told = command(*one, demo, worse_model, cwd=tmp_path, max_pixels=200 * 200)
    assert told.returncode == 0, told.stderr
    assert "| pictures that could be read | 12 of 18 | 12 of 18 |" in told.stdout


def test_models_are_compared_only_on_pictures_that_all_of_them_can_read(tmp_path: Path, worse_model: Path) -> None:
    """Here one model's embeddings are known of pictures that are too large for the other one."""
    draw_large_squares(tmp_path / "data")
    core, limit = build_core(Settings()), 200 * 200
    known = open_store(tmp_path / EMBEDDINGS, core.model, core.policy("demo"), max_pixels=limit)
    rng = np.random.default_rng(0)
    for large in (tmp_path / "data/blue squares").iterdir():
        # Like red circles, so that they would count against the model that knows them.
        stored = Stored(frames=(np.asarray(core.labels.embed(["a red circle"]).matrix),), hash=rng.bytes(16))
        known.add({hashlib.sha256(large.read_bytes()).hexdigest(): stored})
    known.close()
    told = command(
        *("tools.calibration.compare", "data", "--policy", "demo", "--models", core.settings.model_dir, worse_model),
        cwd=tmp_path,
        max_pixels=limit,
    )
    assert told.returncode == 0, told.stderr
    assert "| pictures that could be read | 18 of 18 | 12 of 18 |" in told.stdout
    assert "| compared, because all models could read them | 12 | 12 |" in told.stdout
    first, second = json.loads((tmp_path / "build/compare/compare.json").read_text())
    assert set(first["auroc"]) == set(second["auroc"]) == {"red circles"}
    assert (first["compared"], first["different"]) == (12, second["different"])
    assert first["auroc"]["red circles"] > 0.99


def draw_large_squares(folder: Path) -> None:
    """Draw six pictures of each kind; the blue squares have more pixels than the others."""
    draw_into(folder / "red circles", [("red", "circle")] * 6, seed=1)
    draw_into(folder / "blue squares", [("blue", "square")] * 6, seed=2)
    draw_into(folder / "neutral", [("green", "star")] * 6, seed=3)
    for large in (folder / "blue squares").iterdir():
        Image.open(large).resize((300, 300)).save(large)
