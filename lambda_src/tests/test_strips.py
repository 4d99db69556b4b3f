"""A picture converted a strip at a time has the very pixels of one that is converted whole."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageOps

from moderator.pictures.strips import Upright
from support.pictures import encoded, noise

pytestmark = pytest.mark.slow

# More than two strips' worth, and no multiple of a strip.
SIZE = (1203, 1101)


def in_mode(mode: str) -> Image.Image:
    if mode == "I;16":
        return Image.fromarray(np.random.default_rng(3).integers(0, 65_536, SIZE[::-1], dtype=np.uint16))
    if mode == "F":
        return Image.fromarray(np.random.default_rng(3).random(SIZE[::-1], dtype=np.float32) * 7)
    if mode == "RGBA":
        return noise(*SIZE, channels=4)
    return noise(*SIZE).convert(mode)


def converted_whole(image: Image.Image) -> Image.Image:
    if image.mode == "RGBA":
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    if image.mode in ("I;16", "F"):
        values = np.asarray(image).astype(np.float32)
        white = 65_535 if image.mode == "I;16" else values.max()
        return Image.fromarray((values * (255.0 / white) + 0.5).astype(np.uint8)).convert("RGB")
    return image.convert("RGB")


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "1", "P", "CMYK", "I;16", "F"])
def test_scaling_in_strips_equals_scaling_whole(mode: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = Image.open(io.BytesIO(encoded(in_mode(mode), "TIFF", exif=exif)))
    image.load()
    whole = turned(converted_whole(in_mode(mode)), orientation)
    size = (300, round(300 * whole.height / whole.width))
    upright = Upright(image)
    assert upright.size == whole.size
    scaled = np.asarray(upright.resize(size, Image.Resampling.BICUBIC)).astype(int)
    difference = np.abs(scaled - np.asarray(whole.resize(size, Image.Resampling.BICUBIC)).astype(int))
    # Pillow's own way to lay a picture on white is alpha_composite, whose rounding differs by one level.
    assert difference.max() <= (1 if mode == "RGBA" else 0)


def turned(image: Image.Image, orientation: int) -> Image.Image:
    """What Pillow makes of an orientation."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    buffer = io.BytesIO()
    image.save(buffer, "PNG", exif=exif, compress_level=0)
    return ImageOps.exif_transpose(Image.open(buffer))


def test_of_a_box_only_what_is_needed_is_read_and_the_pixels_are_the_same() -> None:
    picture = noise(40, 20_000).convert("L")
    box = (0.0, 9_980.25, 40.0, 10_020.75)
    upright = Upright(picture)
    scaled = upright.resize((224, 224), Image.Resampling.BICUBIC, box)
    expected = picture.convert("RGB").resize((224, 224), Image.Resampling.BICUBIC, box)
    # Pillow keeps the box in single precision, and its coordinates depend on what is around it.
    assert np.abs(np.asarray(scaled).astype(int) - np.asarray(expected).astype(int)).max() <= 2
