"""An export is measured on real photographs wherever it runs, also where only its own requirements are installed."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from model_build import photographs, samples
from model_build.flat_pictures import flat_pictures, padded
from model_build.source import Source, add_config, load
from support.harness import LAMBDA_SRC

pytestmark = pytest.mark.slow

CONFIG = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16},
    "text_cfg": {"context_length": 20, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}
NO_SCIKIT_IMAGE = "raise SystemExit('not to be imported')\n"


def installed_for_the_export(folder: Path) -> Path:
    """Make a folder of what the image's first stage installs, by links: nothing else can be imported from it."""
    text = "".join((LAMBDA_SRC / name).read_text() for name in ("requirements.txt", "model_build/requirements.txt"))
    todo = re.findall(r"^([\w.-]+)==", text, re.MULTILINE)
    found: dict[str, Distribution] = {}
    while todo:
        name = re.sub(r"[-_.]+", "-", todo.pop()).lower()
        try:
            package = distribution(name)
        except PackageNotFoundError:  # for another system
            continue
        if name not in found:
            found[name] = package
            optional = re.compile(r";.*extra *==")
            todo += [re.split(r"[^\w.-]", need)[0] for need in package.requires or () if not optional.search(need)]
    folder.mkdir()
    for package in found.values():
        for top in {file.parts[0] for file in package.files or ()} - {"..", "__pycache__"}:
            link = folder / top
            if not link.exists():
                link.symlink_to(str(package.locate_file(top)))
    return folder


def export(packages: Path, folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run the export as the image's build does, with these packages and none of this machine's."""
    config = folder / "tiny-of-the-image.json"
    config.write_text(json.dumps(CONFIG))
    command = [sys.executable, "-S", "-W", "ignore", "-m", "model_build.export", "--config", str(config)]
    return subprocess.run(
        [*command, "--pretrained", "none", "--out", str(folder / "out"), *options],
        env=os.environ | {"PYTHONPATH": f"{packages}:{LAMBDA_SRC}"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return installed_for_the_export(tmp_path_factory.mktemp("stage") / "packages")


def test_the_images_build_measures_on_photographs(packages: Path, tmp_path: Path) -> None:
    done = export(packages, tmp_path)
    assert done.returncode == 0, done.stderr
    manifest = json.loads((tmp_path / "out/manifest.json").read_text())
    assert manifest["samples"] == {"pictures": 64, "photographs": 15}
    assert manifest["agreement"]["real_pictures"] == 15
    assert "among them 15 different photographs" in done.stdout
    assert "(15 photographs)" in done.stdout


def test_an_export_without_photographs_fails_before_anything_is_done(packages: Path, tmp_path: Path) -> None:
    (packages / "skimage").rename(packages / "_skimage")
    try:
        done = export(packages, tmp_path, "--precision", "fp32")
        (packages / "skimage/data").mkdir(parents=True)
        (packages / "skimage/__init__.py").write_text(NO_SCIKIT_IMAGE)
        (packages / "skimage/data/astronaut.png").write_bytes(b"")
        fewer = export(packages, tmp_path, "--precision", "fp32")
    finally:
        (packages / "skimage").rename(packages / "_fewer")
        (packages / "_skimage").rename(packages / "skimage")
    for failed, said in (
        (done, "There are no photographs, because scikit-image is not installed"),
        (fewer, "has no chel"),
    ):
        assert failed.returncode == 2, failed.stderr
        assert said in failed.stderr
        assert "install what model_build/requirements.txt names" in failed.stderr
        assert failed.stderr.count("\n") == 1
        assert failed.stdout == ""
    assert not (tmp_path / "out").exists()


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Source:
    path = tmp_path_factory.mktemp("configs") / "tiny-for-photographs.json"
    path.write_text(json.dumps(CONFIG), encoding="utf-8")
    return load(add_config(path), "none")


def test_each_batch_has_a_photograph_whole_between_bars_and_cut_and_the_first_ones_a_blank_picture(
    source: Source,
) -> None:
    pictures = samples.pictures(source, None)
    assert pictures.photographs == len(photographs.NAMES) == len(set(photographs.NAMES)) == 15
    assert pictures.count == 64
    blank = [[int(picture.std(axis=(0, 1)).max()) == 0 for picture in batch] for batch in pictures.batches]
    # A fade is none, and a night sky or a bar may fill what a model of 32 pixels sees.
    assert all(batch[3] for batch in blank[:4])
    assert not any(batch[0] for batch in blank[:15])


def test_a_users_own_pictures_are_counted_as_they_are(source: Source, tmp_path: Path) -> None:
    for number in range(3):
        Image.new("RGB", (50, 40), (number, 0, 0)).save(tmp_path / f"{number}.png")
    pictures = samples.pictures(source, tmp_path)
    # Each whole and between bars, and the blank ones.
    assert (pictures.photographs, pictures.count) == (3, 3 + 3 + len(flat_pictures()))


def test_a_padded_picture_is_the_whole_picture_between_bars_of_one_colour() -> None:
    real = photographs.photographs()
    for original, between in zip(real, padded(real), strict=True):
        pixels = np.asarray(between)
        assert between.size == (max(original.size), max(original.size))
        flat = (pixels == pixels[0, 0]).all(axis=2).mean()
        assert 0.25 < flat < 0.9
    assert len(flat_pictures()) == 6
