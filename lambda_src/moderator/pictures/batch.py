"""Reads the pictures of one request at the same time, as far as memory allows."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from moderator.errors import RequestError
from moderator.pictures.decode import Decoded, read_picture, read_unless_large
from moderator.pictures.frames import FrameSampling
from moderator.pictures.preprocessing import Preprocessing
from moderator.pictures.views import View


@dataclass(frozen=True, kw_only=True)
class Picture:
    """One picture as it came, and what it is called in an error."""

    name: str
    data: bytes


def read_batch(
    pictures: Sequence[Picture],
    preprocessing: Preprocessing,
    *,
    view: View = "center",
    frames: FrameSampling | None = None,
    max_pixels: int,
    threads: int,
) -> list[Decoded]:
    """Decode `pictures` and bring them to the model's size.

    Args:
        pictures: at least one.
        preprocessing: the model's input size and how to get there.
        view: which part of each is looked at.
        frames: how animated ones are sampled; None takes the first frame.
        max_pixels: the most that is decoded, as width times height.
        threads: CPUs to use; a decoder uses one.

    Returns:
        what was seen of each picture, in order.

    Raises:
        RequestError: the first picture that cannot be read; see `read_picture`.
    """

    def read(picture: Picture) -> Decoded:
        with _named(picture):
            return read_picture(
                picture.data, preprocessing, view=view, frames=frames, max_pixels=max_pixels, name=picture.name
            )

    def read_small(picture: Picture) -> Decoded | None:
        with _named(picture):
            return read_unless_large(
                picture.data, preprocessing, view=view, frames=frames, max_pixels=max_pixels, name=picture.name
            )

    with warnings.catch_warnings():
        # Pillow warns of large pictures and of odd metadata: sizes are checked, oddities do not matter.
        warnings.simplefilter("ignore")
        if len(pictures) == 1 or threads == 1:
            return [read(picture) for picture in pictures]

        # Imported here: most requests have one picture.
        from concurrent.futures import ThreadPoolExecutor

        # Large ones are left to this thread: each may take most of the memory that a request is allowed. A lock would
        # not do, because the allocator keeps a large picture's memory for the thread that used it.
        with ThreadPoolExecutor(min(threads, len(pictures))) as pool:
            small = pool.map(read_small, pictures)
            return [
                read(picture) if decoded is None else decoded for picture, decoded in zip(pictures, small, strict=True)
            ]


@contextmanager
def _named(picture: Picture) -> Iterator[None]:
    """Write into an error which picture it is about: only its sentence would say so."""
    try:
        yield
    except RequestError as error:
        error.field = picture.name
        raise
