"""Which part of a picture is seen: tiles overlook nothing at the edge, and the answer says what a view overlooks."""

from __future__ import annotations

import math
from typing import get_args

import numpy as np
import pytest
from PIL import Image
from skimage import data as photographs

from moderator.pictures.decode import Decoded, read_picture
from moderator.pictures.preprocessing import Pixels, Preprocessing
from moderator.pictures.views import View
from support.pictures import encoded, noise

pytestmark = pytest.mark.slow

TO_224 = Preprocessing(height=224, width=224, resize_mode="shortest", interpolation="bicubic")
TO_64 = Preprocessing(height=64, width=64, resize_mode="shortest", interpolation="bilinear")
VIEWS: tuple[View, ...] = get_args(View)


def seen(image: Image.Image, view: View, to: Preprocessing = TO_224, format: str = "PNG") -> Decoded:
    options = {"compress_level": 1} if format == "PNG" else {}
    return read_picture(encoded(image, format, **options), to, view=view, max_pixels=50_000_000, name="it")


def parts(image: Image.Image, view: View, to: Preprocessing = TO_224) -> tuple[Pixels, ...]:
    (frame,) = seen(image, view, to).frames
    return frame.parts


def with_a_red_edge(width: int, height: int, edge: str) -> Image.Image:
    """A grey picture with a red square, a tenth of the shorter side large, in the middle of one edge."""
    size = min(width, height) // 10
    image = Image.new("RGB", (width, height), (120, 120, 120))
    left = {"left": 0, "right": width - size}.get(edge, (width - size) // 2)
    top = {"top": 0, "bottom": height - size}.get(edge, (height - size) // 2)
    image.paste((255, 0, 0), (left, top, left + size, top + size))
    return image


def shows_red(part: Pixels) -> bool:
    red, green, blue = np.moveaxis(part.astype(int), 2, 0)
    return bool(((red > 220) & (green < 60) & (blue < 60)).any())


@pytest.mark.parametrize(
    ("size", "thin"),
    [
        ((1280, 720), []),
        ((320, 40), []),
        ((330, 40), ["squash", "pad"]),
        ((40, 330), ["squash", "pad"]),
        ((2000, 60), ["squash", "pad", "tiles"]),
        ((10, 20_000), ["squash", "pad", "tiles"]),
    ],
)
def test_a_strip_too_thin_to_make_anything_out_is_warned_of(size: tuple[int, int], thin: list[View]) -> None:
    """The centre cuts such a strip instead, and says how much is unseen."""
    for view in VIEWS:
        warnings = seen(Image.new("RGB", size), view).warnings
        assert [("times as long as it is wide" in warning) for warning in warnings] == ([True] if view in thin else [])


@pytest.mark.parametrize(("size", "edges"), [((1280, 720), ("left", "right")), ((720, 1280), ("top", "bottom"))])
def test_an_object_at_the_very_edge_is_in_tiles_pad_and_squash_and_not_in_center(
    size: tuple[int, int], edges: tuple[str, str]
) -> None:
    for edge in edges:
        image = with_a_red_edge(*size, edge)
        for view in VIEWS:
            found = [shows_red(part) for part in parts(image, view)]
            assert any(found) == (view != "center"), (edge, view)
        # In one of the two tiles, the one on that side.
        assert [shows_red(part) for part in parts(image, "tiles")] == [
            edge in ("left", "top"),
            edge in ("right", "bottom"),
        ]
        assert seen(image, "center").coverage.unseen == pytest.approx(1 - 9 / 16, abs=0.002)
        assert [seen(image, view).coverage.unseen for view in VIEWS[1:]] == [0, 0, 0]


@pytest.mark.parametrize(
    ("size", "count"),
    [
        ((300, 300), 1), ((301, 300), 2), ((400, 300), 2), ((1280, 720), 2), ((720, 1280), 2), ((600, 300), 2),
        ((601, 300), 3), ((2100, 900), 3), ((900, 300), 3), ((901, 300), 4), ((1200, 300), 4), ((1201, 300), 4),
        ((300, 5000), 4), ((65_000, 10), 4), ((1, 1), 1), ((3, 1), 3), ((9, 1), 3),
    ],
)  # fmt: skip
def test_tiles_are_as_few_as_cover_everything_and_at_most_four(size: tuple[int, int], count: int) -> None:
    picture = seen(Image.new("RGB", size), "tiles")
    assert len(picture.frames[0].parts) == picture.coverage.parts == count
    assert picture.coverage.unseen == 0
    assert {part.shape for part in picture.frames[0].parts} == {(224, 224, 3)}


def test_of_any_shape_every_pixel_is_in_some_tile() -> None:
    # The colour of each pixel says where it is along the longer side; every place must be seen.
    random = np.random.default_rng(5)
    for number in range(150):
        side = int(random.integers(60, 90))
        longer = int(side * random.uniform(1, 4))
        ramp = np.linspace(0, 255, longer).round().astype(np.uint8)
        pixels = np.repeat(np.tile(ramp, (side, 1))[:, :, np.newaxis], 3, axis=2)
        image = Image.fromarray(pixels if number % 2 else np.ascontiguousarray(pixels.transpose(1, 0, 2)))
        values = np.concatenate([part[:, :, 0].ravel() for part in parts(image, "tiles", TO_64)])
        assert values.min() <= 2
        assert values.max() >= 253
        assert np.diff(np.unique(values)).max() <= math.ceil(255 / 60) + 1


@pytest.mark.parametrize("size", [(640, 360), (360, 640), (500, 300), (1000, 300), (1199, 300), (227, 226), (448, 224)])
@pytest.mark.parametrize(
    "to", [TO_224, TO_64, Preprocessing(height=96, width=96, resize_mode="squash", interpolation="bicubic")]
)
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "L"])
def test_a_tile_has_the_very_pixels_of_the_same_square_sent_alone(
    size: tuple[int, int], to: Preprocessing, mode: str
) -> None:
    image = noise(*size, channels=4) if mode == "RGBA" else noise(*size).convert(mode)
    longer, side = max(size), min(size)
    tiles = parts(image, "tiles", to)
    for number, tile in enumerate(tiles):
        start = round(number * (longer - side) / (len(tiles) - 1))
        wide = (start, 0, start + side, side)
        square = image.crop(wide if size[0] > size[1] else (0, start, side, start + side))
        (alone,) = parts(square, "center", to)
        np.testing.assert_array_equal(tile, alone, err_msg=str(number))
        np.testing.assert_array_equal(tile, parts(square, "tiles", to)[0])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_tiles_run_along_the_upright_picture(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    turns = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}
    upright = Image.fromarray(photographs.rocket())
    stored = upright.transpose(Image.Transpose(turns[orientation])) if orientation > 1 else upright
    data = encoded(stored, exif=exif)
    turned = read_picture(data, TO_224, view="tiles", max_pixels=50_000_000, name="it").frames[0].parts
    np.testing.assert_array_equal(turned, parts(upright, "tiles"))


def test_a_large_picture_of_several_strips_has_the_same_tiles_as_its_squares() -> None:
    image = noise(2600, 1500)
    first, last = parts(image, "tiles")
    np.testing.assert_array_equal(first, parts(image.crop((0, 0, 1500, 1500)), "center")[0])
    np.testing.assert_array_equal(last, parts(image.crop((1100, 0, 2600, 1500)), "center")[0])


def test_pad_shows_the_whole_picture_in_the_middle_of_its_mean_colour() -> None:
    image = Image.fromarray(photographs.coffee()).resize((640, 320), Image.Resampling.BICUBIC)
    for turned in (image, image.transpose(Image.Transpose.TRANSPOSE)):
        (part,) = parts(turned, "pad")
        part = part if turned is image else part.transpose(1, 0, 2)
        expected = np.asarray(image.resize((224, 112), Image.Resampling.BICUBIC))
        if turned is image:
            np.testing.assert_array_equal(part[56:168], expected)
        mean = np.asarray(image).mean(axis=(0, 1))
        assert np.abs(part[:56].astype(float) - mean).max() <= 1.5
        assert (part[:56] == part[0, 0]).all()
        assert (part[168:] == part[0, 0]).all()


def test_squash_brings_both_sides_to_the_models_size() -> None:
    image = noise(500, 300)
    expected = np.asarray(image.resize((224, 224), Image.Resampling.BICUBIC))
    np.testing.assert_array_equal(parts(image, "squash")[0], expected)


@pytest.mark.parametrize("size", [(1792, 320), (320, 1792)])
def test_a_longer_strip_is_padded_first_and_then_cut_into_four(size: tuple[int, int]) -> None:
    image = Image.fromarray(photographs.coffee()).resize(size, Image.Resampling.BICUBIC)
    colour = tuple(np.asarray(image).mean(axis=(0, 1)).round().astype(int).tolist())
    side = 448
    padded = Image.new("RGB", (1792, side) if size[0] > size[1] else (side, 1792), colour)
    padded.paste(image, ((padded.width - image.width) // 2, (padded.height - image.height) // 2))
    for number, tile in enumerate(parts(image, "tiles")):
        start = number * side
        box = (start, 0, start + side, side) if size[0] > size[1] else (0, start, side, start + side)
        expected = np.asarray(padded.crop(box).resize((224, 224), Image.Resampling.BICUBIC)).astype(int)
        difference = np.abs(tile.astype(int) - expected)
        # Padding before scaling differs from padding after it only where picture and padding meet.
        assert np.median(difference) <= 1
        assert difference.mean() < 2


def test_a_models_own_squashing_sees_everything() -> None:
    to = Preprocessing(height=96, width=96, resize_mode="squash", interpolation="bicubic")
    assert seen(noise(500, 300), "center", to).coverage.unseen == 0
    np.testing.assert_array_equal(parts(noise(500, 300), "center", to), parts(noise(500, 300), "squash", to))


@pytest.mark.parametrize("size", [(2000, 1125), (1125, 2000), (1400, 1050), (4000, 500)])
def test_a_jpeg_decoded_at_a_reduced_size_leaves_enough_pixels_for_tiles(size: tuple[int, int]) -> None:
    photograph = Image.fromarray(photographs.coffee()).resize(size, Image.Resampling.BICUBIC)
    exact = parts(photograph, "tiles")
    (reduced,) = (frame.parts for frame in seen(photograph, "tiles", format="JPEG").frames)
    assert len(reduced) == len(exact)
    for one, other in zip(reduced, exact, strict=True):
        assert np.abs(one.astype(int) - other.astype(int)).mean() < 2


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("size", [(1, 1), (1, 2), (2, 1), (65_000, 1), (1, 65_000), (65_000, 300), (17, 16)])
def test_every_shape_has_every_view(size: tuple[int, int], view: View) -> None:
    picture = seen(Image.new("RGB", size, (10, 200, 30)), view)
    assert picture.coverage.kind == view
    for part in picture.frames[0].parts:
        assert part.shape == (224, 224, 3)
        assert (part == (10, 200, 30)).all()
