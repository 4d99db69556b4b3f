"""A folder of pictures gets the service's own verdicts, once each, whatever else lies in it."""

from __future__ import annotations

import io
import json
import re
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from moderator.handler import build_handler
from moderator.settings import Settings
from support.films import Studio
from support.harness import serving
from support.pictures import as_base64
from tools.core import Core, build_core
from tools.folder.__main__ import main
from tools.folder.run import Run, moderate_folder
from tools.tests.desk import command, draw_into, lines, policies

pytestmark = pytest.mark.slow

KINDS = [("red", "circle"), ("blue", "square"), ("green", "star"), ("yellow", "heart")] * 6


@pytest.fixture(scope="module")
def core() -> Core:
    return build_core(Settings())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """24 pictures in two folders, and what else lies about."""
    folder = tmp_path / "pictures"
    draw_into(folder / "a", KINDS[:12], seed=1)
    draw_into(folder / "b" / "c", KINDS[12:], seed=2)
    (folder / "notes.txt").write_text("not a picture")
    return folder


def moderate(core: Core, folder: Path, policy: str = "demo") -> Run:
    return moderate_folder(core, core.policy(policy), folder, folder.parent / "out", Console(file=io.StringIO()))


def ledger(folder: Path) -> Path:
    return folder.parent / "out" / "verdicts.jsonl"


def test_each_line_is_what_the_service_answers(core: Core, folder: Path) -> None:
    run = moderate(core, folder)
    found = lines(ledger(folder))
    assert [line["source"]["path"] for line in found] == sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*.png")
    )
    assert dict(run.counts.verdicts) == {"block": 6, "review": 6, "allow": 12}
    assert run.others == 1
    with serving(build_handler(Settings())) as service:
        for line in found:
            data = (folder / line["source"]["path"]).read_bytes()
            body = json.dumps({"image_data": as_base64(data), "policy": "demo"})
            reply = service.request("POST", "/moderate", body, {"Content-Type": "application/json"})
            answer: dict[str, Any] = reply.json
            answer.pop("warnings")  # the demo model's, which is no verdict
            assert {key: value for key, value in line.items() if key != "source"} == answer


def test_files_that_cannot_be_read_are_listed_and_stop_nothing(core: Core, folder: Path) -> None:
    whole = (folder / "a" / "0000-red-circle.png").read_bytes()
    (folder / "a" / "broken.jpg").write_bytes(b"no picture at all")
    (folder / "a" / "cut.png").write_bytes(whole[:200])
    (folder / "a" / "empty.gif").touch()
    (folder / "gone.webp").symlink_to(folder / "nothing")
    (folder / "huge.png").write_bytes(whole + bytes(10_000_001))
    run = moderate(core, folder)
    assert sorted(path for path, _ in run.counts.unreadable) == [
        *("a/broken.jpg", "a/cut.png", "a/empty.gif"),
        *("gone.webp", "huge.png"),
    ]
    assert run.counts.verdicts.total() == 24
    by_path = {line["source"]["path"]: line for line in lines(ledger(folder))}
    assert by_path["a/cut.png"]["error"]["title"] == "The picture is damaged"
    assert "10,000,000" in by_path["huge.png"]["error"]["detail"]
    for path, _ in run.counts.unreadable:
        assert by_path[path]["verdict"] == "review"  # the policy's on_error, never simply allowed
        assert by_path[path]["reasons"] == [{"category": "error", "action": "review"}]


def test_pictures_without_a_suffix_are_found(core: Core, folder: Path) -> None:
    (folder / "a" / "0000-red-circle.png").rename(folder / "a" / "452804e782c4")
    assert moderate(core, folder).counts.verdicts.total() == 24


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


def test_the_page_is_self_contained_and_shows_the_worst_first(core: Core, folder: Path) -> None:
    evil = folder / "a" / '"><script>alert(1)</script>.png'.replace("/", "\u2215")
    evil.write_bytes((folder / "a" / "0000-red-circle.png").read_bytes())
    (folder / "a" / "broken.jpg").write_bytes(b"no")
    moderate(core, folder)
    page = (folder.parent / "out" / "index.html").read_text()
    assert "<script" not in page
    assert not re.search(r"(src|href)=\"(?!data:image/jpeg;base64,|#)", page)
    assert "url(" not in page
    headings = re.findall(r"<h2 id=\"[^\"]*\">(?:<span[^>]*>)?(\w+)", page)
    assert headings == ["block", "review", "allow", "Unreadable"]
    assert page.count("data:image/jpeg") == 25
    assert "The file is not a picture" in page


def test_videos_are_judged_beside_the_pictures(core: Core, folder: Path, tmp_path: Path) -> None:
    studio = Studio(tmp_path)
    (folder / "film.mp4").write_bytes(studio.film("h264.mp4").read_bytes())
    (folder / "without-suffix").write_bytes(studio.film("vp9.webm").read_bytes())
    (folder / "cut.mov").write_bytes(studio.film("h264.mp4").read_bytes()[:9000])
    frames = json.loads((Settings().policies_dir / "demo.json").read_text()) | {"frames": {"most": 64, "every": 1}}
    core = build_core(Settings(policies_dir=policies(tmp_path / "policies", demo=frames)))
    run = moderate(core, folder)
    assert (run.counts.videos, run.counts.verdicts.total(), run.others) == (2, 26, 1)
    by_path = {line["source"]["path"]: line for line in lines(ledger(folder))}
    for path in ("film.mp4", "without-suffix"):
        line = by_path[path]
        assert (line["verdict"], line["reasons"][0]["category"]) == ("block", "red circles")
        assert line["reasons"][0]["seconds"] in line["video"]["fired"]["red circles"]
        assert all(12 <= second < 15 for second in line["video"]["fired"]["red circles"])
        assert line["frames"] == {"seen": 60, "of": 600}
        assert line["view"]["kind"] == "tiles"
    assert by_path["cut.mov"]["verdict"] == "review"
    assert by_path["cut.mov"]["error"]["title"] == "The video is damaged"
    page = (folder.parent / "out" / "index.html").read_text()
    assert "a video" in page
    assert re.search(r"red.*, at 1[234]\.\d s<br>", page)
    assert moderate(core, folder).counts.new == 0


@pytest.mark.parametrize(("fail_on", "status"), [(None, 0), ("review", 1), ("block", 1)])
def test_the_exit_status_says_what_was_found_where_that_is_asked(
    folder: Path, fail_on: str | None, status: int
) -> None:
    options = ["--fail-on", fail_on] if fail_on else []
    assert main([str(folder), "--policy", "demo", "--out", str(folder.parent / "out"), *options]) == status


def test_an_unreadable_file_is_no_finding(tmp_path: Path) -> None:
    draw_into(tmp_path / "harmless", [("green", "star")], seed=1)
    (tmp_path / "harmless" / "broken.jpg").write_bytes(b"no")
    assert main([str(tmp_path / "harmless"), "--policy", "demo", "--out", str(tmp_path), "--fail-on", "review"]) == 0


def test_what_cannot_be_run_says_why(tmp_path: Path) -> None:
    told = command("tools.folder", tmp_path / "nowhere", "--policy", "demo", cwd=tmp_path)
    assert (told.returncode, told.stdout) == (2, "")
    assert told.stderr == f"There is no folder {tmp_path / 'nowhere'}.\n"
    told = command("tools.folder", tmp_path, "--policy", "dmeo", cwd=tmp_path)
    assert told.returncode == 2
    assert "There is no policy 'dmeo'" in told.stderr


def test_a_label_that_is_too_long_is_no_pictures_fault(tmp_path: Path) -> None:
    long = {"categories": {"x": {"labels": ["word " * 100], "against": ["y"], "review": 0.5}}}
    draw_into(tmp_path / "pictures", [("red", "circle")], seed=1)
    folder = policies(tmp_path / "policies", long=long)
    told = command("tools.folder", tmp_path / "pictures", "--policy", "long", cwd=tmp_path, policies_dir=folder)
    assert told.returncode == 2
    assert "label" in told.stderr


def test_memory_does_not_grow_with_the_pictures(core: Core, tmp_path: Path) -> None:
    """Bytes and pixels of judged pictures are let go; what stays of each is its line."""
    folder = tmp_path / "noise"
    folder.mkdir()
    for number in range(64):
        pixels = np.random.default_rng(number).integers(0, 256, (256, 256, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.bmp")  # 200 kB each: 12 MB together
    tracemalloc.start()
    moderate(core, folder)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10e6
