"""Measures everything: docs/benchmark.md for people, printed too, and build/bench.json for programs.

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

from bench import cost, models, report

RESULT = Path("build/bench.json")
REPORT = Path("docs/benchmark.md")


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
    from bench import folder, plot, steady

    result["image_tower_operators_ms"] = steady.products_of_the_image_tower()
    result["in_company"] = steady.difference_in_company()
    result["folder"] = folder.measure(models.exported("auto"))
    RESULT.write_text(json.dumps(result, indent=2) + "\n")
    REPORT.write_text(report.markdown(result))
    plot.draw(result["threads_2"], REPORT.parent, REPORT.stem)
    print("\n" + report.markdown(result))
    print(f"Written: {RESULT}, {REPORT}, {REPORT.with_suffix('.png')}, {REPORT.with_suffix('.svg')}")


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


if __name__ == "__main__":
    main()
