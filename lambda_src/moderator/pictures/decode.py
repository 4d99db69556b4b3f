"""Turns a picture's bytes into the pixels that the image tower takes.

The arithmetic is open_clip's own preprocessing (torchvision's `Resize` and `CenterCrop` over Pillow), so that the
pixels are the same to the bit. The normalisation is not here: it is part of the exported graph.
"""

from __future__ import annotations

import io
import math
import re
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFile, JpegImagePlugin, UnidentifiedImageError

from moderator.errors import BrokenPicture, TooMuch, UnknownPicture
from moderator.pictures.cost import check_decoder, check_parts, check_size
from moderator.pictures.strips import Upright
from moderator.pictures.views import Coverage

Pixels = npt.NDArray[np.uint8]  # (height, width, 3), RGB

# Only these decoders are asked; Pillow knows some forty more, each of them reachable by a stranger's bytes.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
_READABLE = "JPEG, PNG, WebP, GIF, BMP, TIFF or AVIF"

# How a picture of each kind begins: what begins so, and yet is not recognised, is damaged rather than something else.
_BEGINNINGS = {
    "JPEG": re.compile(rb"\xff\xd8\xff"),
    "PNG": re.compile(rb"\x89PNG\r\n\x1a\n"),
    "WebP": re.compile(rb"RIFF.{4}WEBP", re.DOTALL),
    "GIF": re.compile(rb"GIF8[79]a"),
    "BMP": re.compile(rb"BM.{12}[\x0c\x28\x34\x38\x40\x6c\x7c]\0\0\0", re.DOTALL),
    "TIFF": re.compile(rb"II\*\0|MM\0\*|II\+\0|MM\0\+"),
    "AVIF": re.compile(rb".{4}ftypavi[fs]", re.DOTALL),
}

_INTERPOLATION = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}

# Pictures longer than this many times their height (or the reverse) are no longer scaled whole.
_LONGEST_STRIP = 16

# What a JPEG decoder's own scaling must leave: this many times the model's input, so that the last step is still ours.
_DECODER_MARGIN = 1.5

_LARGE = 1 << 21


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """How a picture becomes the model's input; it travels with the model, in its manifest."""

    height: int
    width: int
    resize_mode: Literal["shortest", "squash"]
    interpolation: Literal["bicubic", "bilinear"]


@dataclass(frozen=True, kw_only=True)
class Frame:
    """One frame."""

    parts: tuple[Pixels, ...]
    number: int
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Decoded:
    """A picture."""

    frames: tuple[Frame, ...]
    total_frames: int
    coverage: Coverage


def looks_like_a_picture(data: bytes) -> bool:
    """Return whether `data` begins as one of `FORMATS` does."""
    return any(beginning.match(data) for beginning in _BEGINNINGS.values())


def read_pixels(data: bytes, preprocessing: Preprocessing, *, max_pixels: int, name: str) -> Pixels:
    """Decode `data` and bring it to the model's size.

    Args:
        data: an encoded picture; of an animated one the first frame is taken.
        preprocessing: the model's input size and how to get there.
        max_pixels: width times height that is still decoded.
        name: what the picture is called in an error, such as `image_data` or `images[2]`.

    Returns:
        uint8 pixels (height, width, 3) in RGB.

    Raises:
        UnknownPicture: the bytes are not one of `FORMATS`.
        TooMuch: the picture has more than `max_pixels`, or would cost as much.
        BrokenPicture: the picture is truncated or damaged.
    """
    with _open(data, max_pixels, name) as image:
        return _pixels(image, preprocessing, name)


def read_unless_large(data: bytes, preprocessing: Preprocessing, *, max_pixels: int, name: str) -> Pixels | None:
    """Do what `read_pixels` does, unless the picture has more than two million pixels: 1920 x 1080 has fewer."""
    with _open(data, max_pixels, name) as image:
        return None if image.width * image.height > _LARGE else _pixels(image, preprocessing, name)


def _open(data: bytes, max_pixels: int, name: str) -> ImageFile.ImageFile:
    """Read the header only; no pixel is decoded before the size is known to be allowed."""
    if not data:
        raise UnknownPicture(f"{name} is empty: send the bytes of a {_READABLE} picture.")
    check_parts(data, name)
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError as error:
        known = next((kind for kind, beginning in _BEGINNINGS.items() if beginning.match(data)), None)
        if known is None:
            raise UnknownPicture(f"{name} is not a picture that can be read: send {_READABLE}.") from error
        raise BrokenPicture(
            f"{name} begins as a {known} picture but is truncated or damaged. Send the whole file."
        ) from error
    except Exception as error:  # as above
        if "MAX_TEXT" in str(error):  # Pillow's own limits on what a PNG's texts may unpack to
            raise TooMuch(f"{name} has metadata that is too large: save the picture without metadata.") from error
        raise BrokenPicture(f"{name} has a damaged header. Send the whole file.") from error
    check_size(image.width, image.height, max_pixels, name)
    check_decoder(image, data, max_pixels, name)
    return image


def _pixels(image: ImageFile.ImageFile, preprocessing: Preprocessing, name: str) -> Pixels:
    _scale_while_decoding(image, preprocessing)
    try:
        image.load()
        return np.asarray(_resize(Upright(image), preprocessing))
    except MemoryError:
        raise
    except Exception as error:  # decoders raise whatever their format makes them stumble over
        raise BrokenPicture(
            f"{name} is a {image.format} picture that cannot be decoded: it is truncated or damaged. "
            "Send the whole file."
        ) from error


def _scale_while_decoding(image: Image.Image, to: Preprocessing) -> None:
    """Have a far larger JPEG decoded at a half, a quarter or an eighth of its size.

    The decoder then leaves out the frequencies that scaling down would average away, and most of the work: a
    12-megapixel picture is decoded several times faster (`make bench`). An answer changes by less than 0.01 (tested).
    """
    if isinstance(image, JpegImagePlugin.JpegImageFile):
        edge = math.ceil(_DECODER_MARGIN * max(to.width, to.height))
        image.draft(None, (edge, edge))


def _resize(image: Upright, to: Preprocessing) -> Image.Image:
    """Scale the picture, then cut out its centre.

    The integer arithmetic is that of torchvision.transforms.functional: `resize` cuts off the longer side's fraction,
    `center_crop` rounds half to even.
    """
    interpolation = _INTERPOLATION[to.interpolation]
    size = image.size
    if to.resize_mode == "squash":
        return image.resize((to.width, to.height), interpolation)

    shortest = min(to.width, to.height)
    if image.width <= image.height:
        scaled = (shortest, int(shortest * image.height / image.width))
    else:
        scaled = (int(shortest * image.width / image.height), shortest)
    left = round((scaled[0] - to.width) / 2.0)
    top = round((scaled[1] - to.height) / 2.0)
    centre = (left, top, left + to.width, top + to.height)

    if max(scaled) > _LONGEST_STRIP * shortest:
        # Scaled whole, a picture of 1 x 20000 would take 3 GB. `box` computes the centre alone; it is not used always
        # because Pillow keeps it in single precision, which moves one pixel in a thousand by one level.
        x, y = size[0] / scaled[0], size[1] / scaled[1]
        return image.resize(
            (to.width, to.height), interpolation, box=(centre[0] * x, centre[1] * y, centre[2] * x, centre[3] * y)
        )
    return image.resize(scaled, interpolation).crop(centre)
