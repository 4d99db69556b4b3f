"""An exported folder answers as open_clip does, is whole or absent, and what cannot be exported is refused by name."""

from __future__ import annotations

import hashlib
import io
import json
import re
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from PIL import Image, JpegImagePlugin
from skimage import data as photographs_of_skimage

from model_build import export as export_module
from model_build.agreement import LIMITS, Agreement, refuse_disagreement
from model_build.export import export, main
from model_build.image_tower import ImageTower
from model_build.libraries import open_clip
from model_build.manifest import replaced_folder
from model_build.onnx_files import halve_token_table
from model_build.sizes import refuse_large
from model_build.source import ExportError, Source, add_config, load
from moderator.clip import towers
from moderator.clip.model import read_model
from moderator.clip.probabilities import softmax
from moderator.clip.tokenizer import Tokenizer
from moderator.pictures.decode import read_picture

pytestmark = pytest.mark.slow

DEMO_MODEL = Path(__file__).resolve().parent.parent / "demo_model"
# One for each kind of tower: a transformer, a ResNet, and one whose text tower is not causal.
PHOTOGRAPHS = [
    Image.fromarray(pixels)
    for pixels in (
        photographs_of_skimage.astronaut(),
        photographs_of_skimage.coffee(),
        photographs_of_skimage.chelsea(),
    )
]
MODELS = ("ViT-B-32-quickgelu", "RN50", "MobileCLIP-S1")


@pytest.fixture(scope="session", params=MODELS)
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Source, Path]:
    source = load(request.param, "none")
    folder = tmp_path_factory.mktemp("models") / request.param
    export(source, folder, label_template="a photo of {}")
    return source, folder


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Source:
    config = {
        "embed_dim": 16,
        "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16},
        "text_cfg": {"context_length": 20, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
    }
    path = tmp_path_factory.mktemp("configs") / "tiny-for-tests.json"
    path.write_text(json.dumps(config), encoding="utf-8")
    return load(add_config(path), "none")


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> NoReturn:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def session(path: Path) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


def cosines(a: Any, b: Any) -> Any:
    return (np.float64(a) * np.float64(b)).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


def test_image_embeddings_are_open_clips_whatever_the_batch(exported: tuple[Source, Path]) -> None:
    source, folder = exported
    pixels = np.random.default_rng(1).integers(0, 256, (3, *source.image_size, 3), dtype=np.uint8)
    mean, deviation = (torch.tensor(source.model.visual.preprocess_cfg[key]) for key in ("mean", "std"))
    with torch.inference_mode():
        normalised = ((torch.from_numpy(pixels) / 255 - mean) / deviation).permute(0, 3, 1, 2)
        expected = source.model.encode_image(normalised, normalize=True).numpy()
    image = session(folder / "image.onnx")
    for count in (1, 3):
        (found,) = image.run(None, {"pixels": pixels[:count]})
        assert found.dtype == np.float32
        assert cosines(found, expected[:count]).min() >= 0.99999
        assert np.abs(np.linalg.norm(found, axis=1) - 1).max() < 1e-5


def test_text_embeddings_are_open_clips_for_every_length_and_number_of_labels(exported: tuple[Source, Path]) -> None:
    source, folder = exported
    labels = ["x", "a cat", "two dogs, and a very long sentence about what they do in the garden", "cat " * 70]
    texts = [f"a photo of {label}" for label in labels]
    with torch.inference_mode():
        tokens = open_clip.SimpleTokenizer(context_length=source.context_length)(texts)
        expected = source.model.encode_text(tokens, normalize=True).numpy()
    ids = Tokenizer(folder / "tokenizer.json", source.context_length, "a photo of {}").encode(labels)
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    text = session(folder / "text.onnx")
    for chosen in ([0], [0, 1], [2, 0], [0, 1, 2, 3]):
        length = max(len(ids[index]) for index in chosen) if manifest["causal_text"] else source.context_length
        padded = np.array([ids[index] + [0] * (length - len(ids[index])) for index in chosen], np.int64)
        (found,) = text.run(None, {"tokens": padded})
        assert cosines(found, expected[chosen]).min() >= 0.99999
        assert np.abs(found - expected[chosen]).max() < 1e-4


def test_decoding_a_large_jpeg_at_a_reduced_scale_changes_no_answer_by_more_than_a_hundredth(
    exported: tuple[Source, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, folder = exported
    model = read_model(folder)
    images, texts = towers.ImageTower(model, threads=2), towers.TextTower(model, threads=2)
    labels = texts.embed(["gaming", "sport", "a cat", "a cup of coffee", "a woman in an orange suit", "a rocket"])

    def answers(photographs: list[bytes]) -> Any:
        pixels = [
            read_picture(data, model.preprocessing, max_pixels=50_000_000, name="photograph").frames[0].parts[0]
            for data in photographs
        ]
        logits = np.asarray(model.logit_scale * images.embed(pixels) @ labels.T, np.float32)
        return softmax(logits), pixels

    photographs = [large_jpeg(picture, size) for picture in PHOTOGRAPHS for size in ((4000, 3000), (1000, 1500))]
    scaled, scaled_pixels = answers(photographs)
    monkeypatch.setattr(JpegImagePlugin.JpegImageFile, "draft", lambda *_: None)
    full, full_pixels = answers(photographs)
    assert not np.array_equal(scaled_pixels[0], full_pixels[0]), "the reduced scale was not used"
    assert np.abs(scaled - full).max() <= 0.01


def large_jpeg(photograph: Image.Image, size: tuple[int, int]) -> bytes:
    """With a camera's noise, without which nothing would be left out."""
    pixels = np.asarray(photograph.resize(size, Image.Resampling.BICUBIC), np.float32)
    noise = np.random.default_rng(0).normal(0, 4, pixels.shape)
    buffer = io.BytesIO()
    Image.fromarray(np.clip(pixels + noise, 0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def test_the_manifest_says_what_was_written_and_how_well_it_agrees(exported: tuple[Source, Path]) -> None:
    source, folder = exported
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    assert {path.name for path in folder.iterdir()} == {*manifest["files"], "manifest.json"}
    for name, described in manifest["files"].items():
        data = (folder / name).read_bytes()
        assert described == {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    assert manifest["format"] == 1
    assert (manifest["name"], manifest["pretrained"], manifest["precision"]) == (source.name, "none", "fp32")
    assert manifest["causal_text"] == (source.name != "MobileCLIP-S1")
    assert manifest["label_template"] == "a photo of {}"
    assert manifest["image_size"] == list(source.image_size)
    assert manifest["logit_scale"] == pytest.approx(1 / 0.07, rel=1e-5)
    agreement = manifest["agreement"]
    assert agreement["pictures"] >= 8
    assert agreement["image_cosine"] >= 0.99999
    assert agreement["text_cosine"] >= 0.99999
    assert agreement["probability_difference"] <= 1e-4


def test_whoever_may_read_one_file_of_a_model_may_read_all(exported: tuple[Source, Path]) -> None:
    """An export by one user is served by another, as from a shared disk or in a container."""
    _, folder = exported
    (folder / "beside").touch()
    usual = (folder / "beside").stat().st_mode
    (folder / "beside").unlink()
    assert {path.name: oct(path.stat().st_mode) for path in folder.iterdir()} == {
        path.name: oct(usual) for path in folder.iterdir()
    }


def test_mobileclip_keeps_its_own_preprocessing_without_a_tag() -> None:
    source = load("MobileCLIP-S1", "none")
    assert source.model.visual.preprocess_cfg["mean"] == (0.0, 0.0, 0.0)
    assert source.interpolation == "bilinear"


def test_the_same_model_has_the_same_fingerprint_and_any_change_another(tiny: Source, tmp_path: Path) -> None:
    first = export(tiny, tmp_path / "a")["fingerprint"]
    again = export(load(tiny.name, "none"), tmp_path / "b")["fingerprint"]
    assert first == again
    assert len(first) == 16
    other_template = export(tiny, tmp_path / "c", label_template="a photo of {}")["fingerprint"]
    changed = load(tiny.name, "none")
    with torch.no_grad():
        changed.model.token_embedding.weight[123, 4] += 1e-3
    other_weights = export(changed, tmp_path / "d")["fingerprint"]
    other_name = export(replace(tiny, name="another"), tmp_path / "e")["fingerprint"]
    assert len({first, other_template, other_weights, other_name}) == 4


def test_a_checkpoint_is_exported_and_the_manifest_names_no_path(tiny: Source, tmp_path: Path) -> None:
    checkpoint = tmp_path / "weights.pt"
    torch.save(tiny.model.state_dict(), checkpoint)
    assert main(["--model", tiny.name, "--pretrained", str(checkpoint), "--out", str(tmp_path / "out")]) == 0
    text = (tmp_path / "out" / "manifest.json").read_text(encoding="utf-8")
    assert json.loads(text)["pretrained"] == "weights.pt"
    assert str(tmp_path) not in text


def test_half_precision_weights_make_a_smaller_text_tower_with_the_same_answers(tiny: Source, tmp_path: Path) -> None:
    full = export(tiny, tmp_path / "full")["files"]["text.data"]["bytes"]
    halved = load(tiny.name, "none")
    table = halved.model.token_embedding.weight
    table.copy_(table.half().float())
    saved = full - export(halved, tmp_path / "half")["files"]["text.data"]["bytes"]
    assert saved > 0.99 * table.numel() * 2
    tokens = np.array([[49406, 320, 2368, 49407]], np.int64)
    (found,) = session(tmp_path / "half" / "text.onnx").run(None, {"tokens": tokens})
    context = np.pad(tokens, ((0, 0), (0, halved.context_length - tokens.shape[1])))
    with torch.inference_mode():
        expected = halved.model.encode_text(torch.from_numpy(context), normalize=True).numpy()
    assert np.abs(found - expected).max() < 1e-6


def test_a_token_table_that_half_precision_cannot_hold_is_kept_whole(tiny: Source, tmp_path: Path) -> None:
    export(tiny, tmp_path / "model")
    assert halve_token_table(onnx.load(tmp_path / "model" / "text.onnx")) is False


REFUSED: tuple[tuple[list[str], str], ...] = (
    (["--model", "ViT-B-16-SigLIP", "--pretrained", "webli"], "another tokenizer"),
    (["--model", "coca_ViT-B-32", "--pretrained", "laion2b_s13b_b90k"], "CoCa"),
    (["--model", "xlm-roberta-base-ViT-B-32", "--pretrained", "none"], "text tower is xlm-roberta-base"),
    (["--model", "ViT-H-14-CLIPA", "--pretrained", "none"], "tokenizer"),
    (["--model", "ViT-H-14-worldwide", "--pretrained", "none"], "another tokenizer"),
    (["--model", "ViT-B32", "--pretrained", "openai"], "Did you mean .*ViT-B-32"),
    (["--model", "ViT-B-32", "--pretrained", "openay"], "known are none, openai, laion"),
    (["--model", "ViT-B-32", "--pretrained", "openai"], "Take ViT-B-32-quickgelu"),
    (["--model", "RN50", "--pretrained", "weights/absent.pt"], "no checkpoint weights/absent.pt"),
    (["--model", "RN50", "--pretrained", "none", "--precision", "int3"], "precision 'int3'"),
    (["--model", "RN50", "--pretrained", "none", "--label-template", "a photo"], "once"),
    (["--model", "RN50", "--pretrained", "none", "--label-template", "{} <end_of_text>"], "control token"),
    (["--config", "absent.json", "--pretrained", "none"], "absent.json cannot be read"),
    (
        ["--model", "ViT-H-14", "--pretrained", "laion2b_s32b_b79k"],
        "ViT-H-14 .*image tower has 2529 MB .* at most 2147 MB",
    ),
    (["--model", "ViT-e-14", "--pretrained", "none"], "image tower has 15231 MB"),
)


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize(("arguments", "reason"), REFUSED)
def test_what_cannot_be_exported_is_refused_by_name_before_any_download(
    arguments: list[str], reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, "--out", str(tmp_path / "out")]) == 2
    message = capsys.readouterr().err
    assert re.search(reason, message), message
    assert "Traceback" not in message
    assert list(tmp_path.iterdir()) == []


def test_a_model_of_ones_own_is_refused_by_its_towers_size_too(tiny: Source) -> None:
    refuse_large(tiny.name, tiny.model)
    with pytest.raises(ExportError, match=r"its text tower has 4 MB in float32, and a graph holds at most 1 MB"):
        refuse_large(tiny.name, tiny.model, largest_mb=1)


def test_an_export_that_fails_leaves_the_old_model_as_it_was(
    tiny: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export(tiny, tmp_path / "model")
    before = {path.name: path.read_bytes() for path in (tmp_path / "model").iterdir()}

    def fail(*_: object) -> NoReturn:
        raise OSError("no space left")

    monkeypatch.setattr(export_module, "save", fail)
    with pytest.raises(OSError, match="no space left"):
        export(tiny, tmp_path / "model")
    assert {path.name: path.read_bytes() for path in (tmp_path / "model").iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_model_that_is_being_replaced_has_no_manifest_until_it_is_whole(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "manifest.json").write_text("old", encoding="utf-8")
    with pytest.raises(FileNotFoundError), replaced_folder(tmp_path / "model") as folder:
        (folder / "image.onnx").write_bytes(b"new")
    assert [path.name for path in (tmp_path / "model").iterdir()] == ["image.onnx"]


def test_a_wrong_graph_is_noticed(tiny: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Channels mixed up inside the graph: the export must not call that a model."""

    def mixed_up(model: Any) -> ImageTower:
        tower = ImageTower(model.visual)
        tower.offset.copy_(tower.offset.flip(0) + 0.5)
        return tower

    monkeypatch.setattr(export_module, "image_tower", mixed_up)
    with pytest.raises(ExportError, match="image tower disagrees"):
        export(tiny, tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("figure", "value"),
    [
        ("image_cosine", 0.99998),
        ("text_cosine", 0.99998),
        ("probability_difference", 2e-4),
        ("image_cosine", float("nan")),
        ("probability_difference", float("nan")),
    ],
)
def test_disagreement_beyond_the_limit_is_refused(figure: str, value: float) -> None:
    good = Agreement(
        pictures=1, real_pictures=0, labels=1, image_cosine=1.0, text_cosine=1.0, probability_difference=0.0
    )
    refuse_disagreement(good, LIMITS["fp32"])
    with pytest.raises(ExportError, match="disagrees"):
        refuse_disagreement(replace(good, **{figure: value}), LIMITS["fp32"])  # type: ignore[arg-type]
