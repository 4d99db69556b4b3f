"""What must hold of the image's files: all that the handler imports, for the right processor, small, and readable."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

from tools.image_tree.dockerfile import Stage

# Lambda allows 10 GB; what is small is fetched and started sooner.
MAX_MEGABYTES = 450
# What AWS' base image has beside Python: the hooks of its snapshots, and boto3, which only the worker imports.
# https://docs.aws.amazon.com/lambda/latest/dg/snapstart-runtime-hooks-python.html
# https://docs.aws.amazon.com/lambda/latest/dg/lambda-python.html
_OF_THE_RUNTIME = {"snapshot_restore_py", "boto3", "botocore"}
MODEL_FILES = (
    "image.onnx",
    "image.data",
    "text.onnx",
    "text.data",
    "tokenizer.json",
    "manifest.json",
    "labels.safetensors",
)
# FFmpeg is for the worker with videos alone: elsewhere no stranger's bytes may reach it.
VIDEOS, _VIDEOS_ONLY = "worker-videos", "av"
BUILD_TIME_ONLY = ("torch", "torchvision", "open_clip", "timm", "onnx", "onnxscript", "pip", "pytest")

# The processor's number in an ELF file's head. https://refspecs.linuxfoundation.org/elf/gabi4+/ch4.eheader.html
_AARCH64 = 183


def faults(image: Stage, *, native: bool = False) -> list[str]:
    """List what is wrong with the image, in sentences; `native` does not ask which processor it is for."""
    task = image.root / "var" / "task"
    found = [*_of_steps(image), *_of_imports(image, task), *_of_content(image, task), *_of_rights(task)]
    return found if native else [*found, *_of_processor(task)]


def megabytes(image: Stage) -> float:
    """Add up the files, in units of 1,000,000 bytes."""
    return sum(path.lstat().st_size for path in image.root.rglob("*") if path.is_file()) / 1e6


def missing_imports(task: Path) -> list[str]:
    """List `file: module` for each import of our own modules that neither the tree nor Python itself has."""
    return [
        f"{source.relative_to(task)}: {module}"
        for source in sorted((task / "moderator").rglob("*.py"))
        for module in sorted(imports(source.read_text(encoding="utf-8")))
        if module.split(".")[0] not in sys.stdlib_module_names | _OF_THE_RUNTIME and not _is_there(task, module)
    ]


def imports(source: str) -> set[str]:
    """Return the modules that a source imports, anywhere in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module)
    return found


def _is_there(task: Path, module: str) -> bool:
    path = task / module.replace(".", "/")
    return path.is_dir() or path.with_suffix(".py").is_file() or any(path.parent.glob(f"{path.name}.*.so"))


def _of_steps(image: Stage) -> Iterator[str]:
    if image.runs:
        yield "The last stage has a RUN: it must only copy, or an x86 machine needs an emulator."


def _of_imports(image: Stage, task: Path) -> Iterator[str]:
    with_videos = image.name == VIDEOS
    for missing in missing_imports(task):
        if with_videos or missing.partition(": ")[2].split(".")[0] != _VIDEOS_ONLY:
            yield f"{missing} is imported but not in the image."
    if not with_videos and (task / _VIDEOS_ONLY).exists():
        yield f"{_VIDEOS_ONLY} is in the image: it is for {VIDEOS} only."


def _of_content(image: Stage, task: Path) -> Iterator[str]:
    for name in BUILD_TIME_ONLY:
        if (task / name).exists():
            yield f"{name} is in the image: it is needed at build time only."
    for name in MODEL_FILES:
        if not (task / "model" / name).is_file():
            yield f"model/{name} is missing."
    for folder, what in {"label_sets": "label set", "policies": "policy"}.items():
        if not list((task / folder).glob("*.json")):
            yield f"There is no {what}."
    for variable, value in image.environment.items():
        if value.startswith("/") and not (image.root / value.lstrip("/")).exists():
            yield f"{variable} is {value}, which is not in the image."
    module, _, function = image.command[0].rpartition(".") if image.command else ("", "", "")
    handler = task / f"{module.replace('.', '/')}.py"
    if not handler.is_file() or function not in handler.read_text(encoding="utf-8"):
        yield f"CMD is {image.command}: it must name the handler."
    if megabytes(image) >= MAX_MEGABYTES:
        yield f"The image has {megabytes(image):.0f} MB: it must have less than {MAX_MEGABYTES}."


def _of_rights(task: Path) -> Iterator[str]:
    for path in task.rglob("*"):
        needed = 0o005 if path.is_dir() else 0o004
        if path.lstat().st_mode & needed != needed:
            yield f"{path.relative_to(task)} cannot be read by every user, and Lambda's owns nothing here."


def _of_processor(task: Path) -> Iterator[str]:
    libraries = [path for path in task.rglob("*.so*") if path.read_bytes()[:4] == b"\x7fELF"]
    if not libraries:
        yield "There is no compiled library at all: onnxruntime is missing."
    for path in libraries:
        if int.from_bytes(path.read_bytes()[18:20], "little") != _AARCH64:
            yield f"{path.relative_to(task)} is for another processor than Graviton."
