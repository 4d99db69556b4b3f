"""Counts for Graviton2 under emulation: `make bench-arm` writes docs/benchmark-arm.md and the target's table of costs.

Executed instructions are counted exactly; milliseconds are estimated from them, and no Graviton was there.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from bench import cost, forms, models
from bench.arm import estimate, report
from bench.arm.embeddings import compared_embeddings
from bench.arm.machine import FOLDER, LLVM, Machine
from bench.arm.service import compared_answers
from bench.ours import LABELS
from bench.steady import start_event
from model_build.costs import Shape, write_costs
from moderator.clip.model import read_model
from moderator.clip.towers import TextTower

TARGET, _OTHER = "graviton2", "x86-vnni"
REPORT = Path("docs/benchmark-arm.md")
_MANY_LABELS = 40


def main() -> None:
    """Count everything, and write both."""
    machine = Machine()
    print("Counting each form of a product, and both of a norm ...", flush=True)
    written = _write_costs(machine)
    print(f"Written: {written}\nCounting both towers ...", flush=True)
    towers = count_graphs(machine, _towers())
    print("Counting a whole warm request ...", flush=True)
    request = _count_request(machine)
    print("Embedding there and here ...", flush=True)
    embeddings = compared_embeddings(machine, models.exported("auto", target=TARGET))
    print("Asking the demo model's service there and here ...", flush=True)
    result = {
        "towers": towers,
        "request": request,
        "usd": cost.of(request["ms"] / 1000, cost.ONE_VCPU_GB, "estimated").total,
        "arithmetic": cost.of(request["ms"] / 1000, cost.ONE_VCPU_GB, "estimated").arithmetic,
        "answers": compared_answers(machine),
        "embeddings": embeddings,
        "costs": json.loads(written.read_text()),
    }
    (FOLDER / "bench-arm.json").write_text(json.dumps(result, indent=2) + "\n")
    REPORT.write_text(report.markdown(result))
    print("\n" + report.markdown(result))


def _write_costs(machine: Machine) -> Path:
    cases = [forms.product(*shape, form) for shape in forms.PRODUCTS for form in forms.FORMS]
    cases += [forms.norm(form) for form in forms.NORMS]
    rng = np.random.default_rng(1)
    graphs = {}
    for case in cases:
        path = FOLDER / "cases" / f"{case.name.replace(' ', '-')}.onnx"
        path.parent.mkdir(parents=True, exist_ok=True)
        onnx.save(case.graph, path)
        graphs[case.name] = (path, {"x": rng.standard_normal((forms.ROWS, case.inner)).astype(np.float32)})
    figures = count_graphs(machine, graphs)
    return write_costs(
        TARGET,
        how="make bench-arm: counted under emulation, cycles by llvm-mca's model of Neoverse N1",
        unit="million cycles",
        rows=forms.ROWS,
        products=[
            Shape(
                inner=inner,
                columns=columns,
                cost={form: figures[f"{inner}x{columns} {form}"]["million_cycles"] for form in forms.FORMS},
            )
            for inner, columns in forms.PRODUCTS
        ],
        norms={form: figures[f"norm {form}"]["million_cycles"] for form in forms.NORMS},
    )


def _towers() -> dict[str, tuple[Path, dict[str, Any]]]:
    """Return both towers as they are exported for this target, beside those for another, whose norms are fused."""
    folders = {
        f"fp32, for {_OTHER}": models.exported("fp32", target=_OTHER),
        f"auto, for {_OTHER}": models.exported("auto", target=_OTHER),
        f"auto, for {TARGET}": models.exported("auto", target=TARGET),
    }
    tower = TextTower(read_model(models.exported("auto", target=TARGET)), threads=1)
    few, many = ({"tokens": tower.batches(labels)[0].tokens} for labels in (LABELS, _labels(_MANY_LABELS)))
    feeds: dict[str, tuple[str, dict[str, Any]]] = {
        "image": ("image", {"pixels": np.random.default_rng(0).integers(0, 256, (1, 224, 224, 3), dtype=np.uint8)}),
        f"text, {len(LABELS)} labels": ("text", few),
        f"text, {_MANY_LABELS} labels": ("text", many),
    }
    return {
        f"{of}, {written}": (folder / f"{file}.onnx", feed)
        for written, folder in folders.items()
        for of, (file, feed) in feeds.items()
    }


def _labels(count: int) -> list[str]:
    return [f"{LABELS[number % len(LABELS)]} number {number}" for number in range(count)]


def count_graphs(machine: Machine, graphs: dict[str, tuple[Path, dict[str, Any]]]) -> dict[str, dict[str, float]]:
    """Count one warm run of each graph."""
    asked = []
    for place, (path, feed) in enumerate(graphs.values()):
        file = FOLDER / "feeds" / f"{place}.npz"
        file.parent.mkdir(parents=True, exist_ok=True)
        np.savez(file, **feed)
        asked.append({"model": str(path), "feed": str(file)})
    asked_file, counts = FOLDER / "asked.json", FOLDER / "counts.txt"
    asked_file.write_text(json.dumps(asked))
    machine.run(["bench/arm/guest.py", "graphs", str(asked_file)], counts=counts)
    # Between two graphs the next one is loaded: every second count.
    return {name: _figures(count) for name, count in zip(graphs, estimate.read_counts(counts)[::2], strict=True)}


def _count_request(machine: Machine) -> dict[str, float]:
    event, counts = FOLDER / "event.json", FOLDER / "counts.txt"
    event.write_text(json.dumps(start_event()))
    environment = {"MODEL_DIR": str(models.exported("auto", target=TARGET).resolve()), "THREADS": "1"}
    printed = machine.run(["bench/arm/guest.py", "request", str(event)], counts=counts, environment=environment)
    (answer,) = (json.loads(line[6:]) for line in printed.splitlines() if line.startswith("ANSWER"))
    if answer["statusCode"] != 200:
        raise RuntimeError(answer["body"])
    return _figures(estimate.read_counts(counts)[0])


def _figures(count: estimate.Count) -> dict[str, float]:
    cycles = estimate.cycles(count, LLVM)
    return {
        "million_instructions": count.instructions / 1e6,
        "million_cycles": cycles / 1e6,
        "ms": estimate.milliseconds(cycles),
    }


if __name__ == "__main__":
    main()
