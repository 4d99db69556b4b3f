"""The pictures that the benchmark classifies: real photographs, at the sizes that the measurements speak of."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image
from skimage import data


def thumbnail() -> bytes:
    """Return a JPEG of 440 x 248, the size of a video host's thumbnail."""
    return _jpeg(Image.fromarray(data.coffee()).resize((440, 248), Image.Resampling.BICUBIC))


def square() -> bytes:
    """Return a JPEG of 330 x 330: as many pixels as the thumbnail, all of which CLIP's own cut keeps."""
    return _jpeg(Image.fromarray(data.astronaut()).resize((330, 330), Image.Resampling.BICUBIC))


def thumbnails(count: int) -> list[bytes]:
    """Return different JPEGs of 440 x 248, cut from photographs."""
    photographs = [Image.fromarray(getattr(data, name)()) for name in ("astronaut", "coffee", "chelsea", "rocket")]
    pictures = []
    for number in range(count):
        photograph = photographs[number % len(photographs)]
        left = 10 * (number // len(photographs))
        part = photograph.crop((left, 0, photograph.width, photograph.height))
        pictures.append(_jpeg(part.resize((440, 248), Image.Resampling.BICUBIC)))
    return pictures


def twelve_megapixels() -> bytes:
    """Return a JPEG of 4000 x 3000 with a camera's noise, without which it would decode faster than a real one."""
    photograph = Image.fromarray(data.astronaut()).resize((4000, 3000), Image.Resampling.BICUBIC)
    grain = np.random.default_rng(0).normal(0, 4, (3000, 4000, 3))
    return _jpeg(Image.fromarray(np.clip(np.asarray(photograph) + grain, 0, 255).astype(np.uint8)))


def _jpeg(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=90)
    return buffer.getvalue()
