"""What was found out by other code, or with other decoders, is not taken for what this code would answer."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tools.code import SERVICE, code_version, installed
from tools.tests.desk import ROOT


@pytest.fixture
def package(tmp_path: Path) -> Path:
    return Path(shutil.copytree(SERVICE / "pictures", tmp_path / "pictures", ignore=shutil.ignore_patterns("*.pyc")))


def test_the_same_code_has_the_same_version_wherever_it_lies(package: Path) -> None:
    assert code_version(package) == code_version(SERVICE / "pictures")
    assert len(code_version(package)) == 8


def test_any_change_of_the_code_is_another_version(package: Path) -> None:
    before = code_version(package)
    frames = package / "frames.py"
    frames.write_text(frames.read_text().replace("<", "<=", 1))
    changed = code_version(package)
    assert changed != before
    (package / "more.py").write_text("")
    assert code_version(package) != changed
    (package / "notes.txt").write_text("no code")
    assert len({before, changed, code_version(package)}) == 3


@pytest.mark.parametrize("library", ["pillow", "av", "onnxruntime", "numpy"])
def test_another_decoder_is_another_version(package: Path, library: str) -> None:
    """Pillow's wheel has its codecs in it: another JPEG decoder is another version of Pillow."""

    def after_an_update(name: str) -> str:
        return "99.0" if name == library else installed(name)

    assert code_version(package, version_of=after_an_update) != code_version(package)


@pytest.mark.parametrize("until", ["It judges all of them after a change of", "pictures are embedded only once, until"])
def test_the_page_names_all_that_makes_it_start_anew(until: str) -> None:
    page = " ".join((ROOT / "docs/policies.md").read_text(encoding="utf-8").split())
    sentence = page.split(until)[1].split(". ")[0]
    for named in ("the model", "`MAX_PIXELS`", "code", "Pillow", "PyAV", "NumPy", "ONNX Runtime"):
        assert named in sentence
