"""What is kept between two benchmarks is made again when anything changes that it was made from."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import models

VERSIONS = {"onnxruntime": "1.0"}


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    for name in (
        "lambda_src/model_build/forms.py",
        "lambda_src/model_build/costs/x86-vnni.json",
        "lambda_src/moderator/clip/session.py",
        "bench/models.py",
        "bench/planted.py",
        "bench/report.py",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return tmp_path


@pytest.mark.parametrize(
    "name",
    [
        "lambda_src/model_build/forms.py",
        "lambda_src/model_build/costs/x86-vnni.json",
        "lambda_src/moderator/clip/session.py",
        "bench/models.py",
        "bench/planted.py",
    ],
)
def test_a_change_of_what_a_model_is_made_from_makes_it_anew(repository: Path, name: str) -> None:
    assert Path(name).is_file()  # it is really called that
    before = models.fingerprint_of_makers(repository, VERSIONS)
    assert models.fingerprint_of_makers(repository, VERSIONS) == before
    (repository / name).write_text("changed")
    assert models.fingerprint_of_makers(repository, VERSIONS) != before


def test_another_librarys_version_makes_it_anew_and_another_page_does_not(repository: Path) -> None:
    before = models.fingerprint_of_makers(repository, VERSIONS)
    assert models.fingerprint_of_makers(repository, {"onnxruntime": "1.1"}) != before
    (repository / "bench/report.py").write_text("changed")
    assert models.fingerprint_of_makers(repository, VERSIONS) == before
    assert models.fingerprint_of_makers() == models.fingerprint_of_makers()


def test_what_is_kept_is_made_once_and_never_half(tmp_path: Path) -> None:
    made: list[Path] = []

    def write(path: Path) -> None:
        made.append(path)
        path.write_text("whole")

    def interrupted(path: Path) -> None:
        path.write_text("half")
        raise KeyboardInterrupt

    path = tmp_path / "kept.onnx"
    assert models.kept(path, write).read_text() == models.kept(path, write).read_text() == "whole"
    assert len(made) == 1
    (tmp_path / "kept.onnx.made-from").write_text("an older commit")
    with pytest.raises(KeyboardInterrupt):
        models.kept(path, interrupted)
    assert models.kept(path, write).read_text() == "whole"
    assert len(made) == 2


def test_models_for_another_processor_have_a_folder_of_their_own() -> None:
    other = "x86-vnni" if models.own_target() == "graviton2" else "graviton2"
    assert models.folder_name("auto", "", models.own_target()) == "auto"
    assert models.folder_name("auto", "", other) == f"auto-{other}"
    assert models.folder_name("auto", "tokens", models.own_target()) == "tokens-auto"
