"""Folders of drawn pictures, policies about them, and the commands as one types them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from model_build.demo_pictures import BACKGROUNDS, draw

ROOT = Path(__file__).resolve().parents[2]


def draw_into(folder: Path, kinds: Iterable[tuple[str, str]], seed: int) -> None:
    """Draw a picture of each (colour, shape) into `folder`; no two are alike."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, (colour, shape) in enumerate(kinds):
        rng = np.random.default_rng([seed, number])
        picture = draw(colour, shape, BACKGROUNDS[int(rng.integers(3))], rng)
        picture.save(folder / f"{number:04}-{colour}-{shape.replace(' ', '-')}.png")


def policies(folder: Path, **contents: dict[str, Any]) -> Path:
    """Write policies into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    return folder


def command(module: str, *arguments: object, cwd: Path, **settings: object) -> subprocess.CompletedProcess[str]:
    """Run a tool in a process of its own, with warnings as errors."""
    paths = os.pathsep.join([str(ROOT), str(ROOT / "lambda_src")])
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", module, *map(str, arguments)],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": paths} | {name.upper(): str(value) for name, value in settings.items()},
        capture_output=True,
        text=True,
        check=False,
    )


def lines(path: Path) -> list[dict[str, Any]]:
    """Read a ledger."""
    return [json.loads(line) for line in path.read_text().splitlines()]
