"""Finds what plays an animated picture of each format."""

from __future__ import annotations

from PIL import Image, ImageFile

from moderator.pictures.animation import Animation, Change
from moderator.pictures.gif import GifAnimation
from moderator.pictures.strips import on_white

_COSTS = {
    "PNG": (60e-6, 45e-9),
    "WEBP": (35e-6, 25e-9),
    "AVIF": (110e-6, 20e-9),
}


def animation_of(image: ImageFile.ImageFile, data: bytes, frames: int) -> Animation:
    """Return the frames of an opened picture."""
    if image.format == "GIF":
        return GifAnimation(data, image.size)
    return _Sought(image, frames)


class _Sought:
    """Frames that Pillow itself puts together, each from the one before."""

    def __init__(self, image: ImageFile.ImageFile, frames: int) -> None:
        self._image = image
        frame, pixel = _COSTS[image.format or ""]
        self.changes = [
            Change(
                area=(0, 0, *image.size),
                start=number,
                end=number,
                is_opaque=False,
                afterwards="keep",
                seconds=frame + pixel * image.width * image.height,
            )
            for number in range(frames)
        ]

    def decode(self, change: Change) -> Image.Image:
        self._image.seek(change.start)
        self._image.load()
        return on_white(self._image)
