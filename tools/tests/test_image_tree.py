"""The image's files hold all that the Lambda needs, and the check of it sees what is wrong.

The whole tree, with real wheels, is made by `make image-tree`; here the real Dockerfile is followed without wheels.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from infra.config import CONTEXT
from tools.image_tree.checks import MODEL_FILES, faults, imports, megabytes, missing_imports
from tools.image_tree.dockerfile import Builder, Stage, instructions
from tools.image_tree.tree import build_tree

pytestmark = pytest.mark.slow

HANDLER = "import json\nimport numpy.linalg\nfrom redis.credentials import X\n\n\ndef handler(event, context): ...\n"


@pytest.fixture
def context(tmp_path: Path) -> Path:
    """The real Dockerfile over a service of three lines, which needs no wheel."""
    return make_context(tmp_path / "src")


def make_context(folder: Path) -> Path:
    files = {
        "moderator/__init__.py": "",
        "moderator/errors.py": "",
        "moderator/label_text.py": "",
        "moderator/clip/__init__.py": "",
        "moderator/clip/byte_products.py": "",
        "moderator/clip/probabilities.py": "",
        "moderator/clip/session.py": "",
        "moderator/clip/tokenizer.py": "",
        "moderator/handler.py": HANDLER,
        "moderator/jobs/__init__.py": "",
        "moderator/jobs/precompute.py": "open('model/labels.safetensors', 'w').write('x')\n",
        "model_build/requirements.txt": "",
        "label_sets/moderation.json": "{}",
        "policies/moderation.json": "{}",
        "tests/test_handler.py": "",
        "requirements.txt": "# nothing\n",
        "requirements-videos.txt": "# nothing\n",
        **{f"demo_model/{name}": "x" for name in MODEL_FILES},
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    for name in ("Dockerfile", ".dockerignore"):
        shutil.copy(CONTEXT / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    folder = tmp_path_factory.mktemp("image")
    return build_tree(folder / "out", python=Path(sys.executable), context=make_context(folder / "src"))


@pytest.fixture
def image(built: Stage, tmp_path: Path) -> Stage:
    """The tree, for one test alone, with what would be wheels put in by hand."""
    shutil.copytree(built.root, tmp_path / "root")
    stage = replace(built, root=tmp_path / "root")
    task = stage.root / "var/task"
    for name in ("numpy/linalg/__init__.py", "redis/credentials.py"):
        (task / name).parent.mkdir(parents=True)
        (task / name).write_text("")
    (task / "numpy/core.cpython-313-aarch64-linux-gnu.so").write_bytes(elf(183))
    return stage


def elf(processor: int) -> bytes:
    return b"\x7fELF" + bytes(14) + processor.to_bytes(2, "little") + bytes(44)


def test_the_dockerfile_can_be_followed_and_its_tree_is_right(image: Stage) -> None:
    assert faults(image) == []
    assert image.base == "public.ecr.aws/lambda/python:3.13"
    assert image.command == ["moderator.handler.handler"]
    task = image.root / "var/task"
    assert sorted(path.name for path in (task / "model").iterdir()) == sorted(MODEL_FILES)
    assert not (task / "tests").exists()


def test_the_bytecode_is_made_before_it_is_needed_and_is_never_checked(image: Stage) -> None:
    (compiled,) = (image.root / "var/task/moderator/__pycache__").glob("handler.*.pyc")
    # https://docs.python.org/3/reference/import.html#pyc-invalidation: hash-based, not checked.
    assert int.from_bytes(compiled.read_bytes()[4:8], "little") == 0b01


def _without_redis(task: Path) -> None:
    shutil.rmtree(task / "redis")


def _with_torch(task: Path) -> None:
    (task / "torch").mkdir()


def _for_intel(task: Path) -> None:
    (task / "numpy/core.so").write_bytes(elf(62))


def _unreadable(task: Path) -> None:
    (task / "moderator/handler.py").chmod(0o600)


def _closed_folder(task: Path) -> None:
    (task / "model").chmod(0o700)


def _without_text_tower(task: Path) -> None:
    (task / "model/text.onnx").unlink()


def _without_label_sets(task: Path) -> None:
    (task / "label_sets/moderation.json").unlink()


def _without_policies(task: Path) -> None:
    (task / "policies/moderation.json").unlink()


def _without_handler(task: Path) -> None:
    (task / "moderator/handler.py").unlink()


def _too_large(task: Path) -> None:
    with (task / "large").open("wb") as file:
        os.truncate(file.fileno(), 450_000_000)


@pytest.mark.parametrize(
    ("spoil", "fault"),
    [
        (_without_redis, "moderator/handler.py: redis.credentials is imported but not in the image."),
        (_with_torch, "torch is in the image: it is needed at build time only."),
        (_for_intel, "numpy/core.so is for another processor than Graviton."),
        (_unreadable, "moderator/handler.py cannot be read by every user, and Lambda's owns nothing here."),
        (_closed_folder, "model cannot be read by every user, and Lambda's owns nothing here."),
        (_without_text_tower, "model/text.onnx is missing."),
        (_without_label_sets, "There is no label set."),
        (_without_policies, "There is no policy."),
        (_without_handler, "CMD is ['moderator.handler.handler']: it must name the handler."),
        (_too_large, "The image has 450 MB: it must have less than 450."),
    ],
)
def test_what_is_wrong_with_the_tree_is_said(image: Stage, spoil: Callable[[Path], None], fault: str) -> None:
    spoil(image.root / "var/task")
    assert faults(image) == [fault]


def test_a_run_in_the_last_stage_is_a_fault(image: Stage) -> None:
    image.runs = 1
    assert faults(image) == ["The last stage has a RUN: it must only copy, or an x86 machine needs an emulator."]


@pytest.mark.parametrize(
    ("line", "complaint"),
    [("ADD x y", "ADD is not understood"), ("USER root", "USER is not understood"), ("COPY tests t", "nothing of it")],
)
def test_a_step_that_cannot_be_followed_is_refused(context: Path, tmp_path: Path, line: str, complaint: str) -> None:
    (context / "Dockerfile").write_text(f"FROM base\n{line}\n")
    builder = Builder(context=context, out=tmp_path / "out", python=Path(sys.executable), arguments={})
    with pytest.raises(ValueError, match=complaint):
        builder.follow(context / "Dockerfile")


def test_only_the_last_stage_is_for_the_other_processor_and_it_only_copies() -> None:
    """So that an x86 machine needs no emulator, and the image runs as the base image's own user."""
    stages: list[list[tuple[str, str]]] = []
    for step, rest in instructions((CONTEXT / "Dockerfile").read_text(encoding="utf-8")):
        if step == "FROM":
            stages.append([])
        if stages:
            stages[-1].append((step, rest))
    names = [stage[0][1].split()[-1] for stage in stages]
    assert names == ["model", "labels", "code", "service", "ffmpeg", "worker-videos", "service"]
    run = [stages[place] for place in (3, 5, 6)]
    assert all(stage[0][1].startswith("--platform=$BUILDPLATFORM ") for stage in stages if stage not in run)
    assert run[0][0][1].startswith("--platform=$TARGETPLATFORM ")
    assert {step for stage in run for step, _ in stage} == {"FROM", "COPY", "ENV", "CMD"}


def test_an_image_that_nobody_names_is_the_services_without_ffmpeg() -> None:
    """Docker builds a Dockerfile's last stage, and of the others only those that it needs."""
    steps = list(instructions((CONTEXT / "Dockerfile").read_text(encoding="utf-8")))
    assert steps[-1] == ("FROM", "service")
    started = next(place for place, (step, rest) in enumerate(steps) if step == "FROM" and rest.endswith(" AS ffmpeg"))
    assert not [rest for _, rest in steps[:started] if "requirements-videos" in rest or "from=ffmpeg" in rest]


def test_the_worker_with_videos_is_the_service_and_ffmpeg(tmp_path: Path) -> None:
    context = make_context(tmp_path / "src")
    dockerfile = context / "Dockerfile"
    # In the place of the wheel, which is fetched by `make image-tree ARGS="--target worker-videos"`.
    wheel = "RUN mkdir -p wheels/av && touch wheels/av/__init__.py\nRUN python -m compileall"
    stages = dockerfile.read_text("utf-8").rpartition("RUN python -m compileall")
    dockerfile.write_text(stages[0] + wheel + stages[2])
    (context / "moderator/jobs/video_child.py").write_text("import av\n")
    videos = build_tree(tmp_path / "videos", python=Path(sys.executable), context=context, target="worker-videos")
    service = build_tree(tmp_path / "service", python=Path(sys.executable), context=context)
    for stage, has_it in ((videos, True), (service, False)):
        task = stage.root / "var/task"
        assert (task / "av").exists() == has_it
        assert (task / "model/image.onnx").exists()
        assert stage.command == ["moderator.handler.handler"]
        assert stage.environment["MODEL_DIR"] == "/var/task/model"
        assert not [fault for fault in faults(stage) if fault.startswith(("moderator/jobs", "av "))]
    # Each in the other's place is wrong.
    assert "av is in the image: it is for worker-videos only." in faults(replace(videos, name="service"))
    (missing,) = [fault for fault in faults(replace(service, name="worker-videos")) if "video_child" in fault]
    assert missing == "moderator/jobs/video_child.py: av is imported but not in the image."


def test_the_desk_judges_videos_with_the_version_that_the_worker_has() -> None:
    pinned = [
        re.search(r"^av==(\S+)", path.read_text("utf-8"), re.MULTILINE)
        for path in (CONTEXT / "requirements-videos.txt", CONTEXT.parent / "tools/requirements.txt")
    ]
    assert pinned[0]
    assert pinned[1]
    assert pinned[0][1] == pinned[1][1]


def test_an_edit_of_the_demo_model_or_of_a_label_set_repeats_no_export_and_installs_no_wheel() -> None:
    """A builder repeats each step after the first one whose files changed."""
    text = (CONTEXT / "Dockerfile").read_text(encoding="utf-8")
    _, model, labels, code, image, *_ = re.split(r"^FROM .*$", text, flags=re.MULTILINE)
    assert model.index("model_build.export") < model.index("COPY demo_model")
    for often in ("COPY label_sets", "COPY policies"):
        assert often not in model
        assert labels.index("pip install") < labels.index(often)
    assert code.index("compileall -q -j 0 --invalidation-mode unchecked-hash wheels") < code.index("COPY moderator")
    copied = re.findall(r"^COPY --from=\w+ /build/(\w+)", image, re.MULTILINE)
    assert copied == ["wheels", "model", "task", "precomputed"], (
        "the largest and least changed first, each its own layer"
    )


def test_wheels_are_for_graviton_pinned_by_hash_and_never_built() -> None:
    text = (CONTEXT / "Dockerfile").read_text(encoding="utf-8")
    installs = [line for line in text.splitlines() if "--platform manylinux" in line]
    assert len(installs) == 2, "the service's, and FFmpeg"
    for install in installs:
        assert "--platform manylinux_2_28_aarch64" in install
        assert {"--only-binary=:all:", "--require-hashes", "--no-deps"} <= set(install.split())
        version = re.search(r"--python-version (\S+)", install)
        base = re.search(r"ARG BASE_IMAGE=\S+:(\S+)", text)
        assert version
        assert base
        assert version[1] == base[1], "the wheels and the base image must be for one Python"


def test_onnxruntime_is_one_that_starts_on_graviton() -> None:
    """Those before 1.26 abort when they are imported in an arm64 Lambda."""
    pinned = re.search(r"^onnxruntime==(\d+)\.(\d+)", (CONTEXT / "requirements.txt").read_text("utf-8"), re.MULTILINE)
    assert pinned
    assert (int(pinned[1]), int(pinned[2])) >= (1, 26)


def test_no_requirement_is_chosen_by_the_building_machines_processor() -> None:
    """Pip asks the machine that it runs on, not the one that the wheels are for."""
    assert "platform_machine" not in (CONTEXT / "requirements.txt").read_text(encoding="utf-8")


def test_the_exports_stage_has_all_that_the_export_imports_of_the_service() -> None:
    needed = _own_imports(CONTEXT / "model_build")
    text = (CONTEXT / "Dockerfile").read_text(encoding="utf-8")
    copied = {word.replace("/", ".") for word in re.findall(r"moderator/([\w/]+)\.py", text)}
    assert needed <= copied, "each module here must stand in the Dockerfile's first stage"


def _own_imports(folder: Path) -> set[str]:
    """The modules of the service that the sources of `folder` import, and what those import in turn."""
    todo = list(folder.rglob("*.py"))
    found: set[str] = set()
    while todo:
        for module in imports(todo.pop().read_text(encoding="utf-8")):
            package, _, name = module.partition(".")
            if package == "moderator" and name and name not in found:
                found.add(name)
                todo.append((CONTEXT / "moderator" / name.replace(".", "/")).with_suffix(".py"))
    return found


def test_imports_are_seen_wherever_they_stand(tmp_path: Path) -> None:
    source = "import a.b\ndef f():\n    from c import d\nif True:\n    import e as g\nfrom . import h\n"
    assert imports(source) == {"a.b", "c", "e"}
    (tmp_path / "moderator").mkdir()
    (tmp_path / "moderator/x.py").write_text("import json\nimport numpy\n")
    assert missing_imports(tmp_path) == ["moderator/x.py: numpy"]


def test_the_size_counts_each_file_of_the_tree(image: Stage) -> None:
    before = megabytes(image)
    (image.root / "var/task/more").write_bytes(bytes(2_000_000))
    assert megabytes(image) == pytest.approx(before + 2)
