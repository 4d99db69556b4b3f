"""A video gets the verdict of its frames: the right seconds, whatever the container, and little of it read."""

from __future__ import annotations

import io
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from moderator.errors import UnknownVideo
from moderator.jobs.video_kind import is_video
from moderator.jobs.video_pipe import Limits
from moderator.pictures.batch import Picture
from moderator.question import ModerationQuestion
from support.films import CIRCLE, FILMS, LONG_CIRCLE, SECONDS, Studio, draw, ffmpeg, scene
from support.harness import LAMBDA_SRC
from support.pictures import encoded
from support.videos import CountingFile, Desk

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", FILMS)
def test_the_red_circle_is_found_when_it_is_there(desk: Desk, studio: Studio, name: str) -> None:
    judged = desk.judge(studio.film(name))
    assert judged.verdict.action == "block"
    (reason,) = judged.verdict.reasons
    assert reason.category == "red circles"
    assert reason.moment is not None
    assert reason.moment.seconds in judged.fired["red circles"]
    # Each second of the three, and none before or after it.
    fired = judged.fired["red circles"]
    assert 3 <= len(fired) <= 4
    assert all(CIRCLE[0] <= second < CIRCLE[1] for second in fired)
    assert [int(second) for second in fired][:1] == [12]
    assert len(set(fired)) == len(fired), "no frame counts twice"
    coverage = judged.coverage
    assert (coverage.seen, coverage.failed, coverage.low_confidence) == (coverage.asked, 0, False)
    assert coverage.asked >= SECONDS - 2


def test_frames_are_named_by_second_and_number(desk: Desk, h264: Path) -> None:
    moment = desk.judge(h264).verdict.reasons[0].moment
    assert moment is not None
    assert moment.frame == round(moment.seconds * 10)


def test_a_verdict_needs_as_many_frames_as_the_policy_says(desk: Desk, h264: Path) -> None:
    for at_least, action in ((1, "block"), (3, "block"), (4, "allow")):
        assert desk.judge(h264, desk.frames(most=64, every=1.0, at_least=at_least)).verdict.action == action


def test_as_many_frames_are_seen_as_the_policy_asks_evenly_spread(desk: Desk, h264: Path) -> None:
    for most, every, asked in ((8, 0.0, 8), (64, 10.0, 6), (1, 0.0, 1), (64, 0.0, 64)):
        judged = desk.judge(h264, desk.frames(most=most, every=every))
        assert (judged.coverage.asked, judged.coverage.seen) == (asked, asked)
        (seen,) = judged.moderation.scores.pictures
        # Of each equal part of the time there is one frame.
        parts = [int(second / (SECONDS + 0.001) * max(1, asked - 1) + 0.5) for second in seen.seconds]
        assert len(seen.seconds) == asked
        assert all(after - before <= 2 for before, after in pairwise(parts))


def test_a_frame_scores_as_the_same_picture_does(desk: Desk, tmp_path: Path) -> None:
    """Lossless and intra-only, so that ffmpeg's own PNG has the very pixels that were judged."""
    film = draw(tmp_path / "lossless.mkv", seconds=1)
    picture = ffmpeg("-i", film, "-frames:v", "1", "-f", "image2pipe", "-c:v", "png", "-")
    judged = desk.judge(film, desk.frames(most=1))
    question = ModerationQuestion(pictures=(Picture(name="x", data=picture),), policy=desk.policy)
    alone = desk.moderator.moderate(question).scores.pictures[0]
    np.testing.assert_array_equal(judged.moderation.scores.pictures[0].cosines, alone.cosines)


def test_the_same_video_gets_the_same_answer(desk: Desk, studio: Studio) -> None:
    film = studio.film("few-key-frames.mp4")
    first, second = desk.judge(film), desk.judge(film)
    assert first.verdict == second.verdict
    assert first.described() == second.described()


@pytest.mark.parametrize(
    "turn", ["1 0 0 1", "-1 0 0 1", "-1 0 0 -1", "1 0 0 -1", "0 1 1 0", "0 1 -1 0", "0 -1 -1 0", "0 -1 1 0"]
)
def test_a_turned_or_mirrored_video_is_seen_as_players_show_it(turn: str, h264: Path, tmp_path: Path) -> None:
    """The truth is ffmpeg's own: it turns what it decodes."""
    from av import open as open_video  # not at the top: the tests of everything else run without PyAV

    from moderator.jobs import video_pixels
    from moderator.pictures.preprocessing import Preprocessing

    data = bytearray(h264.read_bytes())
    a, b, c, d = (int(sign) << 16 for sign in turn.split())
    # ISO/IEC 14496-12, 8.3.2: the matrix of version 0 follows 40 bytes of other fields.
    matrix = data.index(b"tkhd") + 4 + 40
    data[matrix : matrix + 36] = b"".join(
        value.to_bytes(4, "big", signed=True) for value in (a, b, 0, c, d, 0, 0, 0, 1 << 30)
    )
    path = tmp_path / "turned.mp4"
    path.write_bytes(data)
    shown = Image.open(io.BytesIO(ffmpeg("-i", path, "-frames:v", "1", "-f", "image2pipe", "-c:v", "png", "-")))
    to = Preprocessing(height=64, width=64, resize_mode="squash", interpolation="bicubic")
    with open_video(str(path)) as container:
        parts, _ = video_pixels.parts_of(next(container.decode(video=0)), 1.0, to, "squash")
    expected = shown.convert("RGB").resize((64, 64), Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(parts[0], np.asarray(expected))


@pytest.mark.parametrize(
    ("size", "tags"),
    [
        ("320x180", ()),
        ("1280x720", ()),
        ("320x180", ("-colorspace", "bt709")),
        ("1280x720", ("-colorspace", "smpte170m")),
        ("320x180", ("-color_range", "pc")),
        ("3840x2160", ()),
    ],
)
def test_colours_are_those_that_were_filmed(desk: Desk, tmp_path: Path, size: str, tags: tuple[str, ...]) -> None:
    """Whichever of the matrices and ranges a file is written in; where it does not say, its height decides."""
    matrix = {"bt709": "bt709", "smpte170m": "bt601"}.get(
        tags[-1] if tags else "", "bt601" if "180" in size else "bt709"
    )
    scale = f"scale=out_color_matrix={matrix}:out_range={'pc' if 'pc' in tags else 'tv'}"
    path = tmp_path / "red.mp4"
    ffmpeg(
        "-f",
        "lavfi",
        "-i",
        f"color=c=0xD62424:size={size}:duration=0.2",
        "-vf",
        scale,
        *FILMS["h264.mp4"][1],
        *tags,
        path,
    )
    decoded = desk.judge(path, desk.frames(most=1))
    (pixels,) = {part.tobytes()[:3] for part in desk.tower.last}
    assert decoded.coverage.seen == 1
    assert np.abs(np.frombuffer(pixels, np.uint8).astype(int) - (0xD6, 0x24, 0x24)).max() <= 5


def test_sound_is_not_read(desk: Desk, studio: Studio) -> None:
    film = studio.film("h264-with-sound.mov").read_bytes()
    file = CountingFile(film)
    judged = desk.videos().judge(file, desk.frames(most=8))
    assert judged.coverage.seen == 8
    assert len(film) > 10_000_000
    assert file.bytes_read < len(film) / 8
    assert judged.spent.bytes_read <= file.bytes_read <= judged.spent.bytes_read + 100


def test_eight_hours_are_judged_by_the_index_and_a_range_a_frame(desk: Desk, studio: Studio) -> None:
    film = studio.long().read_bytes()
    file = CountingFile(film)
    before = desk.tower.pictures
    judged = desk.videos().judge(file, desk.frames(most=64, at_least=3))
    assert judged.film.seconds == pytest.approx(8 * 3600, abs=5)
    assert judged.verdict.action == "block"
    fired = judged.fired["red circles"]
    assert len(fired) >= 3
    assert all(LONG_CIRCLE[0] <= second < LONG_CIRCLE[1] for second in fired)
    assert judged.coverage.seen == 64
    # It is nearly still: of 64 frames of two tiles, three stretches were looked at.
    assert judged.coverage.alike >= 60
    assert desk.tower.pictures - before <= 8
    # Its index, and for each frame no more than the smallest range.
    index = len(film) - film.index(b"moov")
    assert file.bytes_read < index + 66 * (1 << 16) < len(film)
    # Nor do they take longer than a minute's video, or more memory than the index.
    short = desk.judge(studio.film("h264.mp4"), desk.frames(most=64, at_least=3))
    assert judged.spent.cpu_seconds < 4 * short.spent.cpu_seconds
    assert judged.spent.memory is not None
    assert short.spent.memory is not None
    assert judged.spent.memory < short.spent.memory + 60_000_000


def test_black_frames_are_dropped_unless_all_are(desk: Desk, tmp_path: Path) -> None:
    black = Image.new("RGB", (320, 180))
    film = draw(
        tmp_path / "fade.mkv", lambda second, size: black if int(second) % 2 else scene(second, size), seconds=10
    )
    judged = desk.judge(film)
    assert (judged.coverage.seen, judged.coverage.dark) == (10, 5)
    assert len(judged.moderation.scores.pictures[0].seconds) == 5
    judged = desk.judge(draw(tmp_path / "night.mkv", lambda *_: black, seconds=4))
    assert (judged.coverage.seen, judged.coverage.dark, judged.coverage.low_confidence) == (4, 3, True)


def test_a_short_clip_says_that_its_verdict_is_worth_less(desk: Desk, tmp_path: Path) -> None:
    film = draw(tmp_path / "short.mkv", seconds=0.1)
    judged = desk.judge(film)
    assert (judged.coverage.asked, judged.coverage.seen) == (1, 1)
    assert judged.coverage.low_confidence
    assert judged.verdict.action == "allow"


def test_what_cannot_be_seen_is_counted_and_never_simply_allowed(desk: Desk, studio: Studio) -> None:
    """Half of the bytes are missing, and so are two thirds of the time: the circle was before that."""
    judged = desk.judge(studio.truncated())
    assert judged.verdict.action == "block"
    assert judged.fired["red circles"]
    assert all(CIRCLE[0] <= second < CIRCLE[1] for second in judged.fired["red circles"])
    assert judged.coverage.failed > 5
    assert judged.coverage.asked == judged.coverage.seen + judged.coverage.failed
    # And one that shows no circle, of which nearly all is missing.
    limits = Limits(frames_between=20)
    judged = desk.judge(studio.film("one-key-frame.mp4"), limits=limits)
    assert judged.coverage.mostly_unseen
    assert judged.coverage.low_confidence
    assert judged.verdict.action == desk.policy.on_error == "review"
    assert [reason.category for reason in judged.verdict.reasons] == ["error"]
    assert "key frames are far apart" in str(judged.coverage.stopped)


def test_a_line_has_the_seconds_and_the_coverage(desk: Desk, h264: Path) -> None:
    assert desk.judge(h264).described() == {
        "seconds": 60.0,
        "codec": "h264",
        "size": [320, 180],
        "asked": 60,
        "seen": 60,
        "failed": 0,
        "dark": 0,
        "alike": 0,
        "low_confidence": False,
        "fired": {"red circles": [12.0, 13.2, 14.2]},
    }


def test_a_video_is_known_by_its_first_bytes(studio: Studio) -> None:
    for name in FILMS:
        assert is_video(studio.film(name).read_bytes()[:32]), name
    pictures = [
        encoded(Image.new("RGB", (8, 8)), kind) for kind in ("PNG", "JPEG", "WEBP", "GIF", "AVIF", "TIFF", "BMP")
    ]
    for data in [*pictures, b"", b"ftyp", b"#EXTM3U\n", b"\0\0\0\x18ftypheic" + bytes(20)]:
        assert not is_video(data[:32])


@pytest.mark.parametrize("data", [b"", b"#EXTM3U\nfile:///etc/passwd\n", b"ffconcat version 1.0\nfile x\n", bytes(100)])
def test_what_does_not_begin_like_a_video_is_given_to_no_decoder(desk: Desk, data: bytes) -> None:
    with pytest.raises(UnknownVideo, match="MP4, MOV, WebM and MKV"):
        desk.judge(data)


def test_this_process_never_loads_ffmpeg() -> None:
    program = "import sys, moderator.jobs.video; sys.exit('av' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], env={"PYTHONPATH": str(LAMBDA_SRC)}, check=False)
    assert done.returncode == 0
