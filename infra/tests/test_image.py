"""The image is private, built for Graviton from what is in the repository, and handed over by its digest."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from infra.config import CONTEXT, ROOT
from infra.tests.conftest import DIGEST
from infra.tests.conftest import IMAGE as DEV_IMAGE
from infra.tests.program import Recorded, run_program
from model_build.export import main as export
from tools.image_tree.dockerfile import instructions

pytestmark = pytest.mark.slow

IMAGE = "docker-build:index:Image"
REPOSITORY = "aws:ecr/repository:Repository"


@pytest.fixture
def built(every: Recorded, run: Callable[[str], Recorded]) -> Recorded:
    """The configurations that build an image."""
    if every is run("image by digest"):
        pytest.skip("builds none")
    return every


def test_an_image_that_was_built_elsewhere_is_taken_by_its_digest(run: Callable[[str], Recorded]) -> None:
    """No build, no repository: what was tried in one stack goes to the next as it is."""
    stack = run("image by digest")
    assert stack.inputs("aws:lambda/function:Function")["imageUri"] == DEV_IMAGE
    assert stack.exports["imageDigest"] == DIGEST
    assert not [one.key for one in stack.resources if one.type.startswith(("docker-build:", "aws:ecr/"))]
    assert not [token for token in stack.calls if "ecr" in token]


def test_lambda_gets_the_image_by_its_digest_alone(built: Recorded) -> None:
    """Lambda refuses a name with both a tag and a digest."""
    uri = built.inputs("aws:lambda/function:Function")["imageUri"]
    assert uri == f"111122223333.dkr.ecr.eu-central-1.amazonaws.com/clip@sha256:{'0' * 64}"
    assert built.exports["imageDigest"] == f"sha256:{'0' * 64}"


def test_the_image_is_built_for_arm64_and_pushed_without_provenance(built: Recorded) -> None:
    image = built.inputs(IMAGE)
    assert image["platforms"] == ["linux/arm64"]
    assert image["push"] is True
    assert "exec" not in image, "that mode adds a provenance record, and Lambda refuses the index that it makes"
    assert not image.get("exports")


def test_a_preview_builds_nothing(built: Recorded) -> None:
    assert built.inputs(IMAGE)["buildOnPreview"] is False


def test_a_replaced_image_stays_until_the_repository_drops_it(built: Recorded) -> None:
    assert built.one(IMAGE).retained_on_delete
    assert built.inputs(REPOSITORY)["forceDelete"] is True


def test_the_repository_is_private_and_scanned(built: Recorded) -> None:
    repository = built.inputs(REPOSITORY)
    assert repository["imageScanningConfiguration"] == {"scanOnPush": True}
    assert not [one.key for one in built.resources if one.type.startswith("aws:ecrpublic/")]


def test_a_live_image_outlasts_many_builds_that_come_to_nothing(built: Recorded) -> None:
    """Each build is one image more, and Lambda fails a version whose image has been dropped."""
    for policy in built.all("aws:ecr/lifecyclePolicy:LifecyclePolicy"):
        (rule,) = json.loads(policy.inputs["policy"])["rules"]
        assert (rule["selection"]["countType"], rule["action"]) == ("imageCountMoreThan", {"type": "expire"})
        assert rule["selection"]["countNumber"] >= 100


def test_the_place_of_the_checkout_is_not_part_of_the_image(defaults: Recorded) -> None:
    image = defaults.inputs(IMAGE)
    assert image["context"] == {"location": "lambda_src"}
    assert image["dockerfile"] == {"location": "lambda_src/Dockerfile"}


def test_the_build_is_told_which_model() -> None:
    settings = {
        "model": "ViT-L-14",
        "pretrained": "laion2b_s32b_b82k",
        "precision": "fp32",
        "memory": 3008,
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


def test_torch_comes_without_cuda_unless_it_is_asked_for(defaults: Recorded, tmp_path: Path) -> None:
    """The usual index has it with gigabytes of CUDA; where no other can be reached, `none` asks it alone."""
    cpu = "https://download.pytorch.org/whl/cpu"
    assert defaults.inputs(IMAGE)["buildArgs"]["TORCH_INDEX"] == cpu
    text = (CONTEXT / "Dockerfile").read_text(encoding="utf-8")
    assert f"ARG TORCH_INDEX={cpu}\n" in text
    (step,) = (rest for step, rest in instructions(text) if step == "RUN" and "model_build/requirements.txt" in rest)
    (tmp_path / "pip").write_text('#!/bin/sh\necho "$@"\n')
    (tmp_path / "pip").chmod(0o755)

    def asked(index: str) -> str:
        environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "MODEL": "ViT-B-32", "TORCH_INDEX": index}
        command = ["/bin/sh", "-c", step]  # as an engine runs it
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout

    assert asked(cpu) == f"install --no-cache-dir --extra-index-url {cpu} -r model_build/requirements.txt\n"
    assert asked("none") == "install --no-cache-dir -r model_build/requirements.txt\n"


def test_the_precision_is_measured_unless_it_is_chosen(defaults: Recorded) -> None:
    assert defaults.inputs(IMAGE)["buildArgs"]["PRECISION"] == "auto"


@pytest.mark.parametrize("file", ["lambda_src/Dockerfile", "Makefile"])
def test_the_export_knows_every_option_that_it_is_called_with(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = (ROOT / file).read_text(encoding="utf-8").replace("\\\n", " ")
    (call,) = re.findall(r"-m model_build\.export (.*)", text)
    options = re.findall(r"--[\w-]+", call)
    assert set(options) >= {"--model", "--pretrained", "--precision", "--out"}
    # An option that it does not know ends the parser; this value is refused after it, and before any work.
    values = [word for option in options for word in ([option] if option == "--verbose" else [option, "no-such"])]
    assert export(values) == 2
    assert "no-such" in capsys.readouterr().err


def test_every_build_argument_is_one_of_the_dockerfile(defaults: Recorded) -> None:
    text = (CONTEXT / "Dockerfile").read_text(encoding="utf-8")
    declared = {line.split()[1].split("=")[0] for line in text.splitlines() if line.startswith("ARG ")}
    assert set(defaults.inputs(IMAGE)["buildArgs"]) == declared


def test_the_tag_may_move_because_lambda_is_given_the_digest(built: Recorded) -> None:
    """A tag that may be pushed once stops a rollback: the same content built anew has another digest."""
    assert built.inputs(REPOSITORY)["imageTagMutability"] == "MUTABLE"
    assert built.inputs(IMAGE)["tags"] == ["111122223333.dkr.ecr.eu-central-1.amazonaws.com/clip:latest"]
