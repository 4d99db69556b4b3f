"""`make image` asks an engine for the right image, pushes nothing, and sees what is wrong with what came out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

from tools.image_tree.build import main
from tools.image_tree.tree import build_tree
from tools.tests.test_image_tree import elf, make_context

pytestmark = pytest.mark.slow

CONFIG = {
    "Cmd": ["moderator.handler.handler"],
    "Env": ["PATH=/bin", "ORT_DISABLE_TELEMETRY=1", "MODEL_DIR=/var/task/model"],
    "User": "",
}
# An engine that notes what it is asked, and answers by the files beside it.
ENGINE = """#!{python}
import json, pathlib, shutil, sys
folder = pathlib.Path(__file__).parent
with (folder / "asked").open("a") as asked:
    asked.write(json.dumps(sys.argv[1:]) + "\\n")
match sys.argv[1:3]:
    case ["image", "inspect"]: print((folder / "about.json").read_text())
    case ["create", _]: print("a-warning\\nc0ffee")
    case ["export", _]: shutil.copy(folder / "image.tar", sys.argv[3])
    case ["history", _]: print((folder / "history").read_text())
    case ["build", _] if (folder / "fails").exists(): sys.exit("the base image cannot be had")
"""


@pytest.fixture(scope="module")
def image_tar(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the Dockerfile makes of a small service, as `docker export` gives it."""
    folder = tmp_path_factory.mktemp("image")
    image = build_tree(folder / "out", python=Path(sys.executable), context=make_context(folder / "src"))
    for name in ("numpy/linalg/__init__.py", "redis/credentials.py"):
        (image.root / "var/task" / name).parent.mkdir(parents=True)
        (image.root / "var/task" / name).write_text("")
    (image.root / "var/task/numpy/core.so").write_bytes(elf(183))
    with tarfile.open(folder / "image.tar", "w") as tar:
        tar.add(image.root, ".", filter=lambda entry: entry.replace(name=entry.name.removeprefix("./"), deep=False))
    return folder / "image.tar"


@pytest.fixture
def engine(image_tar: Path, tmp_path: Path) -> Path:
    (tmp_path / "image.tar").symlink_to(image_tar)
    (tmp_path / "docker").write_text(ENGINE.format(python=sys.executable))
    (tmp_path / "docker").chmod(0o755)
    tell(tmp_path)
    return tmp_path / "docker"


def tell(folder: Path, *, task: int = 900_000, architecture: str = "arm64", **config: Any) -> None:
    about = [{"Architecture": architecture, "Config": CONFIG | config}]
    (folder / "about.json").write_text(json.dumps(about))
    copied = ((task, "/build/task /var/task"), (198_000_000, "/build/wheels /var/task"))
    (folder / "history").write_text("".join(f"{size}\tCOPY {what} # buildkit\n" for size, what in copied))


def asked(engine: Path) -> list[list[str]]:
    return [json.loads(line) for line in (engine.parent / "asked").read_text().splitlines()]


def test_the_image_is_built_for_arm64_from_our_context_and_never_pushed(
    engine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--docker", str(engine), "--tag", "mine", "--torch-index", "https://cpu", "--", "--network", "host"]
    assert main(arguments) == 0, capsys.readouterr()
    build, *others = asked(engine)
    assert build[:5] == ["build", "--platform", "linux/arm64", "--tag", "mine"]
    assert {"MODEL=demo", "PRECISION=auto", "TORCH_INDEX=https://cpu"} <= set(build)
    assert build[-3:-1] == ["--network", "host"]
    assert build[-1].endswith("lambda_src")
    assert {call[0] for call in others} <= {"image", "create", "export", "rm", "history", "run"}
    assert not any("push" in word for call in asked(engine) for word in call)
    assert ["rm", "c0ffee"] in others
    said = capsys.readouterr().out
    assert "fault" not in said
    assert "layer    0.9 MB: COPY /build/task /var/task" in said


@pytest.mark.parametrize(
    ("wrong", "fault"),
    [
        ({"architecture": "amd64"}, "The image is for amd64"),
        ({"task": 66_000_000}, "The label sets' layer has 66 MB"),
        ({"Env": ["MODEL_DIR=/var/task/model"]}, "ORT_DISABLE_TELEMETRY is not set"),
        ({"Env": [*CONFIG["Env"], "POLICIES_DIR=/var/task/rules"]}, "POLICIES_DIR is /var/task/rules"),
        ({"User": "root"}, "The image has a user, root"),
        ({"Cmd": ["moderator.nothing.handler"]}, "it must name the handler"),
    ],
)
def test_what_is_wrong_with_an_image_is_said(
    wrong: dict[str, Any], fault: str, engine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tell(engine.parent, **wrong)
    assert main(["--docker", str(engine)]) == 1
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("fault")]
    assert fault in line


def test_an_engine_that_is_not_there_or_fails_is_said(engine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (engine.parent / "fails").touch()
    assert main(["--docker", str(engine)]) == 2
    assert f"image: {engine} build failed." in capsys.readouterr().err
    assert main(["--docker", str(engine.parent / "no-engine")]) == 2
    assert "name one by DOCKER=" in capsys.readouterr().err


def test_make_hands_on_what_it_was_given(engine: Path) -> None:
    root = Path(__file__).resolve().parents[2]
    command = ["make", "--dry-run", "image", "DOCKER=an engine", "ARGS=--network host"]
    plain = subprocess.run(command, cwd=root, env=os.environ, capture_output=True, text=True, check=True).stdout
    assert "--docker 'an engine'" in plain
    assert "--model" not in plain, "the demo model, unless another one is named"
    assert "-- --network host" in plain
    model = subprocess.run(
        [*command, "MODEL=RN50", "PRETRAINED=openai"], cwd=root, capture_output=True, text=True, check=True
    )
    assert "--model 'RN50' --pretrained 'openai'" in model.stdout
