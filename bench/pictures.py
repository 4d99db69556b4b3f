"""The pictures that the benchmark classifies: real photographs, at the sizes that the measurements speak of."""

from __future__ import annotations

import io
from collections.abc import Iterator

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
    photographs = _photographs()
    pictures = []
    for number in range(count):
        photograph = photographs[number % len(photographs)]
        left = 10 * (number // len(photographs))
        part = photograph.crop((left, 0, photograph.width, photograph.height))
        pictures.append(_jpeg(part.resize((440, 248), Image.Resampling.BICUBIC)))
    return pictures


def different(count: int) -> Iterator[bytes]:
    """Yield JPEGs of which no two are alike: any part of a photograph, at 440 x 248 and at 330 x 330 in turns."""
    photographs = _photographs()
    rng = np.random.default_rng(0)
    for number in range(count):
        photograph = photographs[number // 2 % len(photographs)]
        width, height = ((440, 248), (330, 330))[number % 2]
        scale = rng.uniform(0.5, 1) * min(photograph.width / width, photograph.height / height)
        left = rng.uniform(0, photograph.width - scale * width)
        top = rng.uniform(0, photograph.height - scale * height)
        box = (left, top, left + scale * width, top + scale * height)
        yield _jpeg(photograph.resize((width, height), Image.Resampling.BICUBIC, box=box))


def twelve_megapixels() -> bytes:
    """Return a JPEG of 4000 x 3000 with a camera's noise, without which it would decode faster than a real one."""
    photograph = Image.fromarray(data.astronaut()).resize((4000, 3000), Image.Resampling.BICUBIC)
    grain = np.random.default_rng(0).normal(0, 4, (3000, 4000, 3))
    return _jpeg(Image.fromarray(np.clip(np.asarray(photograph) + grain, 0, 255).astype(np.uint8)))


def _photographs() -> list[Image.Image]:
    return [Image.fromarray(getattr(data, name)()) for name in ("astronaut", "coffee", "chelsea", "rocket")]


def _jpeg(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=90)
    return buffer.getvalue()
