"""Moving pictures of several contents, from the cheapest to the dearest to decode, in each animated format."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFile

from support.pictures import encoded

FORMATS = ("GIF", "PNG", "WEBP", "AVIF")
_SIZE = _WIDTH, _HEIGHT = 640, 360
_FRAMES = 4
_OPTIONS: dict[str, dict[str, dict[str, Any]]] = {
    "GIF": {"": {}},
    "PNG": {"": {"compress_level": 6}},
    "WEBP": {
        "": {"quality": 75, "method": 2},
        " at the best quality": {"quality": 100, "method": 0},
        " without loss": {"lossless": True, "method": 2, "quality": 20},
    },
    "AVIF": {"": {"speed": 9, "quality": 75}, " at the best quality": {"speed": 9, "quality": 98}},
}


def photographs(grain: int, count: int = _FRAMES, size: tuple[int, int] = _SIZE) -> list[Image.Image]:
    """A soft picture that the camera moves over, with grain of this many levels."""
    random = np.random.default_rng(grain)
    width, height = size
    coarse = Image.fromarray(random.integers(0, 256, (height // 10, width // 6, 3), dtype=np.uint8))
    scene = np.asarray(coarse.resize((2 * width, 2 * height), Image.Resampling.BICUBIC)).astype(np.int16)
    frames = []
    for number in range(count):
        left, top = 11 * number % width, 7 * number % height
        view = scene[top : top + height, left : left + width] + random.integers(-grain, grain + 1, (height, width, 3))
        frames.append(Image.fromarray(view.clip(0, 255).astype(np.uint8)))
    return frames


def screens(count: int = _FRAMES, size: tuple[int, int] = _SIZE) -> list[Image.Image]:
    """A white screen on which a small window moves."""
    window = photographs(0, 1)[0].crop((0, 0, size[0] // 4, size[1] // 4))
    frames = []
    for number in range(count):
        screen = Image.new("RGB", size, "white")
        screen.paste(window, (37 * number % (size[0] // 2), 23 * number % (size[1] // 2)))
        frames.append(screen)
    return frames


def drawings(count: int = _FRAMES, size: tuple[int, int] = _SIZE) -> list[Image.Image]:
    """Discs in plain colours, other ones in each frame."""
    frames = []
    for number in range(count):
        random = np.random.default_rng(number)
        drawing = Image.new("RGB", size, "white")
        for _ in range(60):
            x, y, side = (int(random.integers(0, most)) for most in (*size, 90))
            colour = (int(random.integers(256)), int(random.integers(256)), int(random.integers(256)))
            ImageDraw.Draw(drawing).ellipse((x, y, x + side, y + side), fill=colour)
        frames.append(drawing)
    return frames


def contents(format: str) -> Iterator[tuple[str, bytes]]:
    """Yield the name and the file of each content, in each quality that the format has."""
    masks = [mask.convert("L") for mask in photographs(3)]
    frames = {
        "photograph": photographs(4),
        "grainy photograph": photographs(25),
        "noise": photographs(250),
        "screen": screens(),
        "drawing": drawings(),
        "plain colour": [Image.new("RGB", _SIZE, (40 * number, 0, 0)) for number in range(_FRAMES)],
        "transparent photograph": [_masked(*pair) for pair in zip(photographs(4), masks, strict=True)],
    }
    for content, images in frames.items():
        for quality, options in _OPTIONS[format].items():
            yield content + quality, animated(images, format, **options)


def animated(frames: list[Image.Image], format: str, *, duration: int = 100, **options: Any) -> bytes:
    """The frames as a file."""
    if format == "GIF":
        frames = [frame.quantize(256, Image.Quantize.FASTOCTREE) if frame.mode == "RGB" else frame for frame in frames]
    return encoded(frames[0], format, save_all=True, append_images=frames[1:], duration=duration, **options)


def opened(data: bytes) -> ImageFile.ImageFile:
    """The first frame, loaded."""
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def _masked(image: Image.Image, mask: Image.Image) -> Image.Image:
    image.putalpha(mask)
    return image
