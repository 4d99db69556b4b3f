"""Near-duplicates are told from pictures that are only alike."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageEnhance
from skimage import data

from moderator.pictures.batch import Picture
from support.pictures import encoded
from tools.calibration.lookalikes import groups, look_hash

PHOTOGRAPHS = [Image.fromarray(getattr(data, name)()) for name in ("astronaut", "coffee", "chelsea", "rocket")]


def hash_of(image: Image.Image, format: str = "PNG", **options: int) -> bytes:
    picture = Picture(name="it", data=encoded(image, format, **options))
    return look_hash(picture, max_pixels=10**8)


def test_a_photograph_saved_again_is_a_near_duplicate() -> None:
    for photograph in PHOTOGRAPHS:
        again = [
            hash_of(photograph),
            hash_of(photograph, "JPEG", quality=40),
            hash_of(photograph.resize((photograph.width // 3, photograph.height // 3))),
            hash_of(ImageEnhance.Brightness(photograph).enhance(1.05)),
        ]
        assert len(set(groups(again).tolist())) == 1


def test_different_photographs_are_not() -> None:
    flipped = [photograph.transpose(Image.Transpose.FLIP_LEFT_RIGHT) for photograph in PHOTOGRAPHS]
    numbers = groups([hash_of(one) for one in [*PHOTOGRAPHS, *flipped]])
    assert len(set(numbers.tolist())) == 8


def test_near_duplicates_of_near_duplicates_share_a_group() -> None:
    """As the frames of one scene do, of which the first and the last are far apart."""
    bits = np.zeros((4, 128), np.uint8)
    for step in range(4):
        bits[step, : 5 * step] = 1
    bits = np.concatenate([bits, np.ones((1, 128), np.uint8)])
    numbers = groups([np.packbits(row).tobytes() for row in bits]).tolist()
    assert numbers[0] == numbers[1] == numbers[2] == numbers[3] != numbers[4]


def test_the_order_of_pictures_does_not_matter() -> None:
    rng = np.random.default_rng(1)
    hashes = [rng.bytes(16) for _ in range(50)] * 2
    numbers = groups(hashes)
    assert (numbers[:50] == numbers[50:]).all()
    assert len(set(numbers.tolist())) == 50


def test_twenty_thousand_black_frames_are_one_group() -> None:
    assert set(groups([b"\0" * 16] * 20_000).tolist()) == {0}
