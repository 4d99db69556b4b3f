"""The image's files, made by following the Dockerfile, and the handler among them asked for its health."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from infra.config import CONTEXT
from infra.events import HEALTH_EVENT
from tools.image_tree.dockerfile import Builder, Stage


def build_tree(
    out: Path,
    *,
    model: str = "demo",
    precision: str = "auto",
    python: Path,
    native: bool = False,
    target: str | None = None,
    context: Path = CONTEXT,
) -> Stage:
    """Follow the Dockerfile of `context` into `out` and return the stage named `target`, or its last one."""
    platforms = re.compile(r"--(platform|implementation|python-version) \S+ ")
    builder = Builder(
        context=context,
        out=out,
        python=python,
        # Whichever index this machine's pip has been given, and no other.
        arguments={"MODEL": model, "PRETRAINED": "none", "PRECISION": precision, "TORCH_INDEX": "none"},
        rewrite=(lambda command: platforms.sub("", command)) if native else (lambda command: command),
    )
    stages = {stage.name: stage for stage in builder.follow(context / "Dockerfile")}
    return stages[target or list(stages)[-1]]


def find_python() -> Path:
    """Find the base image's Python, or else take this one: only the bytecode in the tree then differs."""
    found = shutil.which("python3.13")
    if found:
        # A version manager's placeholder is found, too, when its version is not active.
        works = subprocess.run([found, "-m", "pip", "--version"], capture_output=True, check=False)  # noqa: S603
        if works.returncode == 0:
            return Path(found)
    return Path(sys.executable)


def health_program(command: str) -> str:
    """Return what starts the handler that an image's CMD names, and writes its answer to stdin's event to stderr."""
    module, function = command.rsplit(".", 1)
    return (
        f"import json, sys, types; from {module} import {function} as handler; "
        "context = types.SimpleNamespace(function_name='f', memory_limit_in_mb=1769, invoked_function_arn='arn', "
        "aws_request_id='id', get_remaining_time_in_millis=lambda: 29000); "
        "sys.stderr.write(json.dumps(handler(json.load(sys.stdin), context)))"
    )


def ask_for_health(image: Stage, python: Path) -> dict[str, object]:
    """Start the handler of a native tree as Lambda would and return what it says to the deployment's health check.

    Raises:
        subprocess.CalledProcessError: the handler cannot be imported, or raises.
    """
    task = image.root / "var" / "task"
    environment = {name: value.replace("/var/task", str(task)) for name, value in image.environment.items()}
    answer = subprocess.run(  # noqa: S603  # our own handler
        # -S: nothing that is installed on this machine may stand in for what the tree lacks.
        [str(python), "-S", "-c", health_program(image.command[0])],
        cwd=task,
        env={**environment, "PYTHONPATH": str(task), "PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"},
        input=json.dumps(HEALTH_EVENT),
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, object] = json.loads(answer.stderr.splitlines()[-1])
    return found
