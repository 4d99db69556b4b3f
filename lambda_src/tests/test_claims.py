"""What the pages say about speed is what the benchmark's page measured."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BENCHMARK = (ROOT / "docs/benchmark.md").read_text(encoding="utf-8")


def measured(row: str) -> tuple[float, float]:
    """A row's figures with one and with two threads."""
    (cells,) = (line.split("|") for line in BENCHMARK.splitlines() if line.startswith(f"| {row} |"))
    return float(cells[2]), float(cells[3])


def test_the_readme_says_as_many_times_as_fast_as_was_measured() -> None:
    said = re.search(r"(\d+) to (\d+) times as fast", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert said
    slowest, fastest = sorted(measured("predecessor / warm"))
    assert (int(said[1]), int(said[2])) == (int(slowest), int(fastest))  # rounded down: no more than was measured


def test_the_page_about_models_says_what_eight_bits_gain() -> None:
    said = re.search(
        r"Eight bits run \[([\d.]+) to ([\d.]+) times as fast\]", (ROOT / "docs/models.md").read_text(encoding="utf-8")
    )
    assert said
    exact, ours = measured("ONNX Runtime, plain fp32 export, image tower only"), measured("ours: image tower only")
    slowest, fastest = sorted(one / other for one, other in zip(exact, ours, strict=True))
    assert (said[1], said[2]) == (f"{slowest:.1f}", f"{fastest:.1f}")
