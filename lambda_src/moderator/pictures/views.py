"""Which part of a picture is looked at: the parts that the image tower takes are cut from the one decoded picture.

The arithmetic of `center` is open_clip's own preprocessing (torchvision's `Resize` and `CenterCrop` over Pillow), so
the pixels are the same to the bit. The normalisation is not here: it is part of the exported graph.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image

from moderator.pictures.preprocessing import Pixels, Preprocessing
from moderator.pictures.strips import Upright

View = Literal["center", "squash", "pad", "tiles"]
Colour = tuple[int, int, int]

MOST_TILES = 4

# Pictures more than this many times as long as they are wide are not scaled whole.
_LONGEST_STRIP = 16


@dataclass(frozen=True, kw_only=True)
class Coverage:
    """How much of a picture was looked at."""

    kind: View
    parts: int
    unseen: float  # the share of the picture that no part covered


def cut(image: Upright, to: Preprocessing, view: View) -> tuple[tuple[Pixels, ...], Coverage]:
    """Cut the parts of `view` out of a picture and bring each to the model's size.

    Returns:
        the parts, uint8 (height, width, 3) in RGB, from left to right or from top to bottom; and what they cover.
    """
    match view:
        case "center":
            parts, unseen = [_centre(image, to)], _outside_the_centre(image, to)
        case "squash":
            parts, unseen = [image.resize((to.width, to.height), to.resampling)], 0.0
        case "pad":
            whole = _fitted(image, to)
            parts, unseen = [_padded(whole, to, _mean_colour(whole))], 0.0
        case "tiles":
            parts, unseen = _tiles(image, to), 0.0
    return tuple(np.asarray(part) for part in parts), Coverage(kind=view, parts=len(parts), unseen=unseen)


def thickness(size: tuple[int, int], view: View) -> float:
    """Return how much of the model's side a picture's shorter side fills, at most 1: little, for a long strip."""
    ratio = max(size) / min(size)
    match view:
        case "center":
            return 1.0
        case "squash" | "pad":
            return 1 / ratio
        case "tiles":
            return min(1.0, MOST_TILES / ratio)


def _centre(image: Upright, to: Preprocessing) -> Image.Image:
    """Scale the picture, then cut out its centre: CLIP's own way.

    The integer arithmetic is that of torchvision.transforms.functional: `resize` cuts off the longer side's fraction,
    `center_crop` rounds half to even.
    """
    if to.resize_mode == "squash":
        return image.resize((to.width, to.height), to.resampling)

    scaled = _scaled_by_the_shorter_side(image, to)
    left = round((scaled[0] - to.width) / 2.0)
    top = round((scaled[1] - to.height) / 2.0)
    centre = (left, top, left + to.width, top + to.height)

    if max(scaled) > _LONGEST_STRIP * min(to.width, to.height):
        # Scaled whole, a picture of 1 x 20000 would take 3 GB. `box` computes the centre alone; it is not used always
        # because Pillow keeps it in single precision, which moves one pixel in a thousand by one level.
        x, y = image.width / scaled[0], image.height / scaled[1]
        return image.resize(
            (to.width, to.height), to.resampling, box=(centre[0] * x, centre[1] * y, centre[2] * x, centre[3] * y)
        )
    return image.resize(scaled, to.resampling).crop(centre)


def _scaled_by_the_shorter_side(image: Upright, to: Preprocessing) -> tuple[int, int]:
    shortest = min(to.width, to.height)
    if image.width <= image.height:
        return shortest, int(shortest * image.height / image.width)
    return int(shortest * image.width / image.height), shortest


def _outside_the_centre(image: Upright, to: Preprocessing) -> float:
    """Return the share of the picture that the centre leaves out: 44 % of 16:9."""
    if to.resize_mode == "squash":
        return 0.0
    width, height = _scaled_by_the_shorter_side(image, to)
    return 1.0 - min(1.0, to.width / width) * min(1.0, to.height / height)


def _padded(whole: Image.Image, to: Preprocessing, colour: Colour) -> Image.Image:
    padded = Image.new("RGB", (to.width, to.height), colour)
    padded.paste(whole, ((to.width - whole.width) // 2, (to.height - whole.height) // 2))
    return padded


def _fitted(image: Upright, to: Preprocessing) -> Image.Image:
    """Return the whole picture, as large as the model's input allows."""
    scale = min(to.width / image.width, to.height / image.height)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size, to.resampling)


def _mean_colour(image: Image.Image) -> Colour:
    red, green, blue = np.asarray(image).mean(axis=(0, 1)).round().astype(int).tolist()
    return red, green, blue


def _tiles(image: Upright, to: Preprocessing) -> list[Image.Image]:
    """Cut squares along the longer side, overlapping evenly, as few as cover everything.

    A strip too long for four such squares is cut into four quarters of its length, each padded to a square with the
    colour that the whole picture would be padded with.
    """
    longer, side = max(image.size), min(image.size)
    is_strip = longer > MOST_TILES * side
    length = -(-longer // MOST_TILES) if is_strip else side
    count = -(-longer // length)
    # In whole pixels, so that a tile equals the same square sent alone. No gap is left: two starts are at most a tile's
    # length apart, and are so after rounding too.
    starts = [round(number * (longer - length) / max(1, count - 1)) for number in range(count)]
    tiles = [
        image.part(
            (start, 0, start + length, side) if image.width >= image.height else (0, start, side, start + length)
        )
        for start in starts
    ]
    if is_strip:
        colour = _mean_colour(_fitted(image, to))
        return [_padded(_fitted(tile, to), to, colour) for tile in tiles]
    return [_centre(tile, to) for tile in tiles]
