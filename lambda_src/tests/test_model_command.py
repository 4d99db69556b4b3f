"""`make model` says what it does while it does it, and what is wrong before it begins."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from model_build.export import main
from support.harness import LAMBDA_SRC, free_port

pytestmark = pytest.mark.slow

CONFIG = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16},
    "text_cfg": {"context_length": 20, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}


@pytest.fixture
def tiny(tmp_path: Path) -> list[str]:
    config = tmp_path / "tiny-for-the-command.json"
    config.write_text(json.dumps(CONFIG), encoding="utf-8")
    return ["--config", str(config), "--pretrained", "none", "--out", str(tmp_path / "out")]


@pytest.fixture(params=["nobody listens", "nobody answers"])
def hub(request: pytest.FixtureRequest) -> Iterator[str]:
    """Where the weights are not."""
    if request.param == "nobody listens":
        yield f"http://127.0.0.1:{free_port()}"
    else:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_without_a_network_one_sentence_says_so_at_once(hub: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "model_build.export", "--model", "ViT-B-32-quickgelu", "--pretrained", "openai",
         "--out", str(tmp_path / "out")],
        env=os.environ | {"PYTHONPATH": str(LAMBDA_SRC), "HF_ENDPOINT": hub, "HF_HOME": str(tmp_path / "hub")},
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1, done.stderr
    assert "The weights 'openai' are not on this machine, and 127.0.0.1 does not give them" in done.stderr
    assert "PRETRAINED=" in done.stderr
    (said,) = done.stdout.splitlines()
    seconds = re.match(r"\[ *(\d+) s\] Loading ViT-B-32-quickgelu \(openai\)", said)
    assert seconds
    assert not (tmp_path / "out").exists()


def test_what_is_being_done_is_told_and_every_layer_where_asked_for(
    tiny: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*tiny, "--verbose"]) == 0
    said = capsys.readouterr().out
    steps = re.findall(r"^\[ *\d+ s\] (.*)", said, re.MULTILINE)
    assert steps[0] == "Loading tiny-for-the-command (none)"
    assert [step.partition(" ")[0] for step in steps if step] == [
        "Loading", "Writing", "Comparing", "Measuring", "Writing",
    ]  # fmt: skip
    image, text = said.split("what it alone costs of the mean cosine")[1:]
    layer = re.compile(r"^  \S+ +(\d+x\d+) +(?:row|block\d+|fp32)(?: |$)", re.MULTILINE)
    assert {"768x32", "32x64", "32x128", "128x32", "32x16"} <= set(layer.findall(image))
    assert {"16x32", "16x64", "64x16", "16x16"} == set(layer.findall(text))


def test_a_wrong_samples_folder_is_told_before_anything_is_done(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nowhere = tmp_path / "nowhere"
    arguments = ["--model", "ViT-B-32-quickgelu", "--pretrained", "openai", "--out", str(tmp_path / "out")]
    assert main([*arguments, "--samples", str(nowhere)]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == f"model_build.export: The samples folder {nowhere} does not exist.\n"
