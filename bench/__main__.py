"""Measures everything: docs/benchmark.md for people, printed too, and build/bench.json for programs.

`python -m bench PART THREADS` is one part, in a process of its own: `steady`, `peers`, `fixed_scales` or `outliers`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from bench import cost, models

RESULT = Path("build/bench.json")
REPORT = Path("docs/benchmark.md")


def main() -> None:
    """Run the benchmark."""
    if len(sys.argv) == 3:
        print("RESULT" + json.dumps(_part(sys.argv[1], int(sys.argv[2]))))
        return
    from bench import clients, folder, plot, report, steady
    from bench.machine import machine

    models.exported("fp32")
    for planting in ("", *models.PLANTED):
        models.exported("auto", planting)
    models.plain_image_tower()
    models.checkpoint()
    result: dict[str, Any] = {"machine": machine()}
    for threads in (1, 2):
        result[f"threads_{threads}"] = _in_a_process("steady", threads)
    result["peers"] = _in_a_process("peers", 2)
    result["fixed_scales"] = _in_a_process("fixed_scales", 2)
    result["outliers"] = _in_a_process("outliers", 2)
    _tell("Measuring cold starts")
    result |= _starts()
    costs = {
        "predecessor": cost.predecessor(),
        "ours": cost.ours(result["threads_1"]["warm_ms"], result["threads_2"]["predecessor_ms"]),
    }
    result["cost_per_1000_usd"] = {
        name: {"compute": one.compute, "total": one.total, "arithmetic": one.arithmetic} for name, one in costs.items()
    }
    _tell("Measuring a folder, other services' forms, and what company shows")
    result["image_tower_operators_ms"] = steady.products_of_the_image_tower()
    result["company_shows"] = steady.company_shows()
    result["folder"] = folder.measure(models.precomputed(models.exported("auto")))
    result["clients"] = clients.measure()
    RESULT.write_text(json.dumps(result, indent=2) + "\n")
    REPORT.write_text(report.markdown(result))
    plot.draw(result["threads_2"], REPORT.parent, REPORT.stem)
    print("\n" + report.markdown(result))
    print(f"Written: {RESULT}, {REPORT}, {REPORT.with_suffix('.png')}, {REPORT.with_suffix('.svg')}")


def _part(name: str, threads: int) -> dict[str, Any]:
    # torch, ONNX Runtime and OpenVINO together are more than the others need.
    from importlib import import_module

    if name == "fixed_scales":
        from bench.peers import fixed_scales

        try:
            return fixed_scales(threads)
        except ImportError as error:
            return {"absent": str(error)}
    figures: dict[str, Any] = import_module(f"bench.{name}").measure(threads)
    return figures


def _in_a_process(part: str, threads: int) -> dict[str, Any]:
    _tell(f"Measuring with {threads} thread{'s' * (threads > 1)}: {part}")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "bench", part, str(threads)],
        env=os.environ | {"OMP_NUM_THREADS": str(threads), "POWERTOOLS_LOG_LEVEL": "WARNING"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("RESULT"))
    figures: dict[str, Any] = json.loads(line.removeprefix("RESULT"))
    return figures


def _starts() -> dict[str, Any]:
    from bench import start
    from bench.steady import moderation_event, start_event, warm_store
    from bench.store import running_store

    event, folder = start_event(), models.exported("auto")
    with running_store() as url:
        warm_store(folder, url)
        ours = start.ours(event, folder, url)
        order = start.order(event, folder, url)
        tiers = start.precomputed_or_stored(moderation_event(), models.precomputed(folder), folder, url)
    torch = start.torch_and_open_clip(event)
    return {
        "cold_start_s": ours.seconds,
        "cold_start_torch_s": torch.seconds,
        "peak_mb": ours.peak_mb,
        "peak_torch_mb": torch.peak_mb,
        "start_order_ms": order,
        "cold_moderation": tiers,
    }


def _tell(doing: str) -> None:
    print(f"{doing} ...", flush=True)


if __name__ == "__main__":
    main()
