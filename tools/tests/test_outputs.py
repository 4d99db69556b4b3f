"""What the tools write is whole or not there, and nothing that somebody else wrote is lost for it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from moderator.settings import Settings
from tools.calibration.data import DataError
from tools.calibration.outputs import check_comparison
from tools.pages.page import write_page
from tools.tests.desk import command, draw_into, policies
from tools.tests.photographs import POLICY, calibrate

pytestmark = pytest.mark.slow


def test_a_page_that_cannot_be_written_to_its_end_leaves_the_old_one(tmp_path: Path) -> None:
    page = tmp_path / "pages" / "report.html"
    write_page(page, "base.html", title="the old one")
    old = page.read_bytes()
    with pytest.raises(UnicodeEncodeError):
        write_page(page, "base.html", title="\udc80")
    assert page.read_bytes() == old
    assert list(page.parent.iterdir()) == [page]


@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        ("report.html", "<!doctype html><title>Sales</title>"),
        ("report.json", '{"policy": "of the house"}'),
        ("report.json", "[1, 2]"),
        ("report.json", "no JSON"),
    ],
)
def test_a_report_of_something_else_is_not_written_over(tmp_path: Path, name: str, theirs: str) -> None:
    policies(tmp_path / "policies", mine=POLICY)
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / name).write_text(theirs)
    with pytest.raises(DataError, match=rf"{name} was not written by make calibrate, .*: choose another OUT"):
        calibrate(tmp_path / "policies", "mine", "mine-next")
    assert (tmp_path / "report" / name).read_text() == theirs
    assert sorted(path.name for path in tmp_path.rglob("*.*")) == ["mine.json", name]


def test_the_command_says_so_before_it_looks_at_a_picture(tmp_path: Path) -> None:
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "report.html").write_text("THEIRS")
    folder = policies(tmp_path / "policies", mine=POLICY)
    told = command(
        *("tools.calibration", "nowhere", "--policy", "mine", "--out", "report"), cwd=tmp_path, policies_dir=folder
    )
    assert (told.returncode, told.stdout) == (2, "")
    assert told.stderr.startswith("report/report.html was not written by make calibrate")


def test_a_report_of_its_own_is_written_over(tmp_path: Path) -> None:
    policies(tmp_path / "policies", mine=POLICY, other=POLICY)
    calibrate(tmp_path / "policies", "mine", "mine-next")
    first = (tmp_path / "report/report.html").read_text()
    calibrate(tmp_path / "policies", "other", "other-next")
    assert (tmp_path / "report/report.html").read_text() != first


def test_an_empty_list_is_nobodys_comparison(tmp_path: Path) -> None:
    (tmp_path / "compare.json").write_text("[]")
    with pytest.raises(DataError, match=r"compare\.json was not written by make compare"):
        check_comparison(tmp_path)


def test_a_comparison_writes_over_its_own_table_and_nobody_elses(tmp_path: Path) -> None:
    draw_into(tmp_path / "data/red circles", [("red", "circle")] * 6, seed=1)
    draw_into(tmp_path / "data/neutral", [("green", "star")] * 6, seed=2)
    asked = ("tools.calibration.compare", "data", "--policy", "demo", "--models", Settings().model_dir, "--out", "out")
    assert command(*asked, cwd=tmp_path).returncode == 0
    assert command(*asked, cwd=tmp_path).returncode == 0
    for name in ("compare.md", "compare.json"):
        ours = (tmp_path / "out" / name).read_text()
        (tmp_path / "out" / name).write_text("{}")
        told = command(*asked, cwd=tmp_path)
        assert (told.returncode, told.stdout) == (2, "")
        assert told.stderr == (
            f"out/{name} was not written by make compare, which would write over it: choose another OUT (--out).\n"
        )
        assert (tmp_path / "out" / name).read_text() == "{}"
        (tmp_path / "out" / name).write_text(ours)


def test_a_comparison_goes_into_a_folder_whose_name_is_not_utf8(tmp_path: Path) -> None:
    draw_into(tmp_path / "data/red circles", [("red", "circle")] * 6, seed=1)
    draw_into(tmp_path / "data/neutral", [("green", "star")] * 6, seed=2)
    out = os.fsdecode(b"out\xff")
    told = command(
        *("tools.calibration.compare", "data", "--policy", "demo", "--models", Settings().model_dir, "--out", out),
        cwd=tmp_path,
    )
    assert (told.returncode, told.stderr) == (0, "")
    assert told.stdout.endswith("Written: out?/compare.md, out?/compare.json\n")
