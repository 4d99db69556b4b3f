"""Small pictures for pages, read by the service's own decoders: upright, in RGB, and never from a file too large."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

from PIL import Image

from moderator.clip.model import Model
from moderator.cpus import usable_cpus
from moderator.errors import RequestError
from moderator.pictures.batch import Picture, read_batch
from moderator.pictures.preprocessing import Pixels
from moderator.settings import Settings
from tools.files import read_file
from tools.halving import in_halves

_SIDE = 168
_QUALITY = 72
_TOGETHER = 16


def thumbnails(paths: Iterable[str], folder: Path, model: Model, settings: Settings) -> Mapping[str, str]:
    """Return a data URL for each picture that can still be read."""
    small = replace(model.preprocessing, height=_SIDE, width=_SIDE, resize_mode="squash")
    threads = settings.threads or usable_cpus()

    def read(pictures: Sequence[Picture]) -> list[Pixels | None]:
        decoded = read_batch(pictures, small, view="pad", frames=None, max_pixels=settings.max_pixels, threads=threads)
        return [one.frames[0].parts[0] for one in decoded]

    def unreadable(picture: Picture, error: RequestError) -> None:
        """Show nothing: the page says that it is no longer readable."""

    urls = {}
    files = _read(dict.fromkeys(paths), folder, max_bytes=settings.max_body_bytes)
    while some := list(islice(files, _TOGETHER)):
        for picture, pixels in zip(some, in_halves(some, read, unreadable), strict=True):
            if pixels is not None:
                urls[picture.name] = _data_url(pixels)
    return urls


def _read(paths: Iterable[str], folder: Path, *, max_bytes: int) -> Iterator[Picture]:
    for path in paths:
        try:
            yield Picture(name=path, data=read_file(folder / path, max_bytes=max_bytes))
        except (RequestError, OSError):
            continue


def _data_url(pixels: Pixels) -> str:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=_QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
