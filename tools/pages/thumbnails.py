"""Small pictures for pages, read by the service's own decoders: upright, in RGB, and never from a file too large."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from PIL import Image

from moderator.clip.model import Model
from moderator.errors import RequestError
from moderator.pictures.batch import Picture, read_batch
from moderator.settings import Settings
from tools.files import read_file

_SIDE = 168
_QUALITY = 72


def thumbnails(paths: Iterable[str], folder: Path, model: Model, settings: Settings) -> Mapping[str, str]:
    """Return a data URL for each picture that can still be read."""
    small = replace(model.preprocessing, height=_SIDE, width=_SIDE, resize_mode="squash")
    urls = {}
    for path in dict.fromkeys(paths):
        try:
            data = read_file(folder / path, max_bytes=settings.max_body_bytes)
            (decoded,) = read_batch(
                [Picture(name=path, data=data)],
                small,
                view="pad",
                frames=None,
                max_pixels=settings.max_pixels,
                threads=1,
            )
        except (RequestError, OSError):
            continue
        buffer = io.BytesIO()
        Image.fromarray(decoded.frames[0].parts[0]).save(buffer, "JPEG", quality=_QUALITY)
        urls[path] = f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
    return urls
