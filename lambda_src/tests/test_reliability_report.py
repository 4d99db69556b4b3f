"""The page on reliability reports what was counted, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from support.tally import Tally
from tools.reliability import document
from tools.soak import soak

pytestmark = pytest.mark.slow


def test_each_count_is_a_row_under_its_part(tmp_path: Path) -> None:
    tally = Tally()
    tally.add("Pictures", "A bomb", "refused with 413", 7)
    tally.add("Pictures", "A bomb", "refused with 422")
    tally.add("Store", "The store is not there", "answered right", 1200)
    tally.write(tmp_path / "counts.json")
    page = document(json.loads((tmp_path / "counts.json").read_text()), None)
    assert "| A bomb | 8 | refused with 413: 7, refused with 422: 1 |" in page
    assert "| The store is not there | 1,200 | answered right |" in page
    assert page.index("## Store") < page.index("## Pictures")
    assert "## Leaks" not in page
    assert "Under load" not in page


def test_a_part_that_is_not_introduced_is_an_error() -> None:
    with pytest.raises(ValueError, match="Nonsense"):
        document([{"part": "Nonsense", "tried": "a", "happened": {"b": 1}}], None)


def test_a_short_soak_finds_every_answer_right_and_is_reported() -> None:
    report = soak(7)
    assert report["wrong"] == 0, report["first_wrong"]
    assert report["outages"] >= 1
    # Nothing is precomputed there, so that the other three are asked.
    assert report["labels"].pop("precomputed") == 0
    assert min(report["labels"].values()) > 0, "the store or the tower was never asked"
    assert f"| {report['requests']:,} |" in document([], report)
