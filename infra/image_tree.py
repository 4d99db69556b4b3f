"""Makes the image's files without a container engine, and looks at what the Lambda would find in them.

Run as `python -m infra.image_tree`. It follows the Dockerfile itself (`dockerfile.py`), with wheels for the Lambda's
processor; with `--native` it takes wheels for this machine instead, imports the handler from them and nothing else, and
asks it for its health as a deployment does.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from infra.config import CONTEXT
from infra.dockerfile import Builder, Stage
from infra.release import HEALTH_EVENT
from infra.tree_checks import MAX_MEGABYTES, faults, megabytes


def build_tree(out: Path, *, model: str = "demo", python: Path, native: bool = False, context: Path = CONTEXT) -> Stage:
    """Follow the Dockerfile of `context` into `out` and answer its last stage."""
    platforms = re.compile(r"--(platform|implementation|python-version) \S+ ")
    builder = Builder(
        context=context,
        out=out,
        python=python,
        arguments={"MODEL": model, "PRETRAINED": "none"},
        rewrite=(lambda command: platforms.sub("", command)) if native else (lambda command: command),
    )
    return builder.follow(context / "Dockerfile")[-1]


def find_python() -> Path:
    """Find the base image's Python, or else take this one: only the bytecode in the tree then differs."""
    found = shutil.which("python3.13")
    if found:
        # A version manager's placeholder is found, too, when its version is not active.
        works = subprocess.run([found, "-m", "pip", "--version"], capture_output=True, check=False)  # noqa: S603
        if works.returncode == 0:
            return Path(found)
    return Path(sys.executable)


def ask_for_health(image: Stage, python: Path) -> dict[str, object]:
    """Start the handler of a native tree as Lambda would and answer what it says to the deployment's health check.

    Raises:
        subprocess.CalledProcessError: the handler cannot be imported, or raises.
    """
    task = image.root / "var" / "task"
    module, function = image.command[0].rsplit(".", 1)
    program = (
        f"import json, sys, types; from {module} import {function} as handler; "
        "context = types.SimpleNamespace(function_name='f', memory_limit_in_mb=1769, invoked_function_arn='arn', "
        "aws_request_id='id', get_remaining_time_in_millis=lambda: 29000); "
        "sys.stderr.write(json.dumps(handler(json.load(sys.stdin), context)))"
    )
    environment = {name: value.replace("/var/task", str(task)) for name, value in image.environment.items()}
    answer = subprocess.run(  # noqa: S603  # our own handler
        # -S: nothing that is installed on this machine may stand in for what the tree lacks.
        [str(python), "-S", "-c", program],
        cwd=task,
        env={**environment, "PYTHONPATH": str(task), "PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"},
        input=json.dumps(HEALTH_EVENT),
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, object] = json.loads(answer.stderr.splitlines()[-1])
    return found


def main() -> int:
    """Make the tree, print what is in it and what is wrong with it; 1 when something is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="keep the tree in this new folder")
    parser.add_argument("--model", default="demo", help="the model to put in; others than demo get random weights")
    parser.add_argument("--python", type=Path, default=None, help="the Python to build with, best 3.13")
    parser.add_argument("--native", action="store_true", help="take this machine's wheels and start the handler")
    options = parser.parse_args()
    python = options.python or find_python()
    with tempfile.TemporaryDirectory() as temporary:
        out = (options.out or Path(temporary) / "tree").resolve()
        image = build_tree(out, model=options.model, python=python, native=options.native)
        print(f"image: {megabytes(image):.0f} MB unpacked, of {MAX_MEGABYTES} MB, without the base image {image.base}")
        found = faults(image, native=options.native)
        for fault in found:
            print(f"fault: {fault}")
        if options.native:
            print(f"health: {ask_for_health(image, python)}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
