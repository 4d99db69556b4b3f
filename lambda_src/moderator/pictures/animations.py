"""Finds what plays an animated picture of each format."""

from __future__ import annotations

from PIL import ImageFile

from moderator.pictures.animation import Animation
from moderator.pictures.apng import ApngAnimation
from moderator.pictures.avif import AvifAnimation
from moderator.pictures.gif import GifAnimation
from moderator.pictures.webp import WebpAnimation


def animation_of(image: ImageFile.ImageFile, data: bytes, frames: int) -> Animation:
    """Return the frames of an opened picture that has so many."""
    match image.format:
        case "GIF":
            return GifAnimation(data, image.size)
        case "WEBP":
            return WebpAnimation(data, image.size)
        case "PNG":
            return ApngAnimation(data, image.size)
        case _:
            return AvifAnimation(image, data, frames)
