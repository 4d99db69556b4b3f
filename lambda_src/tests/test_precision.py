"""The precision is chosen by measurement: a model that naive 8 bits would ruin comes out within the bounds."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import ModelProto
from PIL import Image

from model_build import samples
from model_build import smoothing as smoothing_module
from model_build.export import export, main
from model_build.fidelity import BOUNDS, Bounds, Fidelity, Judge
from model_build.image_tower import image_tower
from model_build.onnx_files import Towers, image_graph, save, text_graph
from model_build.optimise import optimised
from model_build.precision import Choice, embed
from model_build.precision_choice import Choices, judge_written, refuse_choice
from model_build.samples import label_sets, top_1_losses
from model_build.smoothing import best_smoothing, smoothed
from model_build.source import ExportError, Source, add_config, load
from model_build.text_tower import TextTower
from moderator.clip.model import read_model
from moderator.clip.session import cpu_session
from moderator.clip.towers import ImageTower
from moderator.errors import ConfigurationError

pytestmark = pytest.mark.slow

# As in a trained transformer: a few outlier channels are hundreds of times larger than the others.
OUTLIER_CHANNELS = (5, 70)
OUTLIER_FACTOR = 400.0

CONFIG = {
    # With 64, one in eighty random labels is too close to another for 8 bits to tell them apart.
    "embed_dim": 128,
    "vision_cfg": {"image_size": 32, "layers": 3, "width": 128, "head_width": 32, "patch_size": 8},
    "text_cfg": {"context_length": 20, "vocab_size": 49408, "width": 128, "heads": 4, "layers": 3},
}


@pytest.fixture(scope="module")
def name(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("configs") / "precision-for-tests.json"
    path.write_text(json.dumps(CONFIG), encoding="utf-8")
    return add_config(path)


def tower_and_feeds(source: Source, tower: str) -> tuple[ModelProto, list[dict[str, Any]]]:
    rng = np.random.default_rng(0)
    if tower == "image":
        pixels = rng.integers(0, 256, (8, 32, 32, 3), dtype=np.uint8)
        return optimised(image_graph(source, image_tower(source.model))), [{"pixels": pixels}]
    tokens = rng.integers(1, 40_000, (8, 7))
    tokens[:, 0], tokens[:, -1] = 49406, 49407
    return optimised(text_graph(source, TextTower(source.model))), [{"tokens": tokens}]


def with_outliers(source: Source, factor: float = OUTLIER_FACTOR) -> Source:
    """Scale some channels up and their consumers down: the same function in float32."""
    with torch.no_grad():
        for transformer in (source.model.visual.transformer, source.model.transformer):
            for block in transformer.resblocks:
                for norm, consumer in ((block.ln_1, block.attn.in_proj_weight), (block.ln_2, block.mlp.c_fc.weight)):
                    for channel in OUTLIER_CHANNELS:
                        norm.weight[channel] *= factor
                        norm.bias[channel] *= factor
                        consumer[:, channel] /= factor
    return source


@pytest.fixture(scope="module")
def outliers(name: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Source, Path, dict[str, Any]]:
    source = with_outliers(load(name, "none"))
    folder = tmp_path_factory.mktemp("models") / "outliers"
    return source, folder, export(source, folder, precision="auto")


def with_outlier_values(source: Source, factor: float) -> Source:
    """Scale some of the channels that attention adds up, and the weights that read them down: the same function."""
    with torch.no_grad():
        for transformer in (source.model.visual.transformer, source.model.transformer):
            for block in transformer.resblocks:
                width = block.attn.out_proj.in_features
                for channel in OUTLIER_CHANNELS:
                    block.attn.in_proj_weight[2 * width + channel] *= factor
                    block.attn.in_proj_bias[2 * width + channel] *= factor
                    block.attn.out_proj.weight[:, channel] /= factor
    return source


def fidelity(described: dict[str, float]) -> Fidelity:
    return Fidelity(**described)


def operators(folder: Path, tower: str) -> set[str]:
    return {node.op_type for node in onnx.load(folder / f"{tower}.onnx", load_external_data=False).graph.node}


def test_outlier_channels_leave_the_function_as_it_was(name: str) -> None:
    plain, scaled = load(name, "none").model, with_outliers(load(name, "none")).model
    pixels = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    tokens = torch.tensor([[49406, 320, 2368, 49407] + 16 * [0]])
    with torch.inference_mode():
        assert torch.allclose(plain.encode_image(pixels), scaled.encode_image(pixels), atol=1e-4)
        assert torch.allclose(plain.encode_text(tokens), scaled.encode_text(tokens), atol=1e-4)


@pytest.mark.parametrize("tower", ["image", "text"])
def test_outlier_channels_leave_the_tower_within_the_bounds(
    outliers: tuple[Source, Path, dict[str, Any]], tower: str
) -> None:
    _, _, manifest = outliers
    assert BOUNDS.hold(fidelity(manifest["layers"][tower]["fidelity"]))


def test_the_written_towers_are_within_the_bounds_too(outliers: tuple[Source, Path, dict[str, Any]]) -> None:
    source, folder, manifest = outliers
    model = read_model(folder)
    pixels = np.random.default_rng(3).integers(0, 256, (16, 32, 32, 3), dtype=np.uint8)
    mean, deviation = (torch.tensor(source.model.visual.preprocess_cfg[key]) for key in ("mean", "std"))
    normalised = ((torch.from_numpy(pixels) / 255 - mean) / deviation).permute(0, 3, 1, 2)
    with torch.inference_mode():
        expected = source.model.encode_image(normalised, normalize=True).numpy()
    tower = ImageTower(model, threads=1)
    cosines = np.array([(tower.embed([picture])[0] * row).sum() for picture, row in zip(pixels, expected, strict=True)])
    assert cosines.mean() >= BOUNDS.mean_cosine
    assert cosines.min() >= BOUNDS.worst_cosine
    assert manifest["agreement"]["image_cosine"] >= BOUNDS.worst_cosine
    assert manifest["agreement"]["text_cosine"] >= BOUNDS.worst_cosine


def test_outlier_channels_cost_no_speed(outliers: tuple[Source, Path, dict[str, Any]]) -> None:
    """Smoothing moves them into the weights: the products are in the form in which they are without them."""
    _, _, manifest = outliers
    for tower in ("image", "text"):
        layers = manifest["layers"][tower]["layers"]
        # Of random labels in 128 numbers half a percent are ties: one product of the text tower's has to give.
        assert sum(layer["form"] != "row" for layer in layers) <= 1
        assert manifest["layers"][tower]["fidelity"]["mean_cosine"] >= 0.9995


@pytest.mark.parametrize("factor", [60.0, 400.0])
@pytest.mark.parametrize("tower", ["image", "text"])
def test_smoothing_keeps_the_function_and_saves_what_outlier_channels_ruin(
    name: str, tower: str, factor: float
) -> None:
    model, feeds = tower_and_feeds(with_outliers(load(name, "none"), factor), tower)
    reference = embed(model, feeds)
    assert np.abs(embed(smoothed(model, feeds, 0.5), feeds) - reference).max() < 1e-5
    smoothing = best_smoothing(model, feeds)
    assert np.abs(embed(smoothing.model, feeds) - reference).max() < 1e-5
    assert smoothing.exponent is not None
    assert smoothing.losses[smoothing.exponent] < 0.001 < smoothing.losses[None]


@pytest.mark.parametrize("tower", ["image", "text"])
def test_smoothing_saves_what_outlier_values_ruin(name: str, tower: str) -> None:
    """Those that the attention adds up, which no norm makes."""
    model, feeds = tower_and_feeds(with_outlier_values(load(name, "none"), 400.0), tower)
    reference = embed(model, feeds)
    smoothing = best_smoothing(model, feeds)
    assert np.abs(embed(smoothing.model, feeds) - reference).max() < 1e-5
    assert smoothing.exponent is not None
    assert smoothing.losses[smoothing.exponent] < 0.1 * smoothing.losses[None]


def test_an_exponent_that_changes_the_function_is_not_taken(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model, feeds = tower_and_feeds(with_outliers(load(name, "none")), "image")
    taken = best_smoothing(model, feeds)
    assert 0 < taken.change <= smoothing_module.MOST_CHANGE
    monkeypatch.setattr(smoothing_module, "MOST_CHANGE", taken.change / 1000)
    assert best_smoothing(model, feeds).exponent is None


def test_what_is_written_is_held_to_the_bounds_and_not_only_what_was_chosen(name: str, tmp_path: Path) -> None:
    """A last rewriting that costs a little everywhere: no picture is far off, their mean is."""
    source = load(name, "none")
    (image, pixels), (text, tokens) = tower_and_feeds(source, "image"), tower_and_feeds(source, "text")
    embedded = {"image": embed(image, pixels), "text": embed(text, tokens)}
    labels = label_sets(len(embedded["text"]))
    judges = {
        tower: Judge(
            feeds=feeds,
            reference=embedded[tower],
            others=embedded[other],
            logit_scale=1.0,
            label_sets=labels,
            embeds_pictures=tower == "image",
        )
        for tower, other, feeds in (("image", "text", pixels), ("text", "image", tokens))
    }
    chosen = replace(choices(chosen=1.0, fastest=1.0), judges=judges)
    save(Towers(image=image, text=text), tmp_path)
    assert judge_written(chosen, tmp_path)["image"].mean_cosine > 0.99999
    save(Towers(image=coarser(image), text=text), tmp_path)
    with pytest.raises(ExportError, match="written image tower is out of bounds against itself in float32") as refused:
        judge_written(chosen, tmp_path)
    worst = re.search(r"worst_cosine=([0-9.]+)", str(refused.value))
    assert worst
    assert float(worst[1]) >= BOUNDS.worst_cosine


def coarser(tower: ModelProto) -> ModelProto:
    result = ModelProto()
    result.CopyFrom(tower)
    rng = np.random.default_rng(0)
    for tensor in result.graph.initializer:
        if len(tensor.dims) == 2:
            weight = onnx.numpy_helper.to_array(tensor)
            noisy = weight * (1 + 0.06 * rng.standard_normal(weight.shape).astype(np.float32))
            tensor.CopyFrom(onnx.numpy_helper.from_array(noisy.astype(weight.dtype), tensor.name))
    return result


def test_the_fingerprint_names_what_was_measured_on_pictures_too(
    name: str, plain: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    """Other pictures, other scales, other embeddings: the same forms and exponents are not the same model."""
    again = export(load(name, "none"), tmp_path / "again", precision="auto")
    assert again["fingerprint"] == plain[1]["fingerprint"]
    own = tmp_path / "own"
    own.mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (8, 64, 64, 3), dtype=np.uint8)
    for number, picture in enumerate(pixels):
        Image.fromarray(picture).save(own / f"{number}.png")
    other = export(load(name, "none"), tmp_path / "other", precision="auto", samples=own)
    forms = [[layer["form"] for layer in manifest["layers"]["image"]["layers"]] for manifest in (again, other)]
    towers = [ImageTower(read_model(folder), threads=1) for folder in (plain[0], tmp_path / "other")]
    embeddings = [tower.embed([pixels[0][:32, :32]]) for tower in towers]
    assert forms[0] == forms[1]
    assert not np.array_equal(embeddings[0], embeddings[1])
    assert other["fingerprint"] != again["fingerprint"]


@pytest.fixture(scope="module")
def told() -> list[str]:
    return []


@pytest.fixture(scope="module")
def plain(name: str, told: list[str], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("models") / "plain"
    return folder, export(load(name, "none"), folder, precision="auto", tell=told.append, verbose=True)


def test_a_model_without_outliers_runs_in_8_bits_throughout(
    name: str, plain: tuple[Path, dict[str, Any]], told: list[str], tmp_path: Path
) -> None:
    _, manifest = plain
    printed = "\n".join(told)
    for tower in ("image", "text"):
        layers = manifest["layers"][tower]["layers"]
        assert len(layers) >= 12
        # Of random labels in 128 numbers half a percent are ties: one product of the text tower's has to give.
        assert sum(layer["form"] != "row" for layer in layers) <= 1
        # Where the fastest forms will do, what a single product costs was never asked.
        assert any(layer["loss"] for layer in layers) == any(layer["form"] != "row" for layer in layers)
        assert all(layer["layer"] in printed for layer in layers)
    assert manifest["files"]["image.data"]["bytes"] < 0.4 * sum(
        4 * parameter.numel() for parameter in load(name, "none").model.visual.parameters()
    )
    assert manifest["precision"] == "auto"
    exact = export(load(name, "none"), tmp_path / "fp32", precision="fp32")
    assert exact["fingerprint"] != manifest["fingerprint"]
    assert "layers" not in exact


def test_the_saved_graph_is_already_optimised(outliers: tuple[Source, Path, dict[str, Any]], tmp_path: Path) -> None:
    _, folder, _ = outliers
    for tower in ("image", "text"):
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
        options.optimized_model_filepath = str(tmp_path / f"{tower}.onnx")
        options.log_severity_level = 3
        onnxruntime.InferenceSession(str(folder / f"{tower}.onnx"), options, providers=["CPUExecutionProvider"])
        assert operators(tmp_path, tower) == operators(folder, tower)
        assert "MultiHeadAttention" in operators(folder, tower)


@pytest.mark.parametrize("tower", ["image", "text"])
def test_a_start_that_does_not_optimise_again_answers_the_same(
    outliers: tuple[Source, Path, dict[str, Any]], tower: str
) -> None:
    source, folder, manifest = outliers
    assert manifest["convolutions"] is False
    _, feeds = tower_and_feeds(source, tower)
    found = [cpu_session(folder / f"{tower}.onnx", optimise=again).run(None, feeds[0])[0] for again in (True, False)]
    assert np.array_equal(*found)


def test_a_folder_whose_weights_are_missing_or_cut_off_is_refused(
    outliers: tuple[Source, Path, dict[str, Any]], tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(outliers[1], folder)
    (folder / "image.data").write_bytes(b"cut off")
    with pytest.raises(ConfigurationError, match=r"image\.data has 7 bytes instead of"):
        read_model(folder)
    (folder / "image.data").unlink()
    with pytest.raises(ConfigurationError, match=r"image\.data is missing"):
        read_model(folder)


def test_a_folder_of_samples_is_used_and_a_wrong_one_is_refused(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / f"{name}.json"
    config.write_text(json.dumps(CONFIG), encoding="utf-8")
    arguments = ["--config", str(config), "--pretrained", "none", "--out", str(tmp_path / "out"), "--precision", "auto"]
    assert main([*arguments, "--samples", str(tmp_path / "absent")]) == 2
    assert "does not exist" in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    assert main([*arguments, "--samples", str(tmp_path / "empty")]) == 2
    assert "has no .jpg, .png or .webp pictures" in capsys.readouterr().err
    (tmp_path / "own").mkdir()
    Image.new("RGB", (40, 40), "red").save(tmp_path / "own" / "one.png")
    (tmp_path / "own" / "two.jpg").write_bytes(b"not a picture")
    assert main([*arguments, "--samples", str(tmp_path / "own")]) == 2
    assert "two.jpg" in capsys.readouterr().err
    (tmp_path / "own" / "two.jpg").unlink()
    assert main([*arguments, "--samples", str(tmp_path / "own")]) == 0


def test_a_folder_of_samples_is_judged_on_between_bars_and_beside_blank_pictures_too(name: str, tmp_path: Path) -> None:
    """There a transformer's values are largest, and a folder of one's own may have none."""
    rng = np.random.default_rng(0)
    for number in range(60):
        Image.fromarray(rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(tmp_path / f"{number:02}.png")
    pictures = samples.pictures(load(name, "none"), tmp_path)
    pixels = np.concatenate(pictures.batches)
    blank = [len(np.unique(one.reshape(-1, 3), axis=0)) == 1 for one in pixels]
    barred = [min(one[:, 0].std(axis=0).max(), one[0].std(axis=0).max()) == 0 for one in pixels]
    assert (pictures.count, pictures.photographs) == (64, 42)
    assert sum(blank) == 4
    assert sum(barred) - sum(blank) >= 16
    # Those few by which single products are judged, too.
    assert any(blank[: len(pictures.batches[0])])
    assert any(barred[: len(pictures.batches[0])])


def choices(*, chosen: float, fastest: float) -> Choices:
    """What was chosen, with these mean cosines: as it is, and in 8 bits everywhere."""

    def fidelity(cosine: float) -> Fidelity:
        return Fidelity(mean_cosine=cosine, worst_cosine=cosine, top_1_agreement=1.0, top_1_identical=1.0)

    tower = Choice(model=ModelProto(), layers=(), fidelity=fidelity(chosen), fastest=fidelity(fastest))
    return Choices(image=tower, text=tower, smoothing={}, judges={}, pictures=1, photographs=1)


def test_int8_fails_instead_of_falling_back() -> None:
    needs_a_finer_form = choices(chosen=0.9999, fastest=0.99)
    refuse_choice(needs_a_finer_form, "auto")
    with pytest.raises(ExportError, match=r"With 8 bits everywhere the image tower is out of bounds: .*PRECISION=auto"):
        refuse_choice(needs_a_finer_form, "int8")
    refuse_choice(choices(chosen=0.9999, fastest=0.9999), "int8")
    with pytest.raises(ExportError, match="out of bounds in every form"):
        refuse_choice(choices(chosen=0.99, fastest=0.99), "auto")


def test_only_a_lost_label_that_was_clearly_ahead_is_a_disagreement() -> None:
    exact = np.array([[0.50, 0.40, 0.10]], np.float32)
    clear = top_1_losses(exact, np.array([[0.3, 0.4, 0.1]], np.float32), [np.array([0, 1, 2])], 10.0)
    tie = top_1_losses(exact, np.array([[0.3, 0.4, 0.1]], np.float32), [np.array([0, 1, 2])], 0.1)
    same = top_1_losses(exact, exact + 0.1, [np.array([0, 1]), np.array([1, 2])], 10.0)
    assert clear[0, 0] > 0.3
    assert 0 < tie[0, 0] < 0.01
    assert (same == 0).all()


@pytest.mark.parametrize(
    "worse",
    [
        {"mean_cosine": 0.9989},
        {"worst_cosine": 0.9899},
        {"top_1_agreement": 0.9949},
        {"mean_cosine": float("nan")},
    ],
)
def test_each_bound_holds_by_itself(worse: dict[str, float]) -> None:
    good = {"mean_cosine": 0.999, "worst_cosine": 0.99, "top_1_agreement": 0.995, "top_1_identical": 0.9}
    assert Bounds().hold(fidelity(good))
    assert not Bounds().hold(fidelity(good | worse))
