"""A decoded picture seen upright and in RGB, converted a strip at a time.

Converted whole, a large picture would be in memory two or three times: as decoded, turned, with its transparency, and
in RGB. Pillow scales horizontally first, and rounds before it scales vertically. So rows can be scaled to their width
strip by strip, and the result is the same to the bit.
"""

from __future__ import annotations

import copy

import numpy as np
from PIL import ExifTags, Image

Box = tuple[float, float, float, float]  # left, top, right, bottom
Area = tuple[int, int, int, int]

_PIXELS_AT_ONCE = 1 << 19

# How each EXIF orientation is turned upright. https://www.cipa.jp/std/documents/e/DC-008-Translation-2019-E.pdf, 4.6.4
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class Upright:
    """A view of `image`, which must be loaded, the way it is meant to be seen; as `like` says, where that is given."""

    def __init__(self, image: Image.Image, *, like: Image.Image | None = None) -> None:
        self._image = image
        self._orientation = _orientation(like or image)
        self._area: Area = (0, 0, *(image.size if self._orientation < 5 else image.size[::-1]))
        self._is_whole = True
        self._white = _white_level(image) if image.mode == "F" else 1.0

    @property
    def width(self) -> int:
        """In pixels."""
        return self._area[2] - self._area[0]

    @property
    def height(self) -> int:
        """In pixels."""
        return self._area[3] - self._area[1]

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.width, self.height

    def part(self, area: Area) -> Upright:
        """Return what is within `area`, as if it were a picture of its own; nothing is copied."""
        part = copy.copy(self)
        part._area = self._placed(area)
        part._is_whole = part._area == self._area and self._is_whole
        return part

    def rgb(self, area: Area) -> Image.Image:
        """Return the pixels of the upright picture within `area`."""
        return _to_rgb(self._stored(self._placed(area)), self._white)

    def resize(self, size: tuple[int, int], interpolation: Image.Resampling, box: Box | None = None) -> Image.Image:
        """Scale what is in `box`, or all, to `size`; as `Image.resize` does it."""
        if self._is_whole and self._orientation == 1 and _is_rgb(self._image):
            return self._image if size == self.size and box is None else self._image.resize(size, interpolation, box)
        left, top, right, bottom = self._needed(size, box) if box else (0, 0, *self.size)
        x0, y0, x1, y1 = box or (0, 0, *self.size)
        rows = max(1, _PIXELS_AT_ONCE // (right - left))
        narrow = Image.new("RGB", (size[0], bottom - top))
        for upper in range(top, bottom, rows):
            lower = min(upper + rows, bottom)
            strip = self.rgb((left, upper, right, lower))
            within = (x0 - left, 0, x1 - left, lower - upper)
            narrow.paste(strip.resize((size[0], lower - upper), interpolation, box=within), (0, upper - top))
        return narrow.resize(size, interpolation, box=(0, y0 - top, size[0], y1 - top))

    def _needed(self, size: tuple[int, int], box: Box) -> Area:
        """Return the area that scaling `box` reads: bicubic looks two pixels of the result's size to each side."""
        x, y = (2 * max(1.0, (box[side + 2] - box[side]) / size[side]) + 1 for side in (0, 1))
        return (
            max(0, int(box[0] - x)),
            max(0, int(box[1] - y)),
            min(self.width, int(box[2] + x) + 1),
            min(self.height, int(box[3] + y) + 1),
        )

    def _placed(self, area: Area) -> Area:
        left, top = self._area[:2]
        return area[0] + left, area[1] + top, area[2] + left, area[3] + top

    def _stored(self, area: Area) -> Image.Image:
        """Return the pixels within an area of the whole upright picture, turned but not yet converted."""
        width, height = self._image.size
        if self._orientation == 1:
            return self._image if area == (0, 0, width, height) else self._image.crop(area)
        left, top, right, bottom = area
        if self._orientation >= 5:
            left, top, right, bottom = top, left, bottom, right
        if self._orientation in (2, 3, 7, 8):
            left, right = width - right, width - left
        if self._orientation in (3, 4, 6, 7):
            top, bottom = height - bottom, height - top
        return self._image.crop((left, top, right, bottom)).transpose(_TURNS[self._orientation])


def on_white(image: Image.Image) -> Image.Image:
    """Return all of a loaded picture in RGB, as it is stored; the picture itself, where it is in RGB."""
    return _to_rgb(image, _white_level(image) if image.mode == "F" else 1.0)


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation; broken EXIF counts as none, as in every viewer."""
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # noqa: BLE001 - metadata is not the picture: whatever is wrong with it, the pixels are there
        return 1
    return orientation if orientation in _TURNS else 1


def _is_rgb(image: Image.Image) -> bool:
    return image.mode == "RGB" and "transparency" not in image.info


def _to_rgb(image: Image.Image, white: float) -> Image.Image:
    """Convert any mode to RGB: transparency on white, 16 bits a channel down to 8."""
    if _is_rgb(image):
        return image
    if image.has_transparency_data:
        rgba = image if image.mode == "RGBA" else image.convert("RGBA")
        on_white = Image.new("RGB", rgba.size, "white")
        on_white.paste(rgba, mask=rgba.getchannel("A"))
        return on_white
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        return _to_8_bits(image, white).convert("RGB")
    return image.convert("RGB")


def _to_8_bits(image: Image.Image, white: float) -> Image.Image:
    """Scale deep grey to 8 bits; Pillow's own conversion would clip everything above 255 to white."""
    values = np.asarray(image)
    if image.mode == "F":
        scaled = np.nan_to_num(values) * (255.0 / white)
    else:
        scaled = values.astype(np.float32) * (255.0 / 65535.0)
    return Image.fromarray(np.clip(scaled + 0.5, 0, 255).astype(np.uint8))


def _white_level(image: Image.Image) -> float:
    """Return the value of white: 1 by convention in floating-point TIFFs, or the largest value where that is more."""
    rows = max(1, _PIXELS_AT_ONCE // image.width)
    top = 1.0
    for upper in range(0, image.height, rows):
        part = image.crop((0, upper, image.width, min(upper + rows, image.height)))
        top = max(top, float(np.nanmax(np.asarray(part), initial=0.0)))
    return top
