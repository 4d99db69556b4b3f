"""Pictures that tests send: drawn ones, and ways to encode them."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
from PIL import Image

from model_build.demo_pictures import draw


def drawn(colour: str = "red", shape: str = "circle", background: str = "plain", seed: int = 20_000) -> Image.Image:
    """A picture such as the demo model was trained on, but drawn with a seed of the tests' own."""
    return draw(colour, shape, background, np.random.default_rng(seed))


def encoded(image: Image.Image, format: str = "PNG", **options: Any) -> bytes:
    """The picture as a file."""
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def as_base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def noise(width: int, height: int, seed: int = 1, channels: int = 3) -> Image.Image:
    """Random pixels: the hardest input for a resize."""
    shape = (height, width, channels) if channels > 1 else (height, width)
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8))
