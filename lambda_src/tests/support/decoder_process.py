"""Decodes pictures in a process of its own, so that the memory that each of them takes can be measured.

Started as a program, it reads from standard input what `DecoderProcess` writes, and answers a line for each picture.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from moderator.errors import RequestError
from moderator.pictures.batch import Picture, read_batch
from moderator.pictures.frames import FrameSampling
from moderator.pictures.preprocessing import Preprocessing

_TO_224 = Preprocessing(height=224, width=224, resize_mode="shortest", interpolation="bicubic")


@dataclass(frozen=True)
class DecoderProcess:
    """A running decoder."""

    process: subprocess.Popen[bytes]

    def read(self, data: bytes, view: str) -> dict[str, Any]:
        """Decode with this view and up to eight frames: `bytes` and `seconds` taken, `frames` seen, or the `error`."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps({"length": len(data), "view": view}).encode() + b"\n" + data)
        self.process.stdin.flush()
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        return answer


@contextmanager
def decoder_process() -> Iterator[DecoderProcess]:
    """Start one."""
    path = os.pathsep.join(path for path in sys.path if path)
    with subprocess.Popen(
        [sys.executable, __file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": path},
    ) as process:
        yield DecoderProcess(process)
        process.kill()


def _memory(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))


def _serve() -> None:
    while line := sys.stdin.buffer.readline():
        asked = json.loads(line)
        pictures = [Picture(name="it", data=sys.stdin.buffer.read(asked["length"]))]
        answer: dict[str, Any] = {}
        before = _memory("VmRSS")
        # https://man7.org/linux/man-pages/man5/proc_pid_clear_refs.5.html: 5 resets the peak to what is resident now.
        Path("/proc/self/clear_refs").write_text("5")
        began = time.process_time()
        try:
            (decoded,) = read_batch(
                pictures,
                _TO_224,
                view=asked["view"],
                frames=FrameSampling(most=8, every=0.02),
                max_pixels=50_000_000,
                threads=1,
            )
        except RequestError as error:
            answer["error"] = error.detail
        else:
            answer["frames"] = [len(decoded.frames), decoded.total_frames]
            answer["warnings"] = decoded.warnings
        answer |= {"seconds": time.process_time() - began, "bytes": _memory("VmHWM") - before}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    _serve()
