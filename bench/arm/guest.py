"""What runs on the emulated machine: each graph once warm between two marks, a whole request, or both towers.

`python guest.py graphs FILE`: a JSON list of graphs with their inputs' files. `python guest.py request FILE`: an event.
`python guest.py embeddings FILE OUT`: a model folder, pixels and labels, embedded alone and together.
"""

from __future__ import annotations

import ctypes
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

# No kernel has a system call of this number; counter.c knows it.
_MARK = 9999


def mark() -> None:
    """Begin to count, and write what was counted since the last time."""
    ctypes.CDLL(None).syscall(_MARK)


def main() -> None:
    """Do what the command line says."""
    kind, path, *out = sys.argv[1:]
    asked = json.loads(Path(path).read_text())
    if kind == "graphs":
        _graphs(asked)
    elif kind == "request":
        _request(asked)
    else:
        _embeddings(asked, *out)


def _graphs(graphs: list[dict[str, str]]) -> None:
    from moderator.clip.session import cpu_session

    for graph in graphs:
        session = cpu_session(Path(graph["model"]), threads=1, optimise=False)
        feed = dict(np.load(graph["feed"]))
        session.run(None, feed)
        mark()
        session.run(None, feed)
        mark()


def _request(event: dict[str, Any]) -> None:
    from moderator.handler import handler

    for _ in range(2):
        handler(event, None)
    mark()
    answer = handler(event, None)
    mark()
    print("ANSWER" + json.dumps(answer))


def _embeddings(asked: dict[str, Any], out: str) -> None:
    from moderator.clip.model import read_model
    from moderator.clip.towers import ImageTower, TextTower

    model = read_model(Path(asked["model"]))
    pixels, labels = [*np.load(asked["pixels"])], asked["labels"]
    found: dict[str, Any] = {}
    for threads in (1, 2):
        image, text = ImageTower(model, threads=threads), TextTower(model, threads=threads)
        if threads == 1:
            found["image, alone"] = np.concatenate([image.embed([one]) for one in pixels])
            found["text, alone"] = np.concatenate([text.embed([one]) for one in labels])
        way = "together" if threads == 1 else "together, 2 threads"
        found[f"image, {way}"], found[f"text, {way}"] = image.embed(pixels), text.embed(labels)
    np.savez(out, allow_pickle=False, **found)


if __name__ == "__main__":
    main()
