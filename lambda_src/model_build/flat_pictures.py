"""Pictures with large areas of one colour: blank ones, fades, and pictures between the bars that a player adds.

Where there is nothing to see, a vision transformer uses the patches for itself and writes values into them that are far
larger than elsewhere (https://arxiv.org/abs/2309.16588): what rounds well on busy photographs may not do so here.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from PIL import Image

_COLOURS = ((255, 255, 255), (0, 0, 0), (128, 128, 128), (18, 92, 200))
_SIZE = (440, 248)  # a video's thumbnail
_BARS = ((0, 0, 0), (255, 255, 255), (124, 116, 104))  # the last is about what the view `pad` fills with


def flat_pictures() -> list[Image.Image]:
    """Return four blank pictures, and a fade in each direction."""
    width, height = _SIZE
    across = np.broadcast_to(np.linspace(0, 255, width), (height, width)).astype(np.uint8)
    down = np.broadcast_to(np.linspace(40, 220, height)[:, np.newaxis], (height, width)).astype(np.uint8)
    fades = [Image.fromarray(fade).convert("RGB") for fade in (across, down)]
    return [*(Image.new("RGB", _SIZE, colour) for colour in _COLOURS), *fades]


def padded(pictures: Iterable[Image.Image]) -> list[Image.Image]:
    """Return each picture whole in the middle of a square, with bars that take 30 to 60 % of it."""
    return [_between_bars(picture, number) for number, picture in enumerate(pictures)]


def _between_bars(picture: Image.Image, number: int) -> Image.Image:
    side = max(picture.size)
    square = Image.new("RGB", (side, side), _BARS[number % len(_BARS)])
    # Wide or tall by turns, so that square pictures get bars too.
    size = (side, side * 4 // (6 + number % 4)) if number % 2 else (side * 4 // (6 + number % 4), side)
    whole = picture.copy()
    whole.thumbnail(size)
    square.paste(whole, ((side - whole.width) // 2, (side - whole.height) // 2))
    return square
