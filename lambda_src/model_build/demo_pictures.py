"""Draws the demo model's pictures: one coloured shape on a plain, gradient or noisy background.

Needs Pillow and numpy only, so that whoever tests the service can draw pictures that the model has never seen.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

# Name -> RGB. Swapping red and blue turns one into another, so mixed-up channels give a wrong answer.
COLOURS: Mapping[str, tuple[int, int, int]] = {
    "red": (214, 28, 36),
    "orange": (248, 132, 18),
    "yellow": (246, 224, 44),
    "green": (32, 152, 60),
    "blue": (34, 76, 212),
    "purple": (132, 44, 168),
    "black": (16, 16, 16),
    "white": (246, 246, 246),
}

# The two arrows differ only by direction, so an upside-down picture gives a wrong answer.
SHAPES = (
    "circle",
    "square",
    "triangle",
    "star",
    "cross",
    "heart",
    "arrow pointing up",
    "arrow pointing down",
)

BACKGROUNDS = ("plain", "gradient", "noisy")

# Small enough that a turned arrow still points up, and a turned cross is still upright.
_LARGEST_TURN = math.radians(20)
# How far (Euclidean, of 255 a channel) every part of the background stays from the shape's colour.
_LEAST_CONTRAST = 110.0
# Shapes are drawn this many times larger and scaled down, for smooth edges.
_OVERSAMPLING = 3

_Points = list[tuple[float, float]]


def label(colour: str, shape: str) -> str:
    """Return the label in the model's own words, such as "a red circle" or "an orange arrow pointing up"."""
    return f"{'an' if colour[0] in 'aeiou' else 'a'} {colour} {shape}"


def draw(colour: str, shape: str, background: str, rng: np.random.Generator) -> Image.Image:
    """Draw one picture; position, size, turn, shade, background colours and the picture's own size come from `rng`.

    The short side has 64 to 160 pixels, the long side up to 1.6 times that; the shape lies within the centre square.

    Raises:
        KeyError: the colour is not one of COLOURS.
        ValueError: the shape or the background is not one of SHAPES or BACKGROUNDS.
    """
    width, height = _picture_size(rng)
    side = min(width, height)
    shade = np.clip(np.array(COLOURS[colour]) + rng.integers(-14, 15, 3), 0, 255)

    pixels = _background(background, shade, height, width, rng)
    picture = Image.fromarray(pixels)

    radius = side * rng.uniform(0.26, 0.42)
    # A shape's farthest point is one radius from its centre: this keeps it whole within the centre square.
    room = side / 2 - radius - 1
    centre = (width / 2 + rng.uniform(-room, room), height / 2 + rng.uniform(-room, room))
    turn = rng.uniform(-_LARGEST_TURN, _LARGEST_TURN)

    mask = Image.new("L", (width * _OVERSAMPLING, height * _OVERSAMPLING), 0)
    outline = _placed(_outline(shape), centre, radius, turn)
    ImageDraw.Draw(mask).polygon([(x * _OVERSAMPLING, y * _OVERSAMPLING) for x, y in outline], fill=255)
    mask = mask.resize((width, height), Image.Resampling.BOX)
    picture.paste((int(shade[0]), int(shade[1]), int(shade[2])), (0, 0), mask)
    return picture


def _picture_size(rng: np.random.Generator) -> tuple[int, int]:
    short = int(rng.integers(64, 161))
    long = int(short * rng.uniform(1.0, 1.6))
    return (short, long) if rng.random() < 0.5 else (long, short)


def _background(
    kind: str, shade: NDArray[np.int64], height: int, width: int, rng: np.random.Generator
) -> NDArray[np.uint8]:
    # (height, width, 3)
    if kind not in BACKGROUNDS:
        raise ValueError(f"background {kind!r} is not one of {', '.join(BACKGROUNDS)}")
    while True:
        first, second = rng.uniform(0, 255, (2, 3))
        if kind != "gradient":
            second = first
        along = np.linspace(first, second, 9)
        if np.linalg.norm(along - shade, axis=1).min() >= _LEAST_CONTRAST:
            break
    down, across = np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij")
    direction = rng.uniform(0, 2 * math.pi)
    weight = (down * math.sin(direction) + across * math.cos(direction)) / math.sqrt(2) / 2 + 0.5
    colours = first + weight[..., None] * (second - first)
    if kind == "noisy":
        colours = colours + rng.normal(0, rng.uniform(10, 30), (height, width, 3))
    clipped: NDArray[np.uint8] = np.clip(colours, 0, 255).astype(np.uint8)
    return clipped


def _placed(outline: _Points, centre: tuple[float, float], radius: float, turn: float) -> _Points:
    cosine, sine = math.cos(turn) * radius, math.sin(turn) * radius
    return [(centre[0] + x * cosine - y * sine, centre[1] + x * sine + y * cosine) for x, y in outline]


def _outline(shape: str) -> _Points:
    # Within the unit circle; y grows downwards, as in pictures.
    match shape:
        case "circle":
            return [_on_circle(turn / 48) for turn in range(48)]
        case "square":
            half = math.sqrt(0.5)
            return [(-half, -half), (half, -half), (half, half), (-half, half)]
        case "triangle":
            return [_on_circle(turn / 3) for turn in range(3)]
        case "star":
            return [_on_circle(turn / 10, 1.0 if turn % 2 == 0 else 0.42) for turn in range(10)]
        case "cross":
            a, b = 0.32, 0.94
            corners = [(-a, -b), (a, -b), (a, -a), (b, -a), (b, a), (a, a), (a, b), (-a, b), (-a, a), (-b, a)]
            return [*corners, (-b, -a), (-a, -a)]
        case "heart":
            return _heart()
        case "arrow pointing up":
            return _arrow_up()
        case "arrow pointing down":
            return [(x, -y) for x, y in _arrow_up()]
        case _:
            raise ValueError(f"shape {shape!r} is not one of {', '.join(SHAPES)}")


def _on_circle(turn: float, radius: float = 1.0) -> tuple[float, float]:
    # Zero turn is straight up.
    return radius * math.sin(2 * math.pi * turn), -radius * math.cos(2 * math.pi * turn)


def _arrow_up() -> _Points:
    return [(0, -1), (0.72, -0.15), (0.26, -0.15), (0.26, 0.95), (-0.26, 0.95), (-0.26, -0.15), (-0.72, -0.15)]


def _heart() -> _Points:
    # The heart curve of https://mathworld.wolfram.com/HeartCurve.html (its last), scaled into the unit circle.
    points: _Points = []
    for step in range(60):
        t = 2 * math.pi * step / 60
        x = 16 * math.sin(t) ** 3
        y = 13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t)
        points.append((x / 18.5, -(y + 2.5) / 18.5))
    return points
