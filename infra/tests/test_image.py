"""The image is private, built for Graviton from what is in the repository, and named by its content."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from infra.config import CONTEXT
from infra.context import context_files, context_hash
from infra.tests.program import Recorded, run_program

IMAGE = "docker-build:index:Image"
REPOSITORY = "aws:ecr/repository:Repository"


def test_lambda_gets_the_image_by_its_digest_alone(every: Recorded) -> None:
    """Lambda refuses a name with both a tag and a digest."""
    uri = every.inputs("aws:lambda/function:Function")["imageUri"]
    assert uri == f"111122223333.dkr.ecr.eu-central-1.amazonaws.com/clip@sha256:{'0' * 64}"
    assert every.exports["imageDigest"] == f"sha256:{'0' * 64}"


def test_the_image_is_built_for_arm64_and_pushed_without_provenance(every: Recorded) -> None:
    image = every.inputs(IMAGE)
    assert image["platforms"] == ["linux/arm64"]
    assert image["push"] is True
    assert "exec" not in image, "that mode adds a provenance record, and Lambda refuses the index that it makes"
    assert not image.get("exports")


def test_a_preview_builds_nothing(every: Recorded) -> None:
    assert every.inputs(IMAGE)["buildOnPreview"] is False


def test_a_replaced_image_stays_until_the_repository_drops_it(every: Recorded) -> None:
    assert every.one(IMAGE).retained_on_delete
    assert every.inputs(REPOSITORY)["forceDelete"] is True


def test_the_repository_is_private_immutable_and_scanned(every: Recorded) -> None:
    repository = every.inputs(REPOSITORY)
    assert repository["imageTagMutability"] == "IMMUTABLE"
    assert repository["imageScanningConfiguration"] == {"scanOnPush": True}
    assert not [one.key for one in every.resources if one.type.startswith("aws:ecrpublic/")]


def test_the_repository_keeps_the_last_ten_images(defaults: Recorded) -> None:
    (rule,) = json.loads(defaults.inputs("aws:ecr/lifecyclePolicy:LifecyclePolicy")["policy"])["rules"]
    assert rule["selection"] == {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 10}
    assert rule["action"] == {"type": "expire"}


def test_the_place_of_the_checkout_is_not_part_of_the_image(defaults: Recorded) -> None:
    image = defaults.inputs(IMAGE)
    assert image["context"] == {"location": "lambda_src"}
    assert image["dockerfile"] == {"location": "lambda_src/Dockerfile"}


def test_the_build_is_told_which_model() -> None:
    settings = {
        "model": "ViT-L-14",
        "pretrained": "laion2b_s32b_b82k",
        "precision": "fp32",
        "torchIndex": "https://cpu",
    }
    arguments = run_program(settings).inputs(IMAGE)["buildArgs"]
    assert arguments == {
        "BASE_IMAGE": "public.ecr.aws/lambda/python:3.13",
        "MODEL": "ViT-L-14",
        "PRETRAINED": "laion2b_s32b_b82k",
        "PRECISION": "fp32",
        "TORCH_INDEX": "https://cpu",
    }


def test_every_build_argument_is_one_of_the_dockerfile(defaults: Recorded) -> None:
    text = (CONTEXT / "Dockerfile").read_text(encoding="utf-8")
    declared = {line.split()[1].split("=")[0] for line in text.splitlines() if line.startswith("ARG ")}
    assert set(defaults.inputs(IMAGE)["buildArgs"]) == declared


def test_the_tag_is_the_contents_hash(defaults: Recorded) -> None:
    image = defaults.inputs(IMAGE)
    expected = context_hash(CONTEXT, image["buildArgs"])
    assert image["tags"] == [f"111122223333.dkr.ecr.eu-central-1.amazonaws.com/clip:{expected}"]


@pytest.fixture
def context(tmp_path: Path) -> Path:
    """A small context with our own `.dockerignore`."""
    shutil.copy(CONTEXT / ".dockerignore", tmp_path)
    for name in ("Dockerfile", "requirements.txt", "moderator/handler.py", "label_sets/moderation.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    return tmp_path


@pytest.mark.parametrize(
    "name",
    [
        "moderator/__pycache__/handler.cpython-313.pyc",
        "moderator/deep/__pycache__/x.py",
        "moderator/handler.pyc",
        ".mypy_cache/3.11/x.json",
        "moderator/.ruff_cache/x",
        "tests/test_handler.py",
        "moderator/.DS_Store",
        "notes.txt",
    ],
)
def test_caches_and_tests_are_neither_sent_nor_part_of_the_tag(context: Path, name: str) -> None:
    before = context_hash(context, {})
    (context / name).parent.mkdir(parents=True, exist_ok=True)
    (context / name).write_text("left over")
    assert context_hash(context, {}) == before
    assert Path(name) not in context_files(context)


def _change(context: Path) -> None:
    (context / "moderator/handler.py").write_text("changed")


def _add(context: Path) -> None:
    (context / "moderator/new.py").write_text("")


def _rename(context: Path) -> None:
    (context / "label_sets/moderation.json").rename(context / "label_sets/other.json")


def _allow(context: Path) -> None:
    (context / "Dockerfile").chmod(0o755)


@pytest.mark.parametrize("edit", [_change, _add, _rename, _allow])
def test_any_change_to_what_is_sent_is_another_tag(context: Path, edit: Callable[[Path], None]) -> None:
    """The builder would build again, and an immutable tag can be pushed only once."""
    before = context_hash(context, {})
    edit(context)
    assert context_hash(context, {}) != before


def test_another_model_is_another_tag(context: Path) -> None:
    assert context_hash(context, {"MODEL": "demo"}) != context_hash(context, {"MODEL": "RN50"})


def test_a_pattern_that_is_not_understood_is_refused(context: Path) -> None:
    (context / ".dockerignore").write_text("moderator/[a-z].py\n")
    with pytest.raises(ValueError, match="only names"):
        context_files(context)
