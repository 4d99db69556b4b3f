"""Chooses the frames of an animated picture that are looked at, and says how far into it one can look.

A frame of a GIF, an APNG or a WebP is a change to the one before it, so every frame before a chosen one has to be
decoded too. As for still pictures, that is limited by time and memory.
"""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image

from moderator.pictures.structure import gif_images

# What decoding a whole animation may take; and the seconds for each frame, and for each pixel of its canvas. They were
# measured on moving photographs, in which every pixel changes.
_SECONDS = 0.6
_COSTS = {
    "GIF": (55e-6, 20e-9),
    "PNG": (60e-6, 45e-9),
    "WEBP": (35e-6, 25e-9),
    "AVIF": (110e-6, 20e-9),
}

# Far more than float64's rounding, far less than a clock's tick.
_ROUNDING = 1e-9

# Pillow holds up to four copies of the canvas: of a canvas with more pixels only the first frame is looked at.
_LARGEST_CANVAS = 10_000_000


@dataclass(frozen=True, kw_only=True)
class FrameSampling:
    """How many frames of an animated picture are looked at."""

    most: int
    every: float  # the least number of seconds between two of them

    def chosen(self, starts: Sequence[float]) -> list[tuple[int, float]]:
        """Choose moments, evenly spread from the first frame's start to the last one's, and the frames shown then.

        Args:
            starts: the second at which each frame begins, at least one.

        Returns:
            number and second of each frame, in order; once for a frame that is shown at several moments.
        """
        last = starts[-1] - starts[0]
        # Seconds that are added up fall short of 0.3 / 0.1 = 3 by a bit, which must not cost a frame.
        steps = self.most - 1 if self.every <= 0 else int(min(self.most - 1, last / self.every * (1 + _ROUNDING)))
        moments = [starts[0] + last * step / steps for step in range(steps)] if steps else []
        moments.append(starts[-1] if steps else starts[0])
        shown: dict[int, float] = {}
        for moment in moments:
            number = bisect.bisect_right(starts, moment + last * _ROUNDING) - 1
            shown.setdefault(number, max(moment, starts[number]))
        return list(shown.items())


def reachable(image: Image.Image, data: bytes) -> int:
    """Return how many frames, from the first one on, can be decoded within the limits of time and memory."""
    cost = _COSTS.get(image.format or "")
    pixels = image.width * image.height
    if cost is None or pixels > _LARGEST_CANVAS:
        return 1
    frames = max(1, int(_SECONDS / (cost[0] + cost[1] * pixels)))
    if image.format == "GIF":
        # Pillow would enlarge the canvas to whatever a frame asks for.
        for number, (right, bottom) in enumerate(gif_images(data, frames)):
            if right > image.width or bottom > image.height:
                return max(1, number)
    return frames
