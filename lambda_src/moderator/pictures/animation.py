"""Plays an animated picture as far as the chosen frames need it, and says beforehand what that costs.

A frame is a change to the one before it. But what is painted over before anybody looks need not be decoded: of an
animation whose every frame is whole, the chosen ones are enough. What is needed and what it costs is read from the
frames' headers, never from a clock, so that the same picture is seen alike on every machine.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from PIL import Image

from moderator.pictures.frames import FrameSampling
from moderator.pictures.strips import on_white

Area = tuple[int, int, int, int]  # left, top, right, bottom

# What an animation may take after its first frame, by the estimates: with the first, it stays within a second.
_SECONDS = 0.7
# Making the canvas, a pixel; cutting a frame to the model's size; and listing one.
CANVAS_PIXEL = 3e-9
_SHOWING, _SHOWING_A_PIXEL = 2e-3, 10e-9
_LISTING = 3e-6

# The canvas, the frame as it is unpacked and in colour, and what was there before: of a larger canvas only the first
# frame is looked at.
_LARGEST_CANVAS = 10_000_000

# Transparency is laid on white, and everything is laid on what was there. So the canvas itself can be opaque.
_BARE = "white"


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """What one frame does to the canvas."""

    area: Area
    start: int  # where the file describes it
    end: int
    is_opaque: bool  # nothing of what was there is left within the area
    afterwards: Literal["keep", "clear", "restore"]  # what becomes of the area before the next frame
    seconds: float  # estimated, of decoding it


class Animation(Protocol):
    """The frames of one file."""

    @property
    def changes(self) -> Sequence[Change]:
        """Of each frame, in order; up to the first that is not within the canvas."""

    def decode(self, change: Change) -> Image.Image:
        """Return what is drawn in the change's area, in RGB or RGBA.

        Raises:
            Exception: of any kind, for a damaged frame.
        """


def needed(changes: Sequence[Change], chosen: Sequence[int]) -> list[int]:
    """Return the numbers of the frames that leave something of which a chosen frame shows anything.

    Args:
        changes: of each frame.
        chosen: in order.
    """
    wanted = set(chosen)
    numbers = []
    hidden: Area | None = None  # will be painted over before the next look
    for number in range(chosen[-1], 0, -1):
        change = changes[number]
        if number in wanted:
            numbers.append(number)
            hidden = change.area if change.is_opaque and change.afterwards != "restore" else None
        elif change.afterwards != "restore" and not _contains(hidden, change.area):
            numbers.append(number)
            if change.is_opaque or change.afterwards == "clear":
                hidden = max(hidden or change.area, change.area, key=_pixels)
    return numbers[::-1]


def reachable(
    changes: Sequence[Change], starts: Sequence[float], size: tuple[int, int], sampling: FrameSampling
) -> int:
    """Return how many frames, from the first one on, can be looked at within the limits of time and memory.

    Args:
        changes: of each frame; of fewer than there are, if the rest cannot be decoded.
        starts: the second at which each frame begins.
        size: of the canvas.
        sampling: which of them are to be looked at.
    """
    if size[0] * size[1] > _LARGEST_CANVAS:
        return 1
    showing = _SHOWING + _SHOWING_A_PIXEL * size[0] * size[1]
    seconds = _LISTING * len(starts) + CANVAS_PIXEL * size[0] * size[1]
    chosen = sampling.chosen(starts)
    if chosen[-1][0] < len(changes):
        shown = [number for number, _ in chosen]
        drawn = sum(
            changes[number].seconds
            for number in needed(changes, shown)
            if number in shown or changes[number].afterwards == "keep"
        )
        if seconds + drawn + showing * (len(shown) - 1) <= _SECONDS:
            return len(starts)
    # As many as could be seen if each of them were needed.
    for number, change in enumerate(changes[1:], 1):
        seconds += change.seconds
        if seconds + showing * min(number, sampling.most - 1) > _SECONDS:
            return number
    return max(1, len(changes))


def play(animation: Animation, first: Image.Image, chosen: Sequence[int]) -> Iterator[Image.Image]:
    """Yield the canvas at each of the chosen frames, in RGB; it is the same canvas each time.

    Args:
        animation: the file's frames.
        first: frame 0, loaded; it is left as it is.
        chosen: in order, without frame 0.

    Raises:
        Exception: of any kind, for a damaged frame.
    """
    changes, wanted = animation.changes, set(chosen)
    canvas = on_white(first)
    canvas = canvas.copy() if canvas is first else canvas
    if changes[0].afterwards != "keep":  # there is nothing before it that could be restored
        canvas.paste(_BARE, changes[0].area)
    for number in needed(changes, chosen):
        change = changes[number]
        if number in wanted or change.afterwards == "keep":
            before = canvas.crop(change.area) if change.afterwards == "restore" else None
            picture = animation.decode(change)
            canvas.paste(picture, change.area, picture if picture.mode == "RGBA" else None)
            if number in wanted:
                yield canvas
            if before is not None:
                canvas.paste(before, change.area)
        if change.afterwards == "clear":
            canvas.paste(_BARE, change.area)


def _pixels(area: Area) -> int:
    return (area[2] - area[0]) * (area[3] - area[1])


def _contains(outer: Area | None, inner: Area) -> bool:
    if outer is None:
        return False
    return outer[0] <= inner[0] and outer[1] <= inner[1] and inner[2] <= outer[2] and inner[3] <= outer[3]
