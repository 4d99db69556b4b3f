"""Cold starts: from the process's start to its first answer, and the most memory it held."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from bench.models import NAME, checkpoint

_OURS = """
import json, sys
from moderator.handler import handler
assert handler(json.load(open(sys.argv[1])), None)["statusCode"] == 200
"""

_TORCH = """
import base64, io, json, sys
import torch
from model_build.libraries import open_clip
from PIL import Image
request = json.loads(json.load(open(sys.argv[1]))["body"])
model, _, preprocess = open_clip.create_model_and_transforms(sys.argv[2], pretrained=sys.argv[3])
model.eval()
image = Image.open(io.BytesIO(base64.b64decode(request["image_data"]))).convert("RGB")
with torch.no_grad():
    tokens = open_clip.get_tokenizer(sys.argv[2])(request["labels"])
    logits, _ = model.get_logits(preprocess(image).unsqueeze(0), tokens)
    logits.softmax(dim=-1)
"""

# In the order of a real start. What is imported here would otherwise be imported by the handler, at the same cost.
_ORDER = """
import json, sys, time
marks = [("process started", float(sys.argv[2])), ("Python", time.time())]
def mark(name):
    marks.append((name, time.time()))
import numpy
mark("numpy")
import PIL.Image
mark("Pillow")
import onnxruntime
mark("ONNX Runtime")
import pydantic
import aws_lambda_powertools.metrics
mark("Powertools and pydantic")
from moderator.handler import handler
mark("the service: its code, manifest, label sets, image tower; beside them redis-py and the store")
assert handler(json.load(open(sys.argv[1])), None)["statusCode"] == 200
mark("first request")
print("ORDER" + json.dumps([[name, 1000 * (at - before)] for (_, before), (name, at) in zip(marks, marks[1:])]))
"""

# When it had answered, since the process's end is no part of a start; and its peak memory. Not getrusage's: that
# begins with what the parent held when it forked.
_PEAK = """
import time
print("ANSWERED", time.time())
print("PEAK_KB", next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


def with_bytecode() -> dict[str, str]:
    """Return this environment, in which Python keeps bytecode: the image has it, so no start may compile."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


@dataclass(frozen=True, kw_only=True)
class Start:
    """A cold start's shortest time and its peak memory."""

    seconds: float
    peak_mb: float


def ours(event: dict[str, object], model_dir: Path, cache_url: str, rounds: int = 5) -> Start:
    """Start the service whose labels are all in the store, as an instance that Lambda adds does."""
    return _Starts(_OURS, event, environment=_of(model_dir, cache_url)).measured(rounds)


def precomputed_or_stored(
    event: dict[str, object], precomputed: Path, without: Path, cache_url: str, rounds: int = 7
) -> dict[str, float]:
    """Start in turns with all labels precomputed and no store, and with none precomputed and all in the store."""
    tiers = {
        "precomputed_s": _Starts(_OURS, event, environment=_of(precomputed, "")),
        "stored_s": _Starts(_OURS, event, environment=_of(without, cache_url)),
    }
    for _ in range(rounds + 1):
        for starts in tiers.values():
            starts.start()
    return {name: starts.measured(0).seconds for name, starts in tiers.items()}


def _of(model_dir: Path, cache_url: str) -> dict[str, str]:
    return {"MODEL_DIR": str(model_dir), "CACHE_URL": cache_url}


def order(event: dict[str, object], model_dir: Path, cache_url: str, rounds: int = 5) -> dict[str, float]:
    """Return the steps of a start in their order, each with its shortest time in milliseconds."""
    environment = with_bytecode() | {"MODEL_DIR": str(model_dir), "CACHE_URL": cache_url}
    times: dict[str, list[float]] = {}
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(event, file)
        file.flush()
        for number in range(rounds + 1):
            command = [sys.executable, "-W", "ignore", "-c", _ORDER, file.name, str(time.time())]
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
            if not number:
                continue
            (line,) = (line for line in done.stdout.splitlines() if line.startswith("ORDER"))
            for name, milliseconds in json.loads(line.removeprefix("ORDER")):
                times.setdefault(name, []).append(milliseconds)
    return {name: min(values) for name, values in times.items()}


def torch_and_open_clip(event: dict[str, object], rounds: int = 3) -> Start:
    """Start what loads the same weights with open_clip and answers the same request."""
    return _Starts(_TORCH, event, arguments=[NAME, str(checkpoint())]).measured(rounds)


class _Starts:
    """Starts of one program, each answering one event."""

    def __init__(
        self,
        program: str,
        event: dict[str, object],
        *,
        arguments: Sequence[str] = (),
        environment: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._program = program + _PEAK
        self._event = json.dumps(event)
        self._arguments = arguments
        self._environment = with_bytecode() | dict(environment)
        self._seconds: list[float] = []
        self._peaks: list[float] = []

    def start(self) -> None:
        """Start once.

        Raises:
            RuntimeError: the program failed; with what it wrote.
        """
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            file.write(self._event)
            file.flush()
            command = [sys.executable, "-W", "ignore", "-c", self._program, file.name, *self._arguments]
            began = time.time()
            done = subprocess.run(command, env=self._environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(done.stderr)
        self._seconds.append(float(done.stdout.split("ANSWERED")[1].split()[0]) - began)
        self._peaks.append(int(done.stdout.split("PEAK_KB")[1].split()[0]) / 1024)

    def measured(self, rounds: int) -> Start:
        """Start `rounds` times more, and once that does not count; return the shortest and the most memory of all."""
        for _ in range(rounds + 1 if rounds else 0):
            self.start()
        # The first start read the files from the disk; Lambda's image cache is neither that nor this: it is left out.
        return Start(seconds=min(self._seconds[1:]), peak_mb=max(self._peaks[1:]))
