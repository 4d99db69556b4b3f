"""An AVIF is judged by the frames inside it, whatever size its boxes say."""

from __future__ import annotations

import io
import random
import struct
from typing import Any

import pytest
from PIL import Image

from moderator.errors import RequestError, TooMuch
from moderator.pictures.av1 import frames_within, samples_within
from moderator.pictures.decode import read_picture
from moderator.pictures.preprocessing import Preprocessing
from support.hostile_pictures import resized
from support.pictures import encoded, noise

pytestmark = pytest.mark.slow

TO_32 = Preprocessing(height=32, width=32, resize_mode="shortest", interpolation="bicubic")
MOST = 100_000


def read(data: bytes, max_pixels: int = 50_000_000) -> None:
    read_picture(data, TO_32, max_pixels=max_pixels, name="it")


def saying(data: bytes, width: int, height: int) -> bytes:
    """Write another size into the box that says it."""
    place = data.index(b"ispe") + 8
    return data[:place] + struct.pack(">II", width, height) + data[place + 8 :]


def animation(size: tuple[int, int], frames: int, *, scale: int = 1) -> bytes:
    buffer = io.BytesIO()
    first, *others = (
        noise(size[0] // scale, size[1] // scale, seed=seed).resize(size) for seed in range(1, frames + 1)
    )
    first.save(buffer, "AVIF", save_all=True, append_images=others, speed=10)
    return buffer.getvalue()


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L"])
@pytest.mark.parametrize("options", [{}, {"quality": 100, "subsampling": "4:4:4"}, {"speed": 10, "quality": 5}])
@pytest.mark.parametrize("size", [(1, 1), (321, 123), (17, 900)])
def test_the_size_inside_is_found(mode: str, options: dict[str, Any], size: tuple[int, int]) -> None:
    data = encoded(noise(*size).convert(mode), "AVIF", **options)
    found = frames_within(data, MOST)
    assert found is not None
    assert (found.width, found.height, found.may_grow) == (*size, False)
    assert found.pixels >= size[0] * size[1]
    read(data)


def test_every_frame_of_an_animation_is_looked_at() -> None:
    data = animation((64, 48), 40)
    found = frames_within(data, MOST)
    assert found is not None
    assert (found.width, found.height, found.may_grow) == (64, 48, False)
    assert frames_within(data, 40) is None
    read(data)


@pytest.mark.parametrize("said", [(100, 100), (1, 1), (4000, 10)])
def test_a_large_picture_that_says_it_is_small_is_refused(said: tuple[int, int]) -> None:
    """The decoder reads it whole, and then makes it as small as it says."""
    data = encoded(Image.new("RGB", (4000, 4000), "red"), "AVIF", speed=10, quality=40)
    assert len(data) < 2000
    with pytest.raises(RequestError, match="4000 x 4000 pixels"):
        read(saying(data, *said))


def test_a_small_picture_that_says_it_is_large_is_for_the_decoder() -> None:
    with pytest.raises(RequestError):
        read(resized("AVIF", 7000, 7000))


def test_it_is_the_settings_limit_that_counts() -> None:
    data = saying(encoded(noise(200, 100), "AVIF"), 20, 10)
    read(data)
    with pytest.raises(RequestError, match="200 x 100 pixels"):
        read(data, max_pixels=10_000)


def test_nothing_that_is_damaged_breaks_the_walk() -> None:
    choose = random.Random(3)
    still, moving = encoded(noise(40, 30), "AVIF"), animation((16, 16), 5)
    for data in (still, moving):
        for cut in range(0, len(data), max(1, len(data) // 300)):
            frames_within(data[:cut], MOST)
        for _ in range(3000):
            damaged = bytearray(data)
            for _ in range(choose.randint(1, 6)):
                damaged[choose.randrange(min(len(data), 700))] = choose.randrange(256)
            frames_within(bytes(damaged), MOST)


def crowded(frames: int) -> bytes:
    """An animation whose first picture's data are all of its frames' data: libavif decodes them all to show one."""
    data = bytearray(animation((1600, 1200), frames, scale=80))
    samples = samples_within(bytes(data), MOST)
    first, together = struct.pack(">I", samples[0].size), struct.pack(">I", sum(sample.size for sample in samples))
    for kind in (b"iloc", b"stsz"):
        place = data.index(first, data.index(kind))
        data[place : place + 4] = together
    # The other samples would begin behind the file's end.
    return bytes(data) + struct.pack(">I4s", 8 + len(data), b"free") + bytes(len(data))


def test_a_picture_behind_which_many_are_hidden_is_refused() -> None:
    few, many = crowded(2), crowded(40)
    read(few)
    with Image.open(io.BytesIO(many)) as image:
        image.load()  # it is sound
    with pytest.raises(TooMuch, match="all its parts together"):
        read(many)
