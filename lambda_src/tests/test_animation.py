"""Of an animation only what the chosen frames need is decoded, and they look as if everything had been."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from moderator.pictures.animation import CANVAS_PIXEL, Change, needed, play, reachable
from moderator.pictures.animations import animation_of
from moderator.pictures.frames import FrameSampling
from support.harness import LAMBDA_SRC
from support.moving import FORMATS, animated, contents, drawings, opened, photographs

SIDE = 6
WHITE = 255


@dataclass(frozen=True)
class Squares:
    """Frames of one grey each; where one sees through them, every second pixel is missing. Counts what it decodes."""

    changes: Sequence[Change]
    decoded: list[int] = field(default_factory=list)

    def decode(self, change: Change) -> Image.Image:
        self.decoded.append(change.start)
        pixels = pixels_of(change)
        alpha = np.where(pixels < 0, 0, 255)
        if change.is_opaque:
            return Image.fromarray(np.repeat(pixels.astype(np.uint8)[..., None], 3, axis=2))
        return Image.fromarray(np.stack([pixels, pixels, pixels, alpha], axis=2).astype(np.uint8), "RGBA")


def pixels_of(change: Change) -> npt.NDArray[np.int64]:
    left, top, right, bottom = change.area
    pixels = np.full((bottom - top, right - left), change.start * 7 % 251)
    if not change.is_opaque:
        pixels[(np.add.outer(np.arange(bottom - top), np.arange(right - left)) + change.start) % 2 == 0] = -1
    return pixels


def shown(changes: Sequence[Change]) -> list[npt.NDArray[np.int64]]:
    """The canvas at each frame, as the formats define it."""
    canvas = np.full((SIDE, SIDE), WHITE)
    frames = []
    for change in changes:
        left, top, right, bottom = change.area
        before = canvas.copy()
        pixels = pixels_of(change)
        part = canvas[top:bottom, left:right]
        part[pixels >= 0] = pixels[pixels >= 0]
        frames.append(canvas.copy())
        if change.afterwards == "restore":
            canvas = before
        if change.afterwards == "clear":
            canvas[top:bottom, left:right] = WHITE
    return frames


def change(number: int, **how: Any) -> Change:
    usual = {"area": (0, 0, SIDE, SIDE), "is_opaque": True, "afterwards": "keep", "seconds": 0.01}
    return Change(**{**usual, **how}, start=number, end=0)


@st.composite
def animations(draw: st.DrawFn) -> list[Change]:
    changes = []
    for number in range(draw(st.integers(2, 12))):
        left, top = draw(st.integers(0, SIDE - 1)), draw(st.integers(0, SIDE - 1))
        area = draw(
            st.one_of(
                st.just((0, 0, SIDE, SIDE)),
                st.tuples(st.just(left), st.just(top), st.integers(left + 1, SIDE), st.integers(top + 1, SIDE)),
            )
        )
        afterwards = draw(st.sampled_from(["keep", "keep", "clear", "restore"]))
        changes.append(change(number, area=area, is_opaque=draw(st.booleans()), afterwards=afterwards))
    return changes


@given(changes=animations(), data=st.data())
def test_each_chosen_frame_is_as_if_all_had_been_decoded(changes: list[Change], data: st.DataObject) -> None:
    chosen = sorted(data.draw(st.sets(st.integers(1, len(changes) - 1), min_size=1)))
    expected = shown(changes)
    first = Image.fromarray(expected[0].astype(np.uint8)).convert("RGB")
    for number, canvas in zip(chosen, play(Squares(changes), first, chosen), strict=True):
        np.testing.assert_array_equal(np.asarray(canvas)[..., 0], expected[number], err_msg=str(number))
    assert set(needed(changes, chosen)) >= set(chosen)


def test_of_whole_frames_the_chosen_ones_alone_are_decoded() -> None:
    squares = Squares([change(number) for number in range(1000)])
    list(play(squares, Image.new("RGB", (SIDE, SIDE)), [300, 600, 999]))
    assert squares.decoded == [300, 600, 999]


def test_what_is_taken_back_before_the_next_look_is_not_decoded() -> None:
    for afterwards in ("clear", "restore"):
        changes = [change(number, is_opaque=False, afterwards=afterwards) for number in range(100)]
        squares = Squares(changes)
        list(play(squares, Image.new("RGB", (SIDE, SIDE)), [50, 99]))
        assert squares.decoded == [50, 99]


def test_a_key_frame_is_where_decoding_begins() -> None:
    squares = Squares([change(number, is_opaque=number % 10 == 0) for number in range(100)])
    list(play(squares, Image.new("RGB", (SIDE, SIDE)), [52, 99]))
    assert squares.decoded == [50, 51, 52, *range(90, 100)]


EIGHT = FrameSampling(most=8, every=0.1)


def reach(changes: Sequence[Change], size: tuple[int, int] = (SIDE, SIDE), frames: int = 0) -> int:
    return reachable(changes, [number / 10 for number in range(frames or len(changes))], size, EIGHT)


def test_what_is_needed_decides_how_far_one_can_look() -> None:
    """Of 1000 frames of a hundredth of a second each, some seventy; if eight are enough, all."""
    whole = [change(number) for number in range(1000)]
    assert reach(whole) == 1000
    assert 60 <= reach([change(number, is_opaque=False) for number in range(1000)]) <= 70
    assert reach([change(number, is_opaque=False, seconds=1e-4) for number in range(1000)]) == 1000


def test_of_a_canvas_above_the_limit_and_of_no_sound_frame_the_first_alone_is_looked_at() -> None:
    whole = [change(number) for number in range(10)]
    assert reach(whole, (4000, 3000)) == 1
    assert reach(whole[:1], frames=10) == reach([], frames=10) == 1
    assert reach(whole[:4], frames=10) == 4


@pytest.mark.slow
@pytest.mark.parametrize(("format", "said"), [("GIF", 88), ("AVIF", 68), ("WEBP", 48), ("PNG", 29)])
def test_how_much_can_be_reached_is_what_the_docs_say(format: str, said: int) -> None:
    """Of drawings of 1280 x 720, were each frame to need all that are before it."""
    named = {"GIF": "a GIF", "AVIF": "an AVIF", "WEBP": "a WebP", "PNG": "an APNG"}[format]
    assert re.search(rf"\b{said}\s+(frames )?of {named}\b", (LAMBDA_SRC.parent / "docs" / "api.md").read_text())
    options = {"WEBP": {"method": 2}, "AVIF": {"speed": 9, "quality": 60}}.get(format, {})
    file = animated(drawings(3, (1280, 720)), format, **options)
    change = animation_of(opened(file), file, 3).changes[2]
    assert reach([replace(change, is_opaque=False)] * 200, (1280, 720)) == pytest.approx(said, rel=0.05)


def ratios(files: Iterable[tuple[str, bytes]]) -> dict[str, float]:
    """For each content, how many times the estimate decoding takes."""
    found = {}
    for content, file in files:
        took = []
        for _ in range(7):  # the least of them: others use this machine too
            image = opened(file)
            animation = animation_of(image, file, getattr(image, "n_frames", 1))
            began = time.process_time()  # libavif has threads of its own
            frames = list(play(animation, image, range(1, len(animation.changes))))
            took.append(time.process_time() - began)
        assert len(frames) > 2, content
        expected = CANVAS_PIXEL * image.width * image.height + sum(change.seconds for change in animation.changes[1:])
        found[content] = min(took) / expected
    return found


@pytest.fixture(scope="module")
def here() -> float:
    """The same ratio of a moving photograph as GIF: how much slower this machine is than the one that was measured."""
    return ratios([("it", animated(photographs(4), "GIF"))])["it"]


@pytest.mark.slow
@pytest.mark.parametrize("format", FORMATS)
def test_the_estimates_are_true(format: str, here: float) -> None:
    """No content takes much longer than its headers let expect, and none is taken for many times what it is."""
    for content, ratio in ratios(contents(format)).items():
        print(f"{format} {content}: {ratio:.2f} times the estimate, on a machine that takes {here:.2f} times")
        assert ratio < 1.5 * here, content
        assert ratio > 0.12 * here, content
