"""The arithmetic of what is counted for Graviton2; the counting itself needs an emulator and is not tested."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.arm import estimate, report
from bench.arm.embeddings import compared
from bench.arm.service import differences

COUNTS = """mark 1000
a 10 2 1122334455667788
mark 50
b 10 2 0000000100000002
c 30 1 00000003
mark 7
"""


def test_what_came_before_the_first_mark_does_not_count(tmp_path: Path) -> None:
    path = tmp_path / "counts.txt"
    path.write_text(COUNTS)
    first, second = estimate.read_counts(path)
    assert (first.instructions, second.instructions) == (50, 7)
    assert [block.words for block in first.blocks] == [(1, 2), (3,)]
    assert [block.instructions for block in first.blocks] == [20, 30]
    assert second.blocks == []


def test_milliseconds_are_cycles_at_the_processors_clock() -> None:
    assert estimate.milliseconds(2.5e9) == pytest.approx(1000)


EMBEDDED = {
    f"{tower}, {way}": np.eye(3, dtype=np.float32)
    for tower in ("image", "text")
    for way in ("alone", "together", "together, 2 threads")
}


def test_a_single_bit_that_company_changes_is_found_and_another_kind_of_cpu_is_measured() -> None:
    changed = {name: value.copy() for name, value in EMBEDDED.items()}
    changed["image, together, 2 threads"][1, 1] = np.nextafter(np.float32(1), np.float32(0))
    here = EMBEDDED | {"text, alone": np.diag(np.array([1, 1, 0.5], np.float32))}
    found = compared(changed, here)
    assert (found["image"]["company_shows"], found["text"]["company_shows"]) == (True, False)
    assert (found["image"]["same_bits_as_here"], found["text"]["same_bits_as_here"]) == (3, 2)
    assert found["image"]["largest_difference"] == 0
    assert found["text"]["largest_difference"] == 0.5
    assert found["text"]["worst_cosine"] == 0.5


def test_two_answers_are_alike_where_their_words_are_and_their_numbers_differ_by_little() -> None:
    one = {"result": {"a cat": 0.25, "a dog": 0.75}, "verdict": "allow"}
    near = {"result": {"a cat": 0.25001, "a dog": 0.74999}, "verdict": "allow"}
    other = {"result": {"a cat": 0.25, "a dog": 0.75}, "verdict": "block"}
    alike, difference = differences(one, near)
    assert alike
    assert difference == pytest.approx(1e-5)
    assert differences(one, other) == (False, 0)


@pytest.mark.parametrize(("instructions", "verdict"), [(419.0, "stretch"), (449.0, "bar"), (481.0, "**falls short**")])
def test_the_page_says_what_falls_short_and_that_no_graviton_was_there(instructions: float, verdict: str) -> None:
    figures = {"million_instructions": instructions, "ms": 79.0}
    result: dict[str, Any] = {
        "towers": {"image, auto, for graviton2": figures},
        "request": figures,
        "arithmetic": "1 + 1 = 2",
        "embeddings": compared(EMBEDDED, EMBEDDED),
        "answers": {"requests": 10, "alike": 10, "largest_difference": 1e-6},
        "costs": {
            "rows_of_activations": 50,
            "products": [{"inner": 768, "columns": 768, "cost": {"row": 1.0, "fp32": 3.0}}],
            "norms": {"fused": 0.2, "plain": 0.1},
        },
    }
    page = report.markdown(result)
    assert f"stretch 420:\n{verdict}." in page
    assert "No Graviton was there" in page
    assert "bit for bit the same, in both towers" in page
    assert "1 + 1 = 2" in page
