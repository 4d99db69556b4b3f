"""`make moderate` as a command: what its exit status and its words say."""

from __future__ import annotations

import io
import json
import os
import shutil
from pathlib import Path

import pytest
from rich.console import Console

from moderator.settings import Settings
from tools.core import build_core
from tools.folder.__main__ import main
from tools.tests.desk import command, draw_folder, draw_into, lines, moderate, policies

pytestmark = pytest.mark.slow

RED, BLUE, GREEN = ("red", "circle"), ("blue", "square"), ("green", "star")


@pytest.mark.parametrize(
    ("kinds", "on_review", "on_block"),
    [([GREEN], 0, 0), ([GREEN, BLUE], 1, 0), ([GREEN, RED], 1, 1), ([GREEN, BLUE, RED], 1, 1)],
)
def test_the_exit_status_says_what_was_found_where_that_is_asked(
    tmp_path: Path, kinds: list[tuple[str, str]], on_review: int, on_block: int
) -> None:
    """Red circles are blocked, blue squares go to review."""
    draw_into(tmp_path / "pictures", kinds, seed=1)
    arguments = [str(tmp_path / "pictures"), "--policy", "demo", "--out", str(tmp_path / "out")]
    assert main(arguments) == 0
    assert main([*arguments, "--fail-on", "review"]) == on_review
    assert main([*arguments, "--fail-on", "block"]) == on_block


@pytest.mark.parametrize(("on_error", "on_review", "on_block"), [("allow", 0, 0), ("review", 1, 0), ("block", 1, 1)])
def test_an_unreadable_file_counts_as_the_policys_on_error_says(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    on_error: str,
    on_review: int,
    on_block: int,
) -> None:
    content = json.loads((Settings().policies_dir / "demo.json").read_text()) | {"on_error": on_error}
    monkeypatch.setenv("POLICIES_DIR", str(policies(tmp_path / "policies", demo=content)))
    draw_into(tmp_path / "harmless", [GREEN], seed=1)
    (tmp_path / "harmless" / "broken.jpg").write_bytes(b"no")
    arguments = [str(tmp_path / "harmless"), "--policy", "demo", "--out", str(tmp_path / "out")]
    assert main([*arguments, "--fail-on", "review"]) == on_review
    assert main([*arguments, "--fail-on", "block"]) == on_block
    assert main(arguments) == 0

    counts = {"block": 0, "review": 0, "allow": 1}
    counts[on_error] += 1
    said = " · ".join(
        f"{action} {count}" + (" (1 unreadable)" if action == on_error else "") for action, count in counts.items()
    )
    told = capsys.readouterr().out
    assert f"2 pictures, 0 of them judged now.\n{said}\n" in told
    assert f"  {on_error:<7} unreadable, as the policy's on_error says: 1\n" in told
    assert [line["verdict"] for line in lines(tmp_path / "out" / "verdicts.jsonl")] == ["allow", on_error]
    page = (tmp_path / "out" / "index.html").read_text()
    for action, count in counts.items():
        assert f'<td class="{action}">{action}</td><td class="number">{count}</td>' in page
    assert page.count('<a href="#unreadable">unreadable 1</a>') == 1


def test_the_progress_bar_shows_how_many_how_fast_and_what_was_found(tmp_path: Path) -> None:
    told = io.StringIO()
    terminal = Console(file=told, force_terminal=True, width=140)
    moderate(build_core(Settings()), draw_folder(tmp_path / "pictures"), console=terminal)
    for word in ("24/24", "pictures/s", "0:00:00", "block 6 · review 6 · allow 12"):
        assert word in told.getvalue()


def test_what_is_no_file_or_cannot_be_listed_is_reported_and_stops_nothing(tmp_path: Path) -> None:
    """A pipe would be waited for, and a device has no end; a folder that cannot be listed may hold anything."""
    folder = draw_folder(tmp_path / "pictures")
    os.mkfifo(folder / "pipe.jpg")
    os.mkfifo(folder / "pipe")
    (folder / "zeros.png").symlink_to("/dev/zero")
    (folder / "loop.gif").symlink_to("loop.gif")
    (folder / "a" / "back").symlink_to(folder)
    (folder / "folder.jpg").mkdir()
    _unlistable(folder / "deep")
    done = command("tools.folder", "pictures", "--policy", "demo", "--out", "out", cwd=tmp_path)
    shutil.rmtree(folder / "deep")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("28 pictures, 24 of them judged now.\n")
    assert done.stdout.count("It is not a regular file") == 2
    assert "  loop.gif: Too many levels of symbolic links\n" in done.stdout
    assert "dddd/: File name too long\n" in done.stdout
    assert "2 other files are neither pictures nor videos.\n" in done.stdout


def test_what_cannot_be_run_says_why(tmp_path: Path) -> None:
    told = command("tools.folder", tmp_path / "nowhere", "--policy", "demo", cwd=tmp_path)
    assert (told.returncode, told.stdout) == (2, "")
    assert told.stderr == f"There is no folder {tmp_path / 'nowhere'}.\n"
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "notes.txt").touch()
    told = command("tools.folder", tmp_path / "texts", "--policy", "demo", cwd=tmp_path)
    assert told.stdout.startswith("There are no pictures and no videos here, only 1 other file.\n")
    assert told.returncode == 0
    told = command("tools.folder", tmp_path / "texts", "--policy", "demo", "--fail-on", "block", cwd=tmp_path)
    assert (told.returncode, told.stderr.splitlines()[-1]) == (
        2,
        "Nothing was judged, so that nothing can be said of it.",
    )
    told = command("tools.folder", tmp_path, "--policy", "dmeo", cwd=tmp_path)
    assert (told.returncode, told.stdout) == (2, "")
    assert told.stderr.startswith("There is no policy 'dmeo': ")
    (tmp_path / "file").touch()
    told = command("tools.folder", tmp_path, "--policy", "demo", "--out", tmp_path / "file", cwd=tmp_path)
    assert (told.returncode, told.stdout) == (2, "")
    assert told.stderr == f"{tmp_path / 'file'} cannot be written: File exists. Choose another OUT.\n"


def test_a_label_that_is_too_long_is_no_pictures_fault(tmp_path: Path) -> None:
    long = {"categories": {"x": {"labels": ["word " * 100], "against": ["y"], "review": 0.5}}}
    draw_into(tmp_path / "pictures", [RED], seed=1)
    folder = policies(tmp_path / "policies", long=long)
    told = command("tools.folder", tmp_path / "pictures", "--policy", "long", cwd=tmp_path, policies_dir=folder)
    assert (told.returncode, told.stdout) == (2, "")
    (sentence,) = told.stderr.splitlines()
    assert "word word" in sentence


def _unlistable(folder: Path) -> None:
    """Make a folder so deep that its path is longer than the system takes: not even root can list it."""
    folder.mkdir()
    inner = os.open(folder, os.O_RDONLY)
    for _ in range(20):
        os.mkdir("d" * 250, dir_fd=inner)
        outer, inner = inner, os.open("d" * 250, os.O_RDONLY, dir_fd=inner)
        os.close(outer)
    os.close(inner)


def test_a_folder_whose_own_name_is_not_utf8_is_judged_to_its_end(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"pict\xffures")
    draw_into(folder, [("red", "circle")], seed=1)
    for out in ([], ["--out", tmp_path / os.fsdecode(b"out\xff")]):
        told = command("tools.folder", folder, "--policy", "demo", *out, cwd=tmp_path)
        assert (told.returncode, told.stderr.strip()) == (0, "")
        assert told.stdout.startswith("1 picture,")
    (page,) = (tmp_path / os.fsdecode(b"out\xff")).glob("index.html")
    assert "1 pictures in pict?ures" in page.read_text(encoding="utf-8")
