"""Folders of drawn pictures, policies about them, and the commands as one types them."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from model_build.demo_pictures import BACKGROUNDS, draw
from tools.core import Core
from tools.folder.run import Run, moderate_folder

ROOT = Path(__file__).resolve().parents[2]


KINDS = [("red", "circle"), ("blue", "square"), ("green", "star"), ("yellow", "heart")] * 6


def draw_folder(folder: Path) -> Path:
    """Draw 24 pictures into two folders below `folder`, and put a text beside them."""
    draw_into(folder / "a", KINDS[:12], seed=1)
    draw_into(folder / "b" / "c", KINDS[12:], seed=2)
    (folder / "notes.txt").write_text("not a picture")
    return folder


def moderate(core: Core, folder: Path, policy: str = "demo", console: Console | None = None) -> Run:
    """Judge a folder into one that is called `out` and lies beside it."""
    quiet = Console(file=io.StringIO())
    return moderate_folder(core, core.policy(policy), folder, folder.parent / "out", console or quiet)


def heeds_ctrl_c() -> None:
    """Let a new process be interrupted, which a shell that runs the tests in the background keeps it from."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def ledger(folder: Path) -> Path:
    """Return where `moderate` puts its lines."""
    return folder.parent / "out" / "verdicts.jsonl"


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
        timeout=300,
    )


def lines(path: Path) -> list[dict[str, Any]]:
    """Read a ledger."""
    return [json.loads(line) for line in path.read_text().splitlines()]
