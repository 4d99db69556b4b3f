"""What the image tower's weights cost packed at the start, never, or at the export: `python -m bench.packing`.

ONNX Runtime keeps weights in the order in which this CPU's kernels read them. It makes that copy at the start; can be
told not to, and then does it for every product anew; or can save it, for this kind of CPU and no other. Each way is
loaded as the service loads a tower, in a process of its own. CPU time is taken: other programs hardly count in it.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bench import models

_STARTS = 7
_RUNS = 20
WAYS = ("packed at the start", "not packed", "packed at the export")
_UNPACKED = {"session.disable_prepacking": "1"}
_SAVED = {
    "session.save_external_prepacked_constant_initializers": "1",
    "session.optimized_model_external_initializers_file_name": "image.data",
    "session.optimized_model_external_initializers_min_size_in_bytes": "1024",
}


def measure(tower: Path) -> dict[str, dict[str, float]]:
    """Return by way: the milliseconds of loading, of the first picture and of a later one, and megabytes."""
    with tempfile.TemporaryDirectory() as name:
        saved = Path(name, "image.onnx")
        _session(tower, _SAVED, saved)
        files = {way: (saved if way == WAYS[2] else tower) for way in WAYS}
        found: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
        for _ in range(_STARTS):
            for way, path in files.items():
                command = [sys.executable, "-W", "ignore", "-m", "bench.packing", str(path), way]
                done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
                found[way].append(json.loads(done.stdout))
        sizes = {way: path.with_suffix(".data").stat().st_size / 1e6 for way, path in files.items()}
    return {
        way: {"file_mb": sizes[way], **{name: min(one[name] for one in starts) for name in starts[0]}}
        for way, starts in found.items()
    }


def main() -> None:
    """Print the table; or, told a graph and a way, load it once and print that."""
    if len(sys.argv) == 3:
        print(json.dumps(_load_once(Path(sys.argv[1]), sys.argv[2])))
        return
    print("| weights | file, MB | copied, MB | loading, ms | first picture, ms | a later one, ms |")
    print("| --- | --: | --: | --: | --: | --: |")
    for way, one in measure(models.exported("auto") / "image.onnx").items():
        numbers = (one["file_mb"], one["private_mb"], one["load_ms"], one["first_ms"], one["later_ms"])
        print(f"| {way} | {' | '.join(f'{number:.0f}' for number in numbers)} |")


def _load_once(path: Path, way: str) -> dict[str, float]:
    from moderator.clip import byte_products

    byte_products.exact()  # what ONNX Runtime sets up once is no part of it
    pixels = {"pixels": np.zeros((1, 224, 224, 3), np.uint8)}
    before, began = _private_mb(), time.process_time()
    session = _session(path, _UNPACKED if way == WAYS[1] else {}, None)
    loaded, copied = time.process_time(), _private_mb() - before
    session.run(None, pixels)
    answered = time.process_time()
    later = []
    for _ in range(_RUNS):
        started = time.process_time()
        session.run(None, pixels)
        later.append(time.process_time() - started)
    seconds = {"load_ms": loaded - began, "first_ms": answered - loaded, "later_ms": min(later)}
    return {"private_mb": copied, **{name: 1000 * value for name, value in seconds.items()}}


def _session(path: Path, entries: Mapping[str, str], saved: Path | None) -> Any:
    """Load as `moderator.clip.session` does where products are exact, with one thread and what is tried here."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    for name, value in entries.items():
        options.add_session_config_entry(name, value)
    if saved is not None:
        options.optimized_model_filepath = str(saved)
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _private_mb() -> float:
    """Memory that is this process's own: what was copied, and not what a file is mapped into."""
    (kilobytes,) = re.findall(r"Private_Dirty:\s+(\d+)", Path("/proc/self/smaps_rollup").read_text())
    return int(kilobytes) / 1024


if __name__ == "__main__":
    main()
