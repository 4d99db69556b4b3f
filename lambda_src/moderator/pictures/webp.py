"""Reads the frames of an animated WebP: which part of the canvas each changes, and its pixels."""

from __future__ import annotations

import io
import itertools
import struct
from collections.abc import Iterator

from PIL import Image

from moderator.pictures.animation import Change
from moderator.pictures.strips import on_white
from moderator.pictures.structure import Part, riff_chunks

# Each frame takes so many seconds, with each pixel of its own area and each byte of its data
# (`test_animation.py`).
_FRAME = 150e-6
_LOSSY_PIXEL, _LOSSY_BYTE = 5e-9, 50e-9
_LOSSLESS_PIXEL, _LOSSLESS_BYTE = 10e-9, 10e-9
_TRANSPARENT_PIXEL = 8e-9  # more

# libwebp keeps two canvases for the file, and two for the frame: of a larger one only the first frame is looked at.
_LARGEST_CANVAS = 6_000_000

_DISPOSED, _NOT_BLENDED = 1, 2
_HEADER = 16  # bytes, before the frame's own chunks
_ALPHA = 16


class WebpAnimation:
    """The frames of a WebP. https://developers.google.com/speed/webp/docs/riff_container#animation."""

    def __init__(self, data: bytes, size: tuple[int, int]) -> None:
        self._data = data
        most = None if size[0] * size[1] <= _LARGEST_CANVAS else 1
        self.changes = list(itertools.islice(self._changes(size), most))

    def _changes(self, size: tuple[int, int]) -> Iterator[Change]:
        for chunk in riff_chunks(self._data):
            if chunk.kind != b"ANMF":
                continue
            header = self._data[chunk.start : chunk.start + _HEADER].ljust(_HEADER, b"\0")
            left, top, width, height = (int.from_bytes(header[place : place + 3], "little") for place in (0, 3, 6, 9))
            area = (2 * left, 2 * top, 2 * left + width + 1, 2 * top + height + 1)
            if area[2] > size[0] or area[3] > size[1]:
                return  # libwebp would refuse it
            is_lossy, is_transparent = self._kind(chunk)
            pixel, byte = (_LOSSY_PIXEL, _LOSSY_BYTE) if is_lossy else (_LOSSLESS_PIXEL, _LOSSLESS_BYTE)
            if is_transparent:
                pixel += _TRANSPARENT_PIXEL
            yield Change(
                area=area,
                start=chunk.start,
                end=chunk.end,
                is_opaque=not is_transparent or bool(header[15] & _NOT_BLENDED),
                afterwards="clear" if header[15] & _DISPOSED else "keep",
                seconds=_FRAME + pixel * (width + 1) * (height + 1) + byte * (chunk.end - chunk.start),
            )

    def _kind(self, frame: Part) -> tuple[bool, bool]:
        """Return whether a frame is lossy, and whether it may be transparent."""
        start = self._data[frame.start + _HEADER : frame.start + _HEADER + 13]
        if start.startswith(b"VP8L"):
            # https://developers.google.com/speed/webp/docs/webp_lossless_bitstream_specification: after 28 bits of size
            return False, len(start) > 12 and bool(start[12] & 16)
        return True, not start.startswith(b"VP8 ")

    def decode(self, change: Change) -> Image.Image:
        """Decode a frame as a picture of its own."""
        width, height = change.area[2] - change.area[0], change.area[3] - change.area[1]
        is_transparent = self._kind(Part(kind=b"", start=change.start, end=change.end))[1]
        size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
        extended = b"VP8X" + struct.pack("<IB3x", 10, _ALPHA if is_transparent else 0) + size
        chunks = extended + self._data[change.start + _HEADER : change.end]
        file = b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WEBP" + chunks
        with Image.open(io.BytesIO(file), formats=("WEBP",)) as picture:
            picture.load()
            return on_white(picture) if change.is_opaque else picture
