"""A video that is made to harm harms itself: its own line says so, in time, and nothing else notices."""

from __future__ import annotations

import io
import os
import time
from pathlib import Path

import numpy as np
import pytest

from moderator.errors import BrokenVideo, RequestError, TooMuch, UnknownVideo
from moderator.jobs.video_pipe import Limits
from support.films import H264, Studio, ffmpeg
from support.videos import CountingFile, Desk, decoder_that

pytestmark = pytest.mark.slow

FIFTH = "from itertools import count; numbers, show = count(1), child._show"
ON_THE_FIFTH = "child._show = lambda *all: {what} if next(numbers) == 5 else show(*all)"
CRASH = "os.kill(os.getpid(), 11)"  # what a decoder's bug does: SIGSEGV
FOR_EVER = "any(iter(int, 1))"


def at_the_fifth_frame(what: str) -> tuple[str, ...]:
    return decoder_that(FIFTH, ON_THE_FIFTH.format(what=what))


def test_a_crash_of_the_decoder_costs_what_comes_after_it(desk: Desk, h264: Path) -> None:
    judged = desk.judge(h264, program=at_the_fifth_frame(CRASH))
    assert (judged.coverage.seen, judged.coverage.failed) == (4, 56)
    assert judged.coverage.stopped == "its decoder crashed (SIGSEGV)"
    # Most of it was not seen: no better than a video that cannot be read.
    assert judged.verdict.action == "review"
    assert [reason.category for reason in judged.verdict.reasons] == ["error"]
    assert desk.judge(h264).verdict.action == "block", "the next one is judged as ever"


def test_a_crash_before_the_first_frame_is_an_error_that_names_it(desk: Desk, h264: Path) -> None:
    program = decoder_that(f"child.open_video = lambda *_: {CRASH}")
    with pytest.raises(BrokenVideo, match=r"no frame that can be decoded: its decoder crashed \(SIGSEGV\)"):
        desk.judge(h264, program=program)


def test_a_decoder_that_never_ends_is_ended(desk: Desk, h264: Path) -> None:
    """By the clock, and by the CPU's, whichever is first."""
    began = time.monotonic()
    for limits in (Limits(seconds=3.0), Limits(cpu_seconds=2)):
        judged = desk.judge(h264, program=at_the_fifth_frame(FOR_EVER), limits=limits)
        assert judged.coverage.seen == 4
        assert judged.coverage.stopped == "its decoder was stopped, for it took too long"
        assert judged.verdict.action == "review"
    assert time.monotonic() - began < 60, "neither may wait for the usual limit"


def test_no_video_takes_longer_than_its_caller_has(desk: Desk, h264: Path) -> None:
    program = decoder_that(f"child.open_video = lambda *_: {FOR_EVER}")
    began = time.monotonic()
    with pytest.raises(BrokenVideo, match="took too long"):
        desk.videos(program=program).judge(io.BytesIO(h264.read_bytes()), desk.policy, until=began + 1.5)
    with pytest.raises(BrokenVideo, match="took too long"):
        desk.videos().judge(io.BytesIO(h264.read_bytes()), desk.policy, until=began)
    assert time.monotonic() - began < 30


def test_a_decoder_that_asks_for_all_memory_gets_none(desk: Desk, h264: Path) -> None:
    program = decoder_that("child.open_video = lambda *_: bytearray(3_000_000_000)")
    with pytest.raises(TooMuch, match="more memory than allowed"):
        desk.judge(h264, program=program)


@pytest.mark.parametrize(
    "line",
    [
        # It floods, sends half a message, nonsense, pixels of another size, moments that were not asked for; and takes
        # nothing of what it asked for.
        "child.main = lambda: [os.write(1, b'F\\xff\\xff\\xff\\xff' + bytes(9999)) for _ in iter(int, 1)]",
        "child.main = lambda: os.write(1, b'Y\\0\\0\\0\\0F\\0\\0\\0\\x09abc')",
        "child.main = lambda: os.write(1, b'Y\\0\\0\\0\\0Q\\0\\0\\0\\0')",
        "child.main = lambda: os.write(1, b'Y\\0\\0\\0\\0D\\0\\0\\0\\x02{}')",
        "child.main = lambda: os.write(1, b'Y\\0\\0\\0\\0O\\0\\0\\0\\x02[]')",
        "child.main = lambda: os.write(1, b'Y\\0\\0\\0\\0F\\0\\0\\0\\0')",
        "child.parts_of = lambda *_: ((__import__('numpy').zeros((9, 9, 3), 'uint8'),), seen)",
        "child.main = lambda: [os.write(1, b'Y\\0\\0\\0\\0'), "
        "[os.write(1, b'R\\0\\0\\0\\x0c' + bytes(8) + b'\\0\\3\\0\\0')"
        " for _ in iter(int, 1)]]",
    ],
)
def test_whatever_a_decoder_sends_is_checked(desk: Desk, h264: Path, line: str) -> None:
    coverage = "from moderator.pictures.views import Coverage as C; seen = C(kind='pad', parts=1, unseen=0.0)"
    with pytest.raises((BrokenVideo, RuntimeError)):
        desk.judge(h264, program=decoder_that(coverage, line), limits=Limits(seconds=3.0))


def test_a_decoder_that_cannot_start_is_a_bug_that_is_told(desk: Desk, h264: Path) -> None:
    with pytest.raises(RuntimeError, match=r"does not start.*No module named 'no_such_thing'"):
        desk.judge(h264, program=("-c", "import no_such_thing"))


def test_the_decoder_has_no_key_and_no_file_of_ours(
    desk: Desk, h264: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a secret")
    monkeypatch.setenv("CACHE_URL", "rediss://also-secret")
    program = decoder_that(
        "def tell(*_):",
        "    names = [name for name in os.environ if name.startswith(('AWS', 'CACHE'))]",
        "    files = [one for one in os.listdir('/proc/self/fd') if os.path.exists('/proc/self/fd/' + one)]",
        "    kinds = {os.readlink('/proc/self/fd/' + one).split(':')[0] for one in files}",
        "    raise child.Refused('broken', f'{names} {sorted(kinds)}')",
        "child.open_video = tell",
    )
    with (tmp_path / "open").open("w"), pytest.raises(BrokenVideo) as raised:
        desk.judge(h264, program=program)
    assert raised.value.detail == "The video cannot be judged: [] ['/dev/null', 'pipe']."


def test_an_error_of_the_file_is_the_callers_to_handle(desk: Desk, h264: Path) -> None:
    """S3 failed, not the video: another try may do."""

    class Failing(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if self.tell():
                raise TimeoutError("S3 does not answer")
            return super().read(size)

    before = processes()
    with pytest.raises(TimeoutError, match="S3 does not answer"):
        desk.videos().judge(Failing(h264.read_bytes()), desk.policy)
    assert processes() == before, "no decoder is left behind"


def processes() -> set[str]:
    """Our children, dead or alive."""
    return set(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())


def test_no_more_bytes_are_read_than_allowed(desk: Desk, studio: Studio) -> None:
    film = CountingFile(studio.film("h264-with-sound.mov").read_bytes())
    limits = Limits(bytes_read=1_000_000)
    judged = desk.videos(limits=limits).judge(film, desk.frames(most=64, every=1.0))
    assert film.bytes_read <= 1_000_000 + 100
    assert judged.coverage.failed > 0
    assert judged.coverage.stopped == "no more than 1,000,000 bytes of it are read"


@pytest.mark.parametrize("name", ["h264.mp4", "vp9.webm", "h264-fragments.mp4", "av1.mkv"])
def test_damaged_videos_are_judged_or_refused(desk: Desk, studio: Studio, name: str) -> None:
    """Bytes overwritten at random, most of them where the structure is; each is answered within the limits."""
    whole = studio.film(name).read_bytes()
    rng = np.random.default_rng(7)
    answers = 0
    for number in range(4):
        data = bytearray(whole)
        start = 0 if name.endswith(("webm", "mkv")) or number % 2 else max(0, whole.rfind(b"moov"))
        for place in rng.integers(start + 8, min(len(data), start + 4000), 4 + 8 * number):
            data[place] = int(rng.integers(256))
        try:
            judged = desk.judge(bytes(data), desk.frames(most=8), limits=Limits(seconds=20.0))
        except RequestError as error:
            assert error.detail.startswith("The video")
            continue
        answers += 1
        assert judged.coverage.seen >= 1
    assert answers, "not every damage is so bad"


@pytest.mark.parametrize("share", [0.001, 0.3, 0.9])
def test_a_video_without_its_index_is_damaged(desk: Desk, h264: Path, share: float) -> None:
    data = h264.read_bytes()
    with pytest.raises(BrokenVideo, match="truncated or damaged"):
        desk.judge(data[: max(40, int(len(data) * share))])


def test_a_header_that_lies_about_its_length_does_not_hide_what_is_there(desk: Desk, h264: Path) -> None:
    """A hundred years: asked for frames evenly spread over these, it would show the first one only."""
    data = bytearray(h264.read_bytes())
    for box, place in ((b"mvhd", 20), (b"mdhd", 20), (b"tkhd", 24)):
        start = data.index(box) + place
        data[start : start + 4] = b"\x7f\xff\xff\xff"
    judged = desk.judge(bytes(data))
    assert judged.film.seconds == pytest.approx(60, abs=1)
    assert judged.verdict.action == "block"


def test_a_frame_of_too_many_pixels_is_refused_before_it_is_decoded(desk: Desk, tmp_path: Path) -> None:
    film = tmp_path / "wide.mp4"
    ffmpeg("-f", "lavfi", "-i", "color=c=red:size=1920x1080:duration=0.2", *H264, film)
    with pytest.raises(TooMuch, match="1920 x 1080 pixels a frame, more than the 2,000,000 allowed"):
        desk.judge(film, limits=Limits(pixels=2_000_000))
    assert desk.judge(film, limits=Limits(pixels=2_100_000)).coverage.seen == 1


def test_a_frame_of_8k_fits_into_the_memory_allowed(desk: Desk, tmp_path: Path) -> None:
    film = tmp_path / "8k.mp4"
    source = "color=c=0xD62424:size=7680x4320:rate=10:duration=0.1"
    ffmpeg("-f", "lavfi", "-i", source, "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", film)
    judged = desk.judge(film)
    assert judged.spent.memory is not None
    assert judged.spent.memory < 500_000_000


@pytest.mark.parametrize("coding", [("-c:v", "ffv1"), ("-c:v", "huffyuv"), ("-c:v", "mpeg2video")])
def test_codecs_that_nobody_uploads_are_not_decoded(desk: Desk, tmp_path: Path, coding: tuple[str, ...]) -> None:
    film = tmp_path / "odd.mkv"
    ffmpeg("-f", "lavfi", "-i", "testsrc=size=64x64:duration=1", *coding, film)
    with pytest.raises(UnknownVideo, match="its codec is"):
        desk.judge(film)


def test_sound_alone_is_no_video(desk: Desk, tmp_path: Path) -> None:
    film = tmp_path / "song.mp4"
    ffmpeg("-f", "lavfi", "-i", "sine=duration=1", "-c:a", "aac", film)
    with pytest.raises(UnknownVideo, match="no track with a moving picture"):
        desk.judge(film)
