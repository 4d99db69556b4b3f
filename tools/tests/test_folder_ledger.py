"""A run goes on where another one stopped, and never on another folder's, another policy's or another model's lines."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from moderator.settings import Settings
from tools.core import Core, build_core
from tools.folder.place import PlaceError, default_place
from tools.tests.desk import command, draw_folder, draw_into, heeds_ctrl_c, ledger, lines, moderate, policies

pytestmark = pytest.mark.slow


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return draw_folder(tmp_path / "pictures")


def test_a_second_run_judges_only_what_is_new_or_changed(core: Core, folder: Path) -> None:
    assert moderate(core, folder).counts.new == 24
    first = ledger(folder).read_bytes()
    again = moderate(core, folder)
    assert (again.counts.new, again.counts.total) == (0, 24)
    assert ledger(folder).read_bytes() == first

    draw_into(folder / "new", [("red", "circle")], seed=3)
    (folder / "a" / "0000-red-circle.png").write_bytes((folder / "a" / "0001-blue-square.png").read_bytes())
    (folder / "a" / "0002-green-star.png").unlink()
    third = moderate(core, folder)
    assert (third.counts.new, third.counts.total) == (2, 24)
    by_path = {line["source"]["path"]: line["verdict"] for line in lines(ledger(folder))}
    assert by_path["a/0000-red-circle.png"] == "review"
    assert "a/0002-green-star.png" not in by_path


def test_a_run_that_was_cut_off_is_taken_up(core: Core, folder: Path) -> None:
    moderate(core, folder)
    whole = ledger(folder).read_bytes()
    ledger(folder).write_bytes(whole[: len(whole) // 2])  # in the middle of a line
    assert 0 < moderate(core, folder).counts.new < 24
    assert ledger(folder).read_bytes() == whole


def test_another_policy_version_starts_anew(core: Core, folder: Path, tmp_path: Path) -> None:
    content = json.loads((Settings().policies_dir / "demo.json").read_text())
    moderate(core, folder)
    content["categories"]["red circles"]["block"] = 0.6
    changed = build_core(Settings(policies_dir=policies(tmp_path / "policies", demo=content)))
    assert moderate(changed, folder).counts.new == 24


def test_another_model_starts_anew(core: Core, folder: Path) -> None:
    moderate(core, folder)
    text = ledger(folder).read_text()
    ledger(folder).write_text(text.replace(core.model.fingerprint, "0123456789abcdef"))
    assert moderate(core, folder).counts.new == 24


def test_other_code_starts_anew(core: Core, folder: Path) -> None:
    """A later version may see more of an animation than an earlier one, and no longer allow what that one did."""
    moderate(core, folder)
    whole = ledger(folder).read_bytes()
    # As an earlier version wrote it, which allowed everything and did not say which version it was.
    old = [{key: value for key, value in line.items() if key != "judged_by"} for line in lines(ledger(folder))]
    ledger(folder).write_text("".join(json.dumps(line | {"verdict": "allow", "reasons": []}) + "\n" for line in old))
    assert moderate(core, folder).counts.new == 24
    assert ledger(folder).read_bytes() == whole
    # And as another version that did.
    (judged_by,) = {line["judged_by"] for line in lines(ledger(folder))}
    ledger(folder).write_text(whole.decode().replace(judged_by, "01234567"))
    assert moderate(core, folder).counts.new == 24
    assert ledger(folder).read_bytes() == whole
    assert moderate(core, folder).counts.new == 0


def test_what_could_not_be_read_is_tried_again(core: Core, folder: Path) -> None:
    """As under a limit that was raised since; what was judged then is not judged again."""
    (folder / "broken.jpg").write_bytes(b"no picture at all")
    strict = build_core(Settings(max_pixels=100))
    refused = moderate(strict, folder)
    assert (refused.counts.new, len(refused.counts.unreadable)) == (0, 25)
    raised = moderate(core, folder)
    assert (raised.counts.new, len(raised.counts.unreadable)) == (24, 1)
    first = ledger(folder).read_bytes()
    assert moderate(core, folder).counts.new == 0
    assert ledger(folder).read_bytes() == first


def test_a_limit_that_was_lowered_since_holds_for_what_was_judged_before(core: Core, folder: Path) -> None:
    """The same command says the same, whatever an earlier run left."""
    moderate(core, folder)
    strict = build_core(Settings(max_pixels=100))
    assert moderate(strict, folder).counts.verdicts == {"review": 24}
    assert all("error" in line for line in lines(ledger(folder)))


def test_a_run_that_is_stopped_keeps_what_it_judged(folder: Path, tmp_path: Path) -> None:
    (one, *_) = (folder / "a").iterdir()
    for number in range(800):
        shutil.copy(one, folder / f"{number:04}.png")
    arguments = ["-m", "tools.folder", str(folder), "--policy", "demo", "--out", str(tmp_path / "out")]
    with subprocess.Popen(
        [sys.executable, *arguments], stderr=subprocess.PIPE, text=True, preexec_fn=heeds_ctrl_c
    ) as run:
        while run.poll() is None and not (ledger(folder).exists() and ledger(folder).stat().st_size):
            time.sleep(0.002)
        run.send_signal(signal.SIGINT)
        _, told = run.communicate()
    assert run.returncode == 130
    assert told.strip() == f"Stopped. The same command goes on from here: {ledger(folder)} is kept."
    kept = len(ledger(folder).read_text().splitlines())
    assert 0 < kept < 824
    again = command("tools.folder", folder, "--policy", "demo", "--out", tmp_path / "out", cwd=tmp_path)
    assert again.stdout.startswith(f"824 pictures, {824 - kept:,} of them judged now.\n")


def test_two_folders_of_one_name_have_two_places(tmp_path: Path) -> None:
    for year, kind in (("2023", ("red", "circle")), ("2024", ("blue", "square"))):
        draw_into(tmp_path / year / "pictures", [kind], seed=1)
        assert command("tools.folder", f"{year}/pictures", "--policy", "demo", cwd=tmp_path).returncode == 0
    places = [default_place(tmp_path / year / "pictures") for year in ("2023", "2024")]
    assert places[0].name.startswith("pictures-")
    found = [lines(tmp_path / place / "verdicts.jsonl")[0]["verdict"] for place in places]
    assert found == ["block", "review"]


def test_a_place_that_is_another_folders_is_refused(core: Core, folder: Path) -> None:
    moderate(core, folder)
    before = ledger(folder).read_bytes()
    other = draw_folder(folder.parent / "others")
    with pytest.raises(PlaceError, match=r"holds the verdicts of .*/pictures, which judging .*/others would drop"):
        moderate(core, other)
    assert ledger(folder).read_bytes() == before


def test_a_folder_that_was_moved_keeps_its_verdicts(core: Core, folder: Path) -> None:
    moderate(core, folder)
    moved = folder.rename(folder.parent / "moved")
    assert moderate(core, moved).counts.new == 0
    assert moderate(core, moved).counts.new == 0


def test_a_folder_that_is_not_there_for_the_moment_keeps_its_verdicts(core: Core, folder: Path) -> None:
    """A disk that is not mounted is no reason to give its place to another folder."""
    moderate(core, folder)
    before = ledger(folder).read_text()
    other = folder.parent / "other"
    draw_into(other / "new", [("red", "circle")], seed=3)
    folder.rename(folder.parent / "away")
    with pytest.raises(PlaceError, match="holds the verdicts of"):
        moderate(core, other)
    assert ledger(folder).read_text() == before


def test_another_folder_whose_files_have_the_same_names_does_not_get_its_place(core: Core, folder: Path) -> None:
    """Cameras name pictures alike; only its bytes say that a picture was moved."""
    moderate(core, folder)
    before = ledger(folder).read_text()
    other = folder.parent / "other"
    for line in lines(ledger(folder)):
        path = other / line["source"]["path"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"another picture")
    folder.rename(folder.parent / "away")
    with pytest.raises(PlaceError, match="holds the verdicts of"):
        moderate(core, other)
    assert ledger(folder).read_text() == before


def test_a_page_of_something_else_is_not_written_over(core: Core, folder: Path) -> None:
    ledger(folder).parent.mkdir()
    page = ledger(folder).with_name("index.html")
    page.write_text("MY SITE")
    with pytest.raises(PlaceError, match=r"index\.html was not written by this command"):
        moderate(core, folder)
    assert page.read_text() == "MY SITE"


def test_lines_of_something_else_are_not_written_over(core: Core, folder: Path) -> None:
    """A job on S3 names its lines alike."""
    ledger(folder).parent.mkdir()
    ledger(folder).write_text('{"source": {"bucket": "pictures", "key": "a.jpg"}}\n')
    with pytest.raises(PlaceError, match="was not written by this command"):
        moderate(core, folder)
    assert "bucket" in ledger(folder).read_text()


def test_a_note_of_something_else_is_not_written_over(core: Core, folder: Path) -> None:
    ledger(folder).parent.mkdir()
    note = ledger(folder).with_name("folder.json")
    note.write_text('{"colour": "blue"}')
    with pytest.raises(PlaceError, match=r"folder\.json was not written by this command"):
        moderate(core, folder)
    assert note.read_text() == '{"colour": "blue"}'
    note.write_text("")  # as an older version that was cut off left it
    assert moderate(core, folder).counts.new == 24
