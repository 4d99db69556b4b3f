"""Measures everything, prints a table for people and writes build/bench.json for programs.

`python -m bench threads N` is the part that measures with N threads, in a process of its own.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

from bench import cost, models

RESULT = Path("build/bench.json")

BARS = (
    # what, dividend, divisor, bar, stretch, whether more is better
    ("predecessor / warm", "predecessor_ms", "warm_ms", 35, 60, True),
    ("open_clip image tower / ours", "open_clip_image_ms", "image_tower_ms", 6, 9, True),
    ("image tower / floor", "image_tower_ms", "floor_ms", 2.3, 1.5, False),
    ("warm / (image tower + decode)", "warm_ms", "image_and_decode_ms", 1.10, 1.05, False),
    ("new labels / warm", "new_labels_ms", "warm_ms", 1.6, 1.3, False),
    ("1000 labels / warm", "labels_1000_ms", "warm_ms", 1.25, 1.1, False),
    ("batch of 8, a picture / warm", "batch_8_ms_per_picture", "warm_ms", 0.8, 0.65, False),
    ("12-megapixel JPEG / warm", "jpeg_12mp_ms", "warm_ms", 2.6, 2, False),
)


def main() -> None:
    """Run the benchmark."""
    if sys.argv[1:2] == ["threads"]:
        from bench import steady

        print("RESULT" + json.dumps(steady.measure(int(sys.argv[2]))))
        return
    for precision in ("fp32", "auto"):
        models.exported(precision)
    models.plain_image_tower()
    models.checkpoint()
    result: dict[str, Any] = {"machine": _machine()}
    for threads in (1, 2):
        print(f"Measuring with {threads} thread{'s' * (threads > 1)} ...", flush=True)
        result[f"threads_{threads}"] = _in_a_process(threads)
    print("Measuring cold starts ...", flush=True)
    result |= _starts()
    costs = {
        "predecessor": cost.predecessor(),
        "ours": cost.ours(result["threads_1"]["warm_ms"], result["threads_2"]["predecessor_ms"]),
    }
    result["cost_per_1000_usd"] = {
        name: {"compute": one.compute, "total": one.total, "arithmetic": one.arithmetic} for name, one in costs.items()
    }
    RESULT.write_text(json.dumps(result, indent=2) + "\n")
    _print_table(result)
    from bench import plot

    plot.draw(result["threads_2"], RESULT.parent)
    print(f"\nWritten: {RESULT}, {RESULT.with_suffix('.png')}, {RESULT.with_suffix('.svg')}")


def _in_a_process(threads: int) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "bench", "threads", str(threads)],
        env=os.environ | {"OMP_NUM_THREADS": str(threads), "POWERTOOLS_LOG_LEVEL": "WARNING"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("RESULT"))
    figures: dict[str, float] = json.loads(line.removeprefix("RESULT"))
    return figures


def _starts() -> dict[str, Any]:
    from bench import start
    from bench.steady import start_event, warm_store
    from bench.store import running_store

    event = start_event()
    with running_store() as url:
        warm_store(models.FOLDER / "auto", url)
        ours = start.ours(event, models.FOLDER / "auto", url)
        order = start.order(event, models.FOLDER / "auto", url)
    torch = start.torch_and_open_clip(event)
    return {
        "cold_start_s": ours.seconds,
        "cold_start_torch_s": torch.seconds,
        "peak_mb": ours.peak_mb,
        "peak_torch_mb": torch.peak_mb,
        "start_order_ms": order,
    }


def _machine() -> dict[str, Any]:
    model = platform.processor() or platform.machine()
    flags: list[str] = []
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        pairs = (line.partition(":") for line in cpuinfo.read_text().splitlines())
        facts = {name.strip(): value.strip() for name, _, value in pairs}
        model = facts.get("model name", model)
        known = ("avx2", "avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm")
        flags = [flag for flag in known if flag in (facts.get("flags") or facts.get("Features") or "").split()]
    return {
        "cpu": model,
        "architecture": platform.machine(),
        "cpus": os.cpu_count(),
        "instructions": flags,
        "python": platform.python_version(),
    }


def _print_table(result: dict[str, Any]) -> None:
    machine = result["machine"]
    print(f"\n{machine['cpu']}, {machine['cpus']} CPUs ({', '.join(machine['instructions'])})\n")
    one, two = result["threads_1"], result["threads_2"]
    print(f"{'milliseconds':32}{'1 thread':>12}{'2 threads':>12}")
    for key in two:
        print(f"{key:32}{one[key]:12.2f}{two[key]:12.2f}")
    print(f"\n{'ratio, 2 threads':32}{'measured':>12}{'bar':>8}{'stretch':>9}")
    for name, dividend, divisor, bar, stretch, more in BARS:
        ratio = two[dividend] / two[divisor]
        _print_ratio(name, ratio, bar, stretch, more)
    start, torch = result["cold_start_s"], result["cold_start_torch_s"]
    _print_ratio("cold start, seconds", start, 1.2, 0.7, False)
    _print_ratio("cold start, torch / ours", torch / start, 5, 8, True)
    _print_ratio("peak memory, MB", result["peak_mb"], 400, 300, False)
    print(f"{'peak memory, torch, MB':32}{result['peak_torch_mb']:12.0f}")
    print("\nwhere a cold start's milliseconds go")
    for name, milliseconds in result["start_order_ms"].items():
        print(f"  {name:60}{milliseconds:8.0f}")
    print("\nper 1000 pictures")
    for name, one_cost in result["cost_per_1000_usd"].items():
        print(f"  {name}: {one_cost['arithmetic']}")


def _print_ratio(name: str, ratio: float, bar: float, stretch: float, more: bool) -> None:
    def reached(limit: float) -> bool:
        return ratio >= limit if more else ratio <= limit

    verdict = "stretch" if reached(stretch) else "bar" if reached(bar) else "falls short"
    print(f"{name:32}{ratio:12.2f}{bar:8g}{stretch:9g}  {verdict}")


if __name__ == "__main__":
    main()
