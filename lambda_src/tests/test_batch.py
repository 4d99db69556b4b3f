"""Several pictures in one request are decoded at the same time: the answers stay the same, and so does the memory."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from moderator.errors import BrokenPicture, TooMuch
from moderator.pictures.batch import Picture, read_batch
from moderator.pictures.decode import read_picture
from moderator.pictures.preprocessing import Preprocessing
from support.pictures import as_base64, encoded, noise
from support.server_process import server_process

pytestmark = pytest.mark.slow

TO_64 = Preprocessing(height=64, width=64, resize_mode="shortest", interpolation="bicubic")


def named(*files: bytes) -> list[Picture]:
    return [Picture(name=f"images[{place}]", data=data) for place, data in enumerate(files)]


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_the_pixels_are_those_of_each_picture_alone_in_order(threads: int) -> None:
    # Small and large ones in turn, so that they do not finish in the order in which they began.
    sizes = [(1800, 1300), (70, 90), (1600, 1400), (64, 64), (300, 10), (2000, 1200), (5, 5)]
    files = [encoded(noise(*size, seed=place), "JPEG") for place, size in enumerate(sizes)]
    together = read_batch(named(*files), TO_64, max_pixels=50_000_000, threads=threads)
    for data, seen in zip(files, together, strict=True):
        alone = read_picture(data, TO_64, max_pixels=50_000_000, name="alone")
        np.testing.assert_array_equal(seen.frames[0].parts, alone.frames[0].parts)


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_of_several_wrong_pictures_the_first_is_named(threads: int) -> None:
    good, large = encoded(noise(80, 80)), encoded(noise(200, 200))
    pictures = named(good, good, good[:-900], good, large)
    with pytest.raises(BrokenPicture, match=r"^images\[2\] is a PNG picture that cannot be decoded"):
        read_batch(pictures, TO_64, max_pixels=20_000, threads=threads)
    with pytest.raises(TooMuch, match=r"^images\[4\] "):
        read_batch([*pictures[:2], *pictures[3:]], TO_64, max_pixels=20_000, threads=threads)


def test_eight_of_the_largest_pictures_take_no_more_memory_than_one(tmp_path: Path) -> None:
    largest = as_base64(encoded(Image.new("RGB", (7000, 4990), "red")))
    with server_process(tmp_path, {"THREADS": "4", "POWERTOOLS_METRICS_DISABLED": "true"}) as server:

        def grown(count: int) -> int:
            before = server.resident_bytes
            server.forget_peak()
            body = json.dumps({"images": [largest] * count, "labels": ["a red circle", "a blue square"]}).encode()
            reply = server.service.post_json(body)
            assert reply.status == 200, reply.body
            return server.peak_bytes - before

        grown(1)  # what is loaded with the first picture is not what a picture costs
        one, eight = grown(1), grown(8)
    assert one > 100_000_000
    assert eight < min(1.5 * one, 300_000_000)
