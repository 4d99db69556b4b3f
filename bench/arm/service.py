"""The demo model's service, end to end on the emulated machine and on this one, and their answers compared."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench import pictures
from bench.arm.machine import Machine

_EXAMPLE = Path("lambda_src/demo_model/example.png")
_LABELS = ("a red circle", "a red square", "an orange circle", "a blue star")
_START_SECONDS = 300


def compared_answers(machine: Machine) -> dict[str, Any]:
    """Return how many requests were answered in both, and the largest difference of a number in their answers."""
    bodies = [_EXAMPLE.read_bytes(), *pictures.thumbnails(3), pictures.square()]
    with _running(machine, None) as there, _running(None, sys.executable) as here:
        pairs = [(_ask(there, path, body), _ask(here, path, body)) for body in bodies for path in _paths()]
    compared = [differences(one, other) for one, other in pairs]
    return {
        "requests": len(pairs),
        "alike": sum(alike for alike, _ in compared),
        "largest_difference": max(difference for _, difference in compared),
    }


def differences(one: Any, other: Any) -> tuple[bool, float]:
    """Return whether two answers are the same but for their numbers, and by how much a number differs at most."""
    numbers = zip(_numbers(one), _numbers(other), strict=True)
    return _words(one) == _words(other), max((abs(a - b) for a, b in numbers), default=0.0)


def _paths() -> list[str]:
    labels = "&".join(f"label={label.replace(' ', '+')}" for label in _LABELS)
    return [f"/classify?{labels}", "/moderate?policy=demo"]


@contextmanager
def _running(machine: Machine | None, python: str | None) -> Iterator[str]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    arguments = ["-m", "moderator.web.server", "--port", str(port)]
    if machine is not None:
        process = machine.start(arguments)
    else:
        process = subprocess.Popen([str(python), *arguments], stdout=subprocess.PIPE, text=True)
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(_START_SECONDS):
            try:
                urllib.request.urlopen(f"{url}/health", timeout=60).close()  # noqa: S310  # our own address
                break
            except OSError:
                if process.poll() is not None:
                    raise
                time.sleep(1)
        yield url
    finally:
        process.kill()
        process.communicate()


def _ask(url: str, path: str, body: bytes) -> Any:
    request = urllib.request.Request(url + path, data=body, headers={"Content-Type": "application/octet-stream"})  # noqa: S310
    with urllib.request.urlopen(request, timeout=120) as answer:  # noqa: S310
        return json.load(answer)


def _numbers(value: Any) -> Iterator[float]:
    if isinstance(value, dict):
        for one in value.values():
            yield from _numbers(one)
    elif isinstance(value, list):
        for one in value:
            yield from _numbers(one)
    elif isinstance(value, float):
        yield value


def _words(value: Any) -> Any:
    """Return the answer without its numbers: names, verdicts, actions."""
    if isinstance(value, dict):
        return {name: _words(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_words(one) for one in value]
    return None if isinstance(value, float) else value
