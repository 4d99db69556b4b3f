"""Finds what each frame of an animated AVIF costs. libavif puts them together, and begins at a key frame by itself."""

from __future__ import annotations

from PIL import Image, ImageFile

from moderator.pictures.animation import Change
from moderator.pictures.av1 import frames_within, samples_within
from moderator.pictures.cost import MOST_PARTS_OF_ALL_FRAMES
from moderator.pictures.strips import on_white

# Each frame takes so many seconds, with each of their pixels, as often as there are frames to be decoded for it,
# and each byte (`test_animation.py`).
_FRAME, _PIXEL, _BYTE = 200e-6, 8e-9, 65e-9


class AvifAnimation:
    """The frames of an AVIF. https://aomediacodec.github.io/av1-avif/#image-sequence."""

    def __init__(self, image: ImageFile.ImageFile, data: bytes, frames: int) -> None:
        self._image = image
        whole = (0, 0, *image.size)
        # libavif decodes frames whole before it brings them to the canvas' size.
        inside = frames_within(data, MOST_PARTS_OF_ALL_FRAMES)
        pixels = max(image.width * image.height, inside.width * inside.height if inside else 0)
        self.changes = [
            Change(
                area=whole,
                start=number,
                end=number,
                is_opaque=sample.is_key,  # nothing before it is needed
                afterwards="keep",
                seconds=_FRAME + _PIXEL * pixels * max(1, sample.frames) + _BYTE * sample.size,
            )
            for number, sample in enumerate(samples_within(data, min(frames, MOST_PARTS_OF_ALL_FRAMES)))
        ]

    def decode(self, change: Change) -> Image.Image:
        """Decode a frame, and those since the one before or since a key frame."""
        self._image.seek(change.start)
        self._image.load()
        return on_white(self._image)
