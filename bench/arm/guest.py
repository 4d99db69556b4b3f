"""What runs on the emulated machine: each graph once warm between two marks, or a whole request.

`python guest.py graphs FILE`: a JSON list of graphs with their inputs' files. `python guest.py request FILE`: an event.
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
    kind, path = sys.argv[1:]
    asked = json.loads(Path(path).read_text())
    if kind == "graphs":
        _graphs(asked)
    else:
        _request(asked)


def _graphs(graphs: list[dict[str, str]]) -> None:
    from moderator.clip.session import cpu_session

    for graph in graphs:
        session = cpu_session(Path(graph["model"]), threads=1)
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


if __name__ == "__main__":
    main()
