"""Animated pictures: the frames that are looked at are spread over time, and what was not looked at is said."""

from __future__ import annotations

import io
import itertools
import math
import time
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from moderator.errors import BrokenPicture, TooMuch
from moderator.pictures.batch import Picture, read_batch
from moderator.pictures.decode import Decoded, Frame, read_picture
from moderator.pictures.frames import FrameSampling
from moderator.pictures.preprocessing import Preprocessing
from support.animations import FORMATS, apng, changing, gif, gif_frame, grey_of, numbered
from support.moving import animated, drawings, screens
from support.pictures import encoded, noise

pytestmark = pytest.mark.slow

TO_32 = Preprocessing(height=32, width=32, resize_mode="shortest", interpolation="bicubic")
EVERY_FRAME = FrameSampling(most=1000, every=0.0)


def read(data: bytes, sampling: FrameSampling | None = EVERY_FRAME) -> Decoded:
    (decoded,) = read_batch([Picture(name="it", data=data)], TO_32, frames=sampling, max_pixels=50_000_000, threads=1)
    return decoded


def greys(decoded: Decoded) -> list[int]:
    return [round(float(frame.parts[0].mean())) for frame in decoded.frames]


class TestChoice:
    def test_moments_are_spread_evenly_from_the_first_frame_to_the_last(self) -> None:
        starts = [second / 10 for second in range(41)]  # 4 s
        assert FrameSampling(most=5, every=1.0).chosen(starts) == [(0, 0), (10, 1), (20, 2), (30, 3), (40, 4)]
        assert FrameSampling(most=3, every=1.0).chosen(starts) == [(0, 0), (20, 2), (40, 4)]
        assert FrameSampling(most=8, every=2.0).chosen(starts) == [(0, 0), (20, 2), (40, 4)]
        assert FrameSampling(most=8, every=9.0).chosen(starts) == [(0, 0)]
        assert FrameSampling(most=1, every=0.0).chosen(starts) == [(0, 0)]
        assert len(FrameSampling(most=8, every=1e-320).chosen(starts)) == 8

    @pytest.mark.parametrize("every", [0.1, 0.3, 0.7, 1 / 3, 1.1])
    def test_no_moment_is_lost_to_the_rounding_of_seconds(self, every: float) -> None:
        for steps in range(1, 60):
            starts = [round(every * number, 9) for number in range(steps + 1)]
            assert len(FrameSampling(most=100, every=every).chosen(starts)) == steps + 1

    def test_it_is_time_that_counts_and_not_the_frames_numbers(self) -> None:
        # Ninety frames in the first second, then ten of a second each.
        starts = [*(number / 90 for number in range(90)), *(1.0 + number for number in range(10))]
        numbers = [number for number, _ in FrameSampling(most=6, every=1.0).chosen(starts)]
        assert numbers == [0, 91, 93, 95, 97, 99]

    def test_a_frame_that_is_shown_at_several_moments_is_looked_at_once(self) -> None:
        assert FrameSampling(most=5, every=1.0).chosen([0.0, 1.0, 9.0, 9.5]) == [(0, 0), (1, 2.375), (3, 9.5)]

    @given(
        delays=st.lists(st.floats(0.011, 700), max_size=300),
        most=st.integers(1, 40),
        every=st.one_of(st.just(0.0), st.floats(0.01, 100)),
    )
    def test_of_any_timeline(self, delays: list[float], most: int, every: float) -> None:
        starts = list(itertools.accumulate(delays, initial=0.0))
        chosen = FrameSampling(most=most, every=every).chosen(starts)
        numbers, seconds = [number for number, _ in chosen], [second for _, second in chosen]
        assert numbers == sorted(set(numbers))
        assert numbers[0] == 0
        assert 1 <= len(chosen) <= min(most, len(starts))
        assert all(later - earlier >= every * (1 - 1e-8) for earlier, later in itertools.pairwise(seconds))
        # Each is what is shown at its moment.
        assert all(starts[number] <= second for number, second in chosen)
        assert all(second < starts[number + 1] for number, second in chosen if number + 1 < len(starts))
        if most > 1 and starts[-1] > 2 * every > 0:
            assert numbers[-1] == len(starts) - 1
            # As many moments as allowed, so that no stretch of time is left out.
            gaps = np.diff(seconds)
            expected = starts[-1] / min(most - 1, math.floor(round(starts[-1] / every, 7)))
            assert all(gap == pytest.approx(expected) or gap > expected for gap in gaps)


@pytest.mark.parametrize("format", FORMATS)
class TestEachFormat:
    def test_each_frame_is_seen_with_its_number_and_second(self, format: str) -> None:
        decoded = read(numbered(format, [100, 200, 300, 400, 500]))
        assert (decoded.total_frames, decoded.unreached) == (5, 0)
        assert decoded.warnings == ()
        for frame, grey in zip(decoded.frames, greys(decoded), strict=True):
            assert abs(grey - grey_of(frame.number)) <= 2
        assert [frame.number for frame in decoded.frames] == [0, 1, 2, 3, 4]
        starts = [0.0, 0.1, 0.3, 0.6, 1.0]
        assert all(
            frame.seconds == pytest.approx(1.0 * place / 4, abs=0.3) for place, frame in enumerate(decoded.frames)
        )
        assert all(frame.seconds >= starts[frame.number] - 1e-9 for frame in decoded.frames)

    def test_of_a_minute_eight_frames_are_spread_over_it(self, format: str) -> None:
        # Two hundred quick frames and then sixty slow ones.
        decoded = read(numbered(format, [20] * 200 + [1000] * 60, (16, 16)), FrameSampling(most=8, every=1.0))
        assert decoded.total_frames == 260
        seconds = [frame.seconds for frame in decoded.frames]
        assert np.diff(seconds) == pytest.approx([63 / 7] * 7, abs=1e-6)
        assert [frame.number for frame in decoded.frames] == [0, 205, 214, 223, 232, 241, 250, 259]
        for frame, grey in zip(decoded.frames, greys(decoded), strict=True):
            assert abs(grey - grey_of(frame.number)) <= 2

    def test_zero_durations_count_as_browsers_show_them(self, format: str) -> None:
        decoded = read(numbered(format, [0] * 31), FrameSampling(most=4, every=0.5))
        assert [frame.number for frame in decoded.frames] == [0, 10, 20, 30]
        assert [frame.seconds for frame in decoded.frames] == pytest.approx([0, 1, 2, 3])

    def test_without_sampling_the_first_frame_is_taken_and_the_others_are_counted(self, format: str) -> None:
        decoded = read(numbered(format, [100] * 40), None)
        assert [frame.number for frame in decoded.frames] == [0]
        assert decoded.total_frames == 40
        assert abs(greys(decoded)[0] - grey_of(0)) <= 2

    def test_a_still_picture_has_one_frame(self, format: str) -> None:
        for sampling in (None, EVERY_FRAME):
            decoded = read(encoded(noise(40, 40), format), sampling)
            assert (len(decoded.frames), decoded.total_frames, decoded.unreached, decoded.warnings) == (1, 1, 0, ())

    def test_ten_thousand_frames_cost_no_more_than_a_still_picture(self, format: str, still: float) -> None:
        frames = 10_000
        data = numbered(format, [40] * frames, (8, 8)) if format != "AVIF" else numbered(format, [40] * 2_000, (16, 16))
        decoded, seconds = timed(lambda: read(data, FrameSampling(most=8, every=1.0)))
        assert decoded.total_frames == (frames if format != "AVIF" else 2_000)
        assert len(decoded.frames) == 8
        assert seconds < 2 * still
        first, seconds = timed(lambda: read(data, None))
        assert first.total_frames == decoded.total_frames
        assert seconds < still / 4

    def test_a_broken_later_frame_is_said_and_those_before_it_count(self, format: str) -> None:
        data = numbered(format, [1000] * 20)
        for cut in (len(data) * 2 // 3, len(data) - 80):
            try:
                decoded = read(data[:cut])
            except BrokenPicture:
                # Decoders of these formats refuse the whole file: its header says how long it should be.
                assert format in ("WEBP", "AVIF")
                continue
            assert decoded.frames[0].number == 0
            assert len(decoded.frames) < 20
            assert decoded.unreached >= decoded.total_frames - 1 - decoded.frames[-1].number
            if decoded.total_frames == 20:
                assert "truncated or damaged after frame" in decoded.warnings[0]
            for frame, grey in zip(decoded.frames, greys(decoded), strict=True):
                assert abs(grey - grey_of(frame.number)) <= 2

    def test_pixels_are_pillows_own(self, format: str) -> None:
        random = np.random.default_rng(9)
        frames = [noise(90, 70, seed=1)]
        for _ in range(11):
            later = frames[-1].copy()
            box = tuple(int(side) for side in random.integers(0, 40, 2))
            later.paste(noise(30, 25, seed=int(random.integers(1000))), (box[0], box[1]))
            frames.append(later)
        fast = {"speed": 10} if format == "AVIF" else {}
        data = encoded(frames[0], format, save_all=True, append_images=frames[1:], duration=100, **fast)
        decoded = read(data)
        assert [frame.number for frame in decoded.frames] == list(range(12))
        with Image.open(io.BytesIO(data)) as image:
            for frame in decoded.frames:
                image.seek(frame.number)
                (alone,) = read(encoded(image.convert("RGB")), None).frames
                np.testing.assert_array_equal(frame.parts, alone.parts, err_msg=str(frame.number))


@pytest.mark.parametrize(
    ("format", "options"),
    [
        ("WEBP", {"lossless": True}),
        ("WEBP", {"quality": 90}),
        *(("PNG", {"disposal": disposal, "blend": blend}) for disposal in (0, 1, 2) for blend in (0, 1)),
        *(("GIF", {"disposal": disposal}) for disposal in (1, 2, 3)),
    ],
)
def test_transparent_frames_look_as_pillow_shows_them(format: str, options: dict[str, int]) -> None:
    """To a level or two: Pillow rounds once when it blends frames, and again on white."""
    # Of APNG's frames that are half transparent Pillow makes something else than the format's definition.
    data = encoded_all(
        see_through([0, 255] if format == "GIF" or options.get("blend") else [0, 90, 255]), format, options
    )
    for sampling in (EVERY_FRAME, FrameSampling(most=3, every=0.0)):
        decoded = read(data, sampling)
        assert decoded.warnings == ()
        for seen in decoded.frames:
            # Opened anew: looking at a frame spoils what Pillow would restore after it.
            with Image.open(io.BytesIO(data)) as image:
                image.seek(seen.number)
                assert difference(seen, image.convert("RGBA")) <= 3, seen.number


def test_an_apngs_half_transparent_frames_are_laid_over_each_other() -> None:
    """https://www.w3.org/TR/png-3/#fcTL-chunk: as in the PNG specification's alpha channel processing."""
    frames = see_through([0, 90, 255])
    canvas = Image.new("RGBA", frames[0].size)
    for seen, frame in zip(read(encoded_all(frames, "PNG", {"blend": 1})).frames, frames, strict=True):
        canvas = Image.alpha_composite(canvas, frame)
        assert difference(seen, canvas) <= 3, seen.number


def see_through(alphas: list[int]) -> list[Image.Image]:
    """Eight frames of noise with squares of these alphas."""
    random = np.random.default_rng(4)
    frames = []
    for number in range(8):
        frame = noise(60, 50, seed=number, channels=4)
        alpha = random.choice(alphas, (10, 10)).astype(np.uint8)
        frame.putalpha(Image.fromarray(alpha).resize(frame.size, Image.Resampling.NEAREST))
        frames.append(frame)
    return frames


def encoded_all(frames: list[Image.Image], format: str, options: dict[str, int]) -> bytes:
    return encoded(frames[0], format, save_all=True, append_images=frames[1:], duration=100, **options)


def difference(seen: Frame, image: Image.Image) -> int:
    (alone,) = read(encoded(image), None).frames
    return int(np.abs(seen.parts[0].astype(int) - alone.parts[0].astype(int)).max())


@pytest.fixture(scope="module")
def still() -> float:
    """The seconds of a still picture as large as its kind may be, by which animations are measured in the same run."""
    data = encoded(noise(4000, 3100), "WEBP", method=0)
    return timed(lambda: read(data, None))[1]


def timed(work: Callable[[], Decoded]) -> tuple[Decoded, float]:
    """The least of three, in the thread's own time: others use this machine too."""
    took = []
    for _ in range(3):
        began = time.thread_time()
        decoded = work()
        took.append(time.thread_time() - began)
    return decoded, min(took)


EIGHT = FrameSampling(most=8, every=0.1)


@pytest.mark.parametrize(
    ("size", "frames", "area"),
    [
        ((640, 480), 100, (640, 480)),
        ((1280, 720), 60, (1280, 720)),
        ((1280, 720), 600, (320, 240)),
        ((1920, 1080), 100, (1920, 1080)),
    ],
)
def test_an_ordinary_gif_is_seen_to_its_end(
    size: tuple[int, int], frames: int, area: tuple[int, int], still: float
) -> None:
    data = changing(size, frames, area)
    decoded, seconds = timed(lambda: read(data, EIGHT))
    assert (decoded.total_frames, decoded.unreached, decoded.warnings) == (frames, 0, ())
    assert decoded.frames[-1].number == frames - 1
    assert seconds < 2 * still


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize(("make", "size", "frames"), [(drawings, (640, 480), 100), (screens, (1280, 720), 60)])
def test_ordinary_animations_are_seen_to_their_end(
    format: str, make: Callable[..., list[Image.Image]], size: tuple[int, int], frames: int
) -> None:
    fast = {"WEBP": {"method": 0}, "AVIF": {"speed": 10}, "PNG": {"compress_level": 1}, "GIF": {}}[format]
    data = animated(make(frames, size), format, **fast)
    assert len(data) < 10_000_000
    decoded = read(data, EIGHT)
    assert (decoded.total_frames, decoded.unreached, decoded.warnings) == (frames, 0, ())
    assert (len(decoded.frames), decoded.frames[-1].number) == (8, frames - 1)


def test_a_large_animation_is_looked_at_as_far_as_time_allows_and_what_was_not_is_said(still: float) -> None:
    # Through each frame the one before it may be seen, so that all of them are needed.
    data = changing((1280, 720), 200, (1280, 720), transparent=True)
    decoded, seconds = timed(lambda: read(data, EIGHT))
    assert seconds < 2 * still
    assert decoded.total_frames == 200
    assert len(decoded.frames) == 8
    (warning,) = decoded.warnings
    reached = decoded.frames[-1].number + 1
    assert decoded.unreached == 200 - reached
    assert warning == (
        f"it is animated: only the first {reached} of its 200 frames could be looked at within the limits of time and "
        "memory."
    )


def test_of_a_huge_canvas_only_the_first_frame_is_looked_at() -> None:
    data = numbered("GIF", [100] * 3, (5000, 4000))
    decoded = read(data)
    assert (len(decoded.frames), decoded.total_frames) == (1, 3)
    assert "only the first 1 of its 3 frames" in decoded.warnings[0]


def test_a_later_frame_cannot_make_the_canvas_larger() -> None:
    small = encoded(Image.new("P", (20, 20)), "GIF")
    frame = gif_frame(0, 0, 13_000, 13_000)
    decoded = read(small[:-1] + frame + frame + b";")
    assert (len(decoded.frames), decoded.total_frames) == (1, 3)
    assert "only the first 1 of its 3 frames" in decoded.warnings[0]


def test_a_gif_of_more_blocks_than_any_animation_is_refused_before_it_is_walked() -> None:
    small = encoded(Image.new("P", (20, 20)), "GIF")
    for blocks in (b"!\xfe" + b"\1x" * 200_000 + b"\0", b"!\xfe\0" * 200_000, b"\1" * 200_000):
        data = small[:-1] + blocks + b";"
        for sampling in (None, EVERY_FRAME):
            with pytest.raises(TooMuch, match="more than 100,000 parts"):
                read(data, sampling)


def test_what_an_apng_claims_to_have_is_not_believed() -> None:
    frames = [Image.new("RGB", (20, 20), (grey_of(number),) * 3) for number in range(3)]
    for claimed in (3, 4, 10_000, 2**31 - 1):
        assert read(apng(frames, claimed=claimed), None).total_frames == 3
        decoded = read(apng(frames, claimed=claimed))
        assert greys(decoded) == [grey_of(number) for number in range(3)]


def test_an_apngs_hidden_first_picture_counts_as_a_frame() -> None:
    frames = [Image.new("RGB", (20, 20), (grey_of(number),) * 3) for number in range(3)]
    decoded = read(apng(frames, first_is_hidden=True))
    assert decoded.total_frames == 3
    assert greys(decoded) == [grey_of(number) for number in range(3)]


def test_a_broken_first_frame_is_the_callers_mistake() -> None:
    with pytest.raises(BrokenPicture):
        read(gif((20, 20), gif_frame(0, 0, 20, 20)))


def test_several_pictures_are_sampled_as_each_alone() -> None:
    files = [numbered("GIF", [500] * 9), encoded(noise(80, 60), "JPEG"), numbered("WEBP", [500] * 5),
             numbered("PNG", [500] * 7, (1700, 1400))]  # fmt: skip
    pictures = [Picture(name=str(place), data=data) for place, data in enumerate(files)]
    sampling = FrameSampling(most=3, every=1.0)
    together = read_batch(pictures, TO_32, view="tiles", frames=sampling, max_pixels=50_000_000, threads=2)
    for data, decoded in zip(files, together, strict=True):
        alone = read_picture(data, TO_32, view="tiles", frames=sampling, max_pixels=50_000_000, name="alone")
        assert [frame.number for frame in decoded.frames] == [frame.number for frame in alone.frames]
        assert (decoded.total_frames, decoded.coverage) == (alone.total_frames, alone.coverage)
        for one, other in zip(decoded.frames, alone.frames, strict=True):
            np.testing.assert_array_equal(one.parts, other.parts)
