"""A folder of pictures gets the service's own verdicts, once each, whatever else lies in it."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from moderator.handler import build_handler
from moderator.pictures.decode import FORMATS
from moderator.settings import Settings
from support.films import Studio
from support.harness import serving
from support.pictures import as_base64, drawn, encoded
from tools.core import Core, build_core
from tools.files import find_pictures
from tools.folder.overview import groups
from tools.tests.desk import draw_folder, ledger, lines, moderate, policies

pytestmark = pytest.mark.slow


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return draw_folder(tmp_path / "pictures")


@pytest.mark.parametrize("sample", [0, 0.5])
def test_each_line_is_what_the_service_answers(folder: Path, tmp_path: Path, sample: float) -> None:
    content = json.loads((Settings().policies_dir / "demo.json").read_text()) | {"sample": sample}
    settings = Settings(policies_dir=policies(tmp_path / "policies", demo=content), default_policy="demo")
    run = moderate(build_core(settings), folder)
    found = lines(ledger(folder))
    assert [line["source"]["path"] for line in found] == sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*.png")
    )
    if sample:
        assert 0 < run.counts.reasons["review", "sample"] < 12
    else:
        assert dict(run.counts.verdicts) == {"block": 6, "review": 6, "allow": 12}
    assert run.others == 1
    with serving(build_handler(settings)) as service:
        for line in found:
            data = (folder / line["source"]["path"]).read_bytes()
            body = json.dumps({"image_data": as_base64(data), "policy": "demo"})
            reply = service.request("POST", "/moderate", body, {"Content-Type": "application/json"})
            answer: dict[str, Any] = reply.json
            answer.pop("warnings")  # the demo model's, which is no verdict
            assert {key: value for key, value in line.items() if key not in ("source", "judged_by")} == answer


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
    assert dict(run.counts.verdicts) == {"block": 6, "review": 6 + 5, "allow": 12}
    assert dict(run.counts.unjudged) == {"review": 5}
    assert run.counts.new == 24
    by_path = {line["source"]["path"]: line for line in lines(ledger(folder))}
    assert by_path["a/cut.png"]["error"]["title"] == "The picture is damaged"
    assert "10,000,000" in by_path["huge.png"]["error"]["detail"]
    for path, _ in run.counts.unreadable:
        assert by_path[path]["verdict"] == "review"  # the policy's on_error, never simply allowed
        assert by_path[path]["reasons"] == [{"category": "error", "action": "review"}]


def test_pictures_without_a_suffix_are_found(core: Core, folder: Path) -> None:
    (folder / "a" / "0000-red-circle.png").rename(folder / "a" / "452804e782c4")
    assert moderate(core, folder).counts.verdicts.total() == 24


@pytest.mark.parametrize("name", ["photo.apng", "x.jpg_large", "x.jpg.bak", "x.dat", "x.", ".hidden", "notes.txt"])
def test_pictures_with_an_unusual_suffix_are_found(core: Core, tmp_path: Path, name: str) -> None:
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / name).write_bytes(encoded(drawn("red", "circle"), "PNG"))
    (tmp_path / "pictures" / "real.txt").write_text("not a picture")
    run = moderate(core, tmp_path / "pictures")
    assert (dict(run.counts.verdicts), run.others) == ({"block": 1}, 1)


def test_videos_with_an_unusual_suffix_are_found(tmp_path: Path) -> None:
    film = Studio(tmp_path).film("h264.mp4").read_bytes()
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures/film.mp4_large").write_bytes(film)
    # What begins like a video and is none: sound in the same container, and a text with "free" in the right place.
    (tmp_path / "pictures/song.m4a").write_bytes(film)
    (tmp_path / "pictures/letter.txt").write_text("Get free pictures of red circles, as many as you like.")
    (tmp_path / "pictures/about.md").write_text("GIF89a is a format of animated pictures.")
    found = find_pictures(tmp_path / "pictures", videos=True)
    assert (found.paths, found.others) == (("film.mp4_large",), 3)
    assert find_pictures(tmp_path / "pictures").paths == ()


def test_every_format_that_the_service_reads_is_judged_whatever_it_is_called(core: Core, tmp_path: Path) -> None:
    formats = {"jpeg": "JPEG", "png": "PNG", "webp": "WEBP", "gif": "GIF", "bmp": "BMP", "tiff": "TIFF", "avif": "AVIF"}
    assert set(FORMATS) == set(formats.values())
    (tmp_path / "pictures").mkdir()
    for suffix, name in formats.items():
        data = encoded(drawn("red", "circle"), name)
        (tmp_path / f"pictures/with.{suffix.upper()}").write_bytes(data)
        (tmp_path / f"pictures/without-{suffix}").write_bytes(data)
    run = moderate(core, tmp_path / "pictures")
    assert (dict(run.counts.verdicts), run.others) == ({"block": 14}, 0)
    assert not run.counts.unreadable


def test_the_page_is_self_contained_and_shows_the_worst_verdict_first(core: Core, folder: Path) -> None:
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


def test_each_group_shows_its_worst_and_counts_all(core: Core) -> None:
    scores = [(number * 37 % 200) / 1000 for number in range(200)]  # 0 to 0.199, mixed
    found = [
        {
            "source": {"path": f"{score:.3f}.jpg"},
            "verdict": "review",
            "reasons": [
                {"category": "blue squares", "action": "review", "score": score, "threshold": 0.5, "label": "x"}
            ],
            "categories": {},
        }
        for score in scores
    ]
    (group,) = groups(found, core.policy("demo"))
    assert (group.verdict, group.category, group.count) == ("review", "blue squares", 200)
    assert [picture.path for picture in group.pictures] == [f"{score:.3f}.jpg" for score in sorted(scores)[:-61:-1]]


def test_allowed_pictures_are_shown_by_how_near_they_came_to_their_threshold(core: Core) -> None:
    policy = core.policy("demo")
    first, second, *_ = policy.categories
    lowest = min(threshold for threshold in (first.review, first.block) if threshold is not None)
    near, far = lowest - 0.01, lowest - 0.4
    tall = replace(second, review=None, block=0.99)
    policy = replace(policy, categories=(first, tall))
    found = [
        {
            "source": {"path": path},
            "verdict": "allow",
            "reasons": [],
            "categories": {first.name: {"score": score}, tall.name: {"score": other}},
        }
        for path, score, other in (("near.jpg", near, 0.0), ("far.jpg", far, 0.0), ("higher.jpg", 0.0, 0.9))
    ]
    (group,) = groups(found, policy)
    assert near < 0.9, "the highest score is not the nearest to its threshold"
    assert [picture.path for picture in group.pictures] == ["near.jpg", "higher.jpg", "far.jpg"]


def test_videos_are_judged_beside_the_pictures(core: Core, folder: Path, tmp_path: Path) -> None:
    studio = Studio(tmp_path)
    (folder / "film.mp4").write_bytes(studio.film("h264.mp4").read_bytes())
    (folder / "without-suffix").write_bytes(studio.film("vp9.webm").read_bytes())
    (folder / "cut.mov").write_bytes(studio.film("h264.mp4").read_bytes()[:9000])
    frames = json.loads((Settings().policies_dir / "demo.json").read_text()) | {"frames": {"most": 64, "every": 1}}
    core = build_core(Settings(policies_dir=policies(tmp_path / "policies", demo=frames)))
    run = moderate(core, folder)
    assert (run.counts.videos, run.counts.new, run.counts.total, run.others) == (2, 26, 27, 1)
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
