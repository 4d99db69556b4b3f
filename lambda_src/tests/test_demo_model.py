"""The demo model that ships is small, agrees with open_clip, and is right about pictures that it has never seen."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageOps

from model_build.agreement import LABELS, measure
from model_build.costs import DEFAULT, read_costs
from model_build.demo import CHECKPOINT, CONFIG, LEAST_TOP_1, RECORD
from model_build.demo_captions import combinations, labels
from model_build.demo_pictures import BACKGROUNDS, COLOURS, SHAPES, draw
from model_build.manifest import fingerprint
from model_build.photographs import NAMES
from model_build.precision_choice import forms_of
from model_build.source import Source, add_config, load
from moderator.clip.tokenizer import Tokenizer

pytestmark = pytest.mark.slow

LAMBDA_SRC = Path(__file__).resolve().parent.parent
DEMO_MODEL = LAMBDA_SRC / "demo_model"
# Neither the training's seed nor the build's own held-out one.
FRESH_SEED = 77


@pytest.fixture(scope="module")
def manifest() -> dict[str, Any]:
    read: dict[str, Any] = json.loads((DEMO_MODEL / "manifest.json").read_text(encoding="utf-8"))
    return read


@pytest.fixture(scope="module")
def source() -> Source:
    return load(add_config(DEMO_MODEL / CONFIG), str(DEMO_MODEL / CHECKPOINT))


@pytest.fixture(scope="module")
def label_embeddings(manifest: dict[str, Any]) -> NDArray[np.float32]:
    ids = Tokenizer(DEMO_MODEL / "tokenizer.json", manifest["context_length"]).encode(labels())
    longest = max(map(len, ids))
    tokens = np.array([[*row, *[0] * (longest - len(row))] for row in ids], np.int64)
    session = onnxruntime.InferenceSession(DEMO_MODEL / "text.onnx", providers=["CPUExecutionProvider"])
    embeddings: NDArray[np.float32] = session.run(None, {"tokens": tokens})[0]
    return embeddings


def answers(
    pictures: list[Image.Image], manifest: dict[str, Any], label_embeddings: NDArray[np.float32]
) -> NDArray[np.int64]:
    """The likeliest label of each picture, fitted to the model's size by Pillow alone."""
    size = tuple(manifest["image_size"])
    pixels = np.stack([np.asarray(ImageOps.fit(picture, size, Image.Resampling.BICUBIC)) for picture in pictures])
    session = onnxruntime.InferenceSession(DEMO_MODEL / "image.onnx", providers=["CPUExecutionProvider"])
    (embeddings,) = session.run(None, {"pixels": pixels})
    return np.asarray((embeddings @ label_embeddings.T).argmax(axis=1))


@pytest.fixture(scope="module")
def fresh() -> list[Image.Image]:
    return [
        draw(colour, shape, background, np.random.default_rng([FRESH_SEED, index, turn]))
        for turn, background in enumerate(BACKGROUNDS)
        for index, (colour, shape) in enumerate(combinations())
    ]


RIGHT = np.tile(np.arange(len(COLOURS) * len(SHAPES)), len(BACKGROUNDS))


def test_it_is_right_about_freshly_drawn_pictures(
    fresh: list[Image.Image], manifest: dict[str, Any], label_embeddings: NDArray[np.float32]
) -> None:
    assert (answers(fresh, manifest, label_embeddings) == RIGHT).mean() >= LEAST_TOP_1


def test_swapped_channels_make_it_wrong(
    fresh: list[Image.Image], manifest: dict[str, Any], label_embeddings: NDArray[np.float32]
) -> None:
    swapped = [Image.fromarray(np.asarray(picture)[:, :, ::-1]) for picture in fresh]
    wrong = answers(swapped, manifest, label_embeddings) != RIGHT
    red_or_blue = [combinations()[index][0] in {"red", "blue"} for index in RIGHT]
    assert wrong[red_or_blue].mean() > 0.9


def test_upside_down_arrows_make_it_wrong(
    fresh: list[Image.Image], manifest: dict[str, Any], label_embeddings: NDArray[np.float32]
) -> None:
    arrows = [index for index, kind in enumerate(RIGHT) if "arrow" in combinations()[kind][1]]
    found = answers([fresh[index].rotate(180) for index in arrows], manifest, label_embeddings)
    for index, answer in zip(arrows, found, strict=True):
        (colour, shape), (found_colour, found_shape) = combinations()[RIGHT[index]], combinations()[answer]
        assert (found_colour, found_shape) != (colour, shape)


def test_the_recorded_share_is_high_enough_on_every_background() -> None:
    record = json.loads((DEMO_MODEL / RECORD).read_text(encoding="utf-8"))
    assert record["seed"] != record["held_out_seed"]
    for background in ("all", *BACKGROUNDS):
        assert record["top_1"][background] >= LEAST_TOP_1


def test_it_fits_the_repository() -> None:
    assert sum(path.stat().st_size for path in DEMO_MODEL.iterdir()) <= 12_000_000


def test_the_files_are_the_ones_that_the_manifest_vouches_for(manifest: dict[str, Any]) -> None:
    for name, described in manifest["files"].items():
        data = (DEMO_MODEL / name).read_bytes()
        assert described == {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    assert manifest["pretrained"] == CHECKPOINT
    assert 1 < manifest["logit_scale"] <= 100.01


def test_the_shipped_files_agree_with_open_clip_on_the_shipped_checkpoint(source: Source) -> None:
    agreement = measure(source, DEMO_MODEL, "{}")
    assert agreement.labels == len(LABELS)
    assert agreement.image_cosine >= 0.99999
    assert agreement.text_cosine >= 0.99999
    assert agreement.probability_difference <= 1e-4


def test_the_shipped_fingerprint_is_the_one_that_an_export_would_write_today(
    source: Source, manifest: dict[str, Any]
) -> None:
    """Where it is not: python -m model_build.demo --out lambda_src/demo_model --export-only."""
    tokenizer = (DEMO_MODEL / "tokenizer.json").read_text(encoding="utf-8")
    assert manifest["fingerprint"] == fingerprint(
        source, precision="fp32", forms=forms_of(None, read_costs(DEFAULT)), tokenizer=tokenizer, label_template="{}"
    )
    assert manifest["agreement"]["real_pictures"] == len(NAMES)


def test_it_knows_colours_without_shapes(fresh: list[Image.Image], manifest: dict[str, Any]) -> None:
    """A label may name the colour alone, as in "something red"."""
    wordings = [f"something {colour}" for colour in COLOURS]
    ids = Tokenizer(DEMO_MODEL / "tokenizer.json", manifest["context_length"]).encode(wordings)
    longest = max(map(len, ids))
    tokens = np.array([[*row, *[0] * (longest - len(row))] for row in ids], np.int64)
    session = onnxruntime.InferenceSession(DEMO_MODEL / "text.onnx", providers=["CPUExecutionProvider"])
    (embeddings,) = session.run(None, {"tokens": tokens})
    found = answers(fresh, manifest, embeddings)
    colours = [list(COLOURS).index(combinations()[index][0]) for index in RIGHT]
    assert (found == colours).mean() >= 0.95


def test_drawing_needs_neither_torch_nor_open_clip() -> None:
    program = (
        "import sys, model_build.demo_pictures;"
        "assert not {'torch', 'open_clip', 'onnxruntime'} & set(sys.modules), 'heavy imports'"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=LAMBDA_SRC)


def test_the_same_seed_draws_the_same_picture() -> None:
    first, again = (draw("red", "heart", "noisy", np.random.default_rng(3)) for _ in range(2))
    assert first.tobytes() == again.tobytes()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("background", BACKGROUNDS)
def test_a_shape_lies_whole_within_the_centre_square(shape: str, background: str) -> None:
    """The strips that the centre crop cuts off show nothing but background."""
    for seed in range(10):
        rng = np.random.default_rng(seed)
        pixels = np.asarray(draw("red", shape, background, rng)).astype(np.float64)
        height, width, _ = pixels.shape
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        close = np.linalg.norm(pixels - COLOURS["red"], axis=2) < 30
        close[top : top + side, left : left + side] = False
        assert close.mean() < 0.002


def test_what_cannot_be_drawn_is_refused() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(KeyError, match="pink"):
        draw("pink", "circle", "plain", rng)
    with pytest.raises(ValueError, match="hexagon"):
        draw("red", "hexagon", "plain", rng)
    with pytest.raises(ValueError, match="striped"):
        draw("red", "circle", "striped", rng)
