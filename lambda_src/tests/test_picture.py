"""Pixels: the same to the bit as open_clip's own preprocessing, whatever form the picture has."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from skimage import data as photographs

from model_build.libraries import open_clip
from moderator.errors import BrokenPicture
from moderator.pictures.batch import Picture, read_batch
from moderator.pictures.preprocessing import Pixels, Preprocessing
from support.harness import Service, StartService
from support.pictures import as_base64, drawn, encoded, noise

TO_224 = Preprocessing(height=224, width=224, resize_mode="shortest", interpolation="bicubic")


def read(data: bytes, to: Preprocessing = TO_224) -> Pixels:
    (seen,) = read_batch([Picture(name="image_data", data=data)], to, max_pixels=50_000_000, threads=1)
    ((pixels,),) = (frame.parts for frame in seen.frames)
    return pixels


def open_clips_pixels(image: Image.Image, to: Preprocessing = TO_224) -> Pixels:
    """What open_clip feeds its model, before the normalisation: uint8 (height, width, 3)."""
    transform = open_clip.image_transform(
        (to.height, to.width),
        is_train=False,
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
        resize_mode=to.resize_mode,
        interpolation=to.interpolation,
    )
    tensor = transform(image)
    return np.asarray((tensor * 255).round().byte().permute(1, 2, 0).numpy())


@pytest.mark.parametrize("format", ["PNG", "JPEG"])
@pytest.mark.parametrize(
    "size",
    [(640, 360), (360, 640), (224, 224), (500, 224), (224, 225), (30, 20), (1, 1), (3, 40), (225, 223), (671, 893)],
)
def test_pixels_equal_open_clips_own_for_every_shape_up_to_where_decoding_scales(
    size: tuple[int, int], format: str
) -> None:
    data = encoded(noise(*size), format)
    np.testing.assert_array_equal(read(data), open_clips_pixels(Image.open(io.BytesIO(data))))


@pytest.mark.parametrize("name", ["astronaut", "chelsea", "coffee", "rocket"])
def test_pixels_equal_open_clips_own_for_photographs(name: str) -> None:
    data = encoded(Image.fromarray(getattr(photographs, name)()))
    np.testing.assert_array_equal(read(data), open_clips_pixels(Image.open(io.BytesIO(data))))


def test_a_bilinear_or_squashing_model_is_followed() -> None:
    data = encoded(noise(300, 200))
    for to in (
        Preprocessing(height=256, width=256, resize_mode="shortest", interpolation="bilinear"),
        Preprocessing(height=96, width=96, resize_mode="squash", interpolation="bicubic"),
    ):
        np.testing.assert_array_equal(read(data, to), open_clips_pixels(Image.open(io.BytesIO(data)), to))


def test_a_very_long_picture_is_cut_without_scaling_it_whole() -> None:
    # Scaled whole it would have 224 x 448,000 pixels. The centre of such a picture is its middle pixel, in effect.
    image = noise(20_000, 10)
    middle = image.crop((9_900, 0, 10_100, 10))
    difference = read(encoded(image)).astype(int) - open_clips_pixels(middle)
    assert np.abs(difference).mean() < 1


def test_the_strip_path_agrees_with_the_whole_path() -> None:
    image = Image.fromarray(np.asarray(noise(1, 1).resize((1700, 100))))
    image.paste(Image.fromarray(photographs.chelsea()).resize((100, 100)), (800, 0))
    difference = read(encoded(image)).astype(int) - open_clips_pixels(image)
    assert np.abs(difference).max() <= 2


def test_every_exif_orientation_is_turned_upright() -> None:
    upright = Image.fromarray(photographs.rocket())
    turns = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    for orientation, turn in turns.items():
        exif = Image.Exif()
        exif[0x0112] = orientation
        stored = encoded(upright.transpose(turn), exif=exif)
        np.testing.assert_array_equal(read(stored), open_clips_pixels(upright), err_msg=str(orientation))


@pytest.mark.parametrize("orientation", [0, 1, 9, 65_535])
def test_an_orientation_that_means_nothing_is_ignored(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = noise(300, 224)
    np.testing.assert_array_equal(read(encoded(image, exif=exif)), open_clips_pixels(image))


# The warning is Pillow's: this test also reads the broken picture with bare Pillow, to compare.
@pytest.mark.filterwarnings("ignore:Corrupt EXIF data:UserWarning:PIL")
def test_broken_exif_is_ignored() -> None:
    image = noise(300, 224)
    data = encoded(image, "JPEG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff broken", quality=95)
    np.testing.assert_array_equal(read(data), open_clips_pixels(Image.open(io.BytesIO(data))))


def test_transparency_is_laid_on_white() -> None:
    rgb = noise(240, 240)
    mask = noise(240, 240, seed=2, channels=1).point(lambda value: 255 if value > 127 else 0)
    on_white = Image.composite(rgb, Image.new("RGB", rgb.size, "white"), mask)
    transparent = rgb.copy()
    transparent.putalpha(mask)
    np.testing.assert_array_equal(read(encoded(transparent)), open_clips_pixels(on_white))


@pytest.mark.parametrize("mode", ["P", "L", "RGB"])
def test_a_transparent_colour_is_laid_on_white(mode: str) -> None:
    image = Image.new("RGB", (224, 224), "blue").convert(mode)
    transparency: object = image.getpixel((0, 0))
    data = encoded(image, transparency=transparency)
    assert (read(data) == 255).all()


def test_palette_and_grey_pictures_are_converted_to_rgb_before_they_are_scaled() -> None:
    palette = Image.fromarray(photographs.chelsea()).quantize(16)
    np.testing.assert_array_equal(read(encoded(palette)), open_clips_pixels(palette.convert("RGB")))
    grey = Image.fromarray(photographs.camera())
    np.testing.assert_array_equal(read(encoded(grey)), open_clips_pixels(grey.convert("RGB")))
    bilevel = grey.convert("1")
    np.testing.assert_array_equal(read(encoded(bilevel)), open_clips_pixels(bilevel.convert("RGB")))


def test_16_bits_a_channel_keep_their_brightness() -> None:
    grey = photographs.camera()
    deep = Image.fromarray(grey.astype(np.uint16) * 257)
    expected = open_clips_pixels(Image.fromarray(grey).convert("RGB"))
    for format in ("PNG", "TIFF"):
        np.testing.assert_array_equal(read(encoded(deep, format)), expected, err_msg=format)


def test_floating_point_grey_keeps_its_brightness() -> None:
    grey = photographs.camera()
    data = encoded(Image.fromarray(grey.astype(np.float32) / 255), "TIFF")
    np.testing.assert_array_equal(read(data), open_clips_pixels(Image.fromarray(grey).convert("RGB")))


def test_cmyk_keeps_its_colours() -> None:
    data = encoded(Image.new("RGB", (224, 224), (200, 30, 40)).convert("CMYK"), "JPEG", quality=95)
    assert np.abs(read(data).astype(int).mean(axis=(0, 1)) - (200, 30, 40)).max() < 3


def test_a_truncated_picture_is_never_filled_up_with_grey() -> None:
    data = encoded(noise(300, 300), "JPEG")
    with pytest.raises(BrokenPicture, match="whole file"):
        read(data[: len(data) * 9 // 10])


class TestThroughTheService:
    """The demo model's answers would be wrong if the service mixed channels or ignored the orientation."""

    def best(self, service: Service, data: bytes, labels: list[str]) -> str:
        result = service.classify(image_data=as_base64(data), labels=labels).json["result"]
        return str(max(result, key=result.__getitem__))

    def test_red_and_blue_are_not_swapped(self, service: Service) -> None:
        labels = ["a red circle", "a blue circle"]
        for colour in ("red", "blue"):
            for seed in range(30_000, 30_010):
                picture = drawn(colour, "circle", seed=seed)
                assert self.best(service, encoded(picture), labels) == f"a {colour} circle"
                swapped = Image.merge("RGB", picture.split()[::-1])
                assert self.best(service, encoded(swapped), labels) != f"a {colour} circle"

    def test_a_picture_stored_upside_down_is_seen_upright(self, service: Service) -> None:
        labels = ["a green arrow pointing up", "a green arrow pointing down"]
        exif = Image.Exif()
        exif[0x0112] = 3
        for seed in range(30_000, 30_010):
            picture = drawn("green", "arrow pointing up", seed=seed)
            upside_down = picture.transpose(Image.Transpose.ROTATE_180)
            assert self.best(service, encoded(upside_down, exif=exif), labels) == labels[0]
            assert self.best(service, encoded(upside_down), labels) == labels[1]

    def test_a_threshold_of_pixels_can_be_set(self, start_service: StartService) -> None:
        service = start_service(max_pixels=100)
        assert service.post_picture(encoded(noise(10, 10)), "label=a").status == 200
        assert service.post_picture(encoded(noise(10, 11)), "label=a").status == 413
