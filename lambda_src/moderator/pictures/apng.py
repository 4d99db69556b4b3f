"""Reads the frames of an animated PNG: which part of the canvas each changes, and its pixels."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from typing import Literal

from PIL import Image

from moderator.pictures.animation import Change
from moderator.pictures.strips import on_white
from moderator.pictures.structure import PNG_BEGINNING, png_chunks

# Each frame takes so many seconds, with each unpacked and each packed byte (`test_animation.py`), and with each
# pixel where it is transparent.
_FRAME, _UNPACKED_BYTE, _PACKED_BYTE = 150e-6, 7.5e-9, 4e-9
_PIXEL, _TRANSPARENT_PIXEL = 1e-9, 6e-9

# By the colour type. https://www.w3.org/TR/png-3/#6Colour-values
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_WITH_ALPHA = (4, 6)

_CONTROL = struct.Struct(">4xIIIIHHBB")
_AFTERWARDS: dict[int, Literal["clear", "restore"]] = {1: "clear", 2: "restore"}
_SOURCE = 0  # what was there is not blended with


class ApngAnimation:
    """The frames of an APNG. https://www.w3.org/TR/png-3/#apng-frame-based-animation."""

    def __init__(self, data: bytes, size: tuple[int, int]) -> None:
        self._data = data
        self._header = data[16:29]
        self._colours = b""  # the palette, and what of it is transparent
        self._is_transparent = len(self._header) > 9 and self._header[9] in _WITH_ALPHA
        self.changes = list(self._changes(size))

    def _changes(self, size: tuple[int, int]) -> Iterator[Change]:
        whole = (0, 0, *size)
        control: tuple[int, ...] | None = None  # where it is, and what it says
        packed = 0
        is_animated = has_picture = False
        for chunk in png_chunks(self._data):
            if chunk.kind == b"acTL":
                is_animated = True
            elif chunk.kind in (b"PLTE", b"tRNS") and not has_picture:
                self._colours += self._data[chunk.start - 8 : chunk.end + 4]
                self._is_transparent |= chunk.kind == b"tRNS"
            elif chunk.kind == b"IDAT" and not has_picture:
                has_picture = True
                if control is None:
                    # A picture that is not part of the animation, which begins with an empty canvas.
                    yield Change(area=whole, start=0, end=0, is_opaque=True, afterwards="clear", seconds=0.0)
            elif chunk.kind == b"fcTL" and is_animated:
                if control is not None:
                    yield self._change(control, chunk.start - 8, packed)
                packed = 0
                content = self._data[chunk.start : chunk.start + _CONTROL.size].ljust(_CONTROL.size, b"\0")
                control = (chunk.start, *_CONTROL.unpack(content))
                _, width, height, left, top, *_ = control
                if left + width > size[0] or top + height > size[1]:
                    return
            if chunk.kind in (b"IDAT", b"fdAT"):
                packed += chunk.end - chunk.start
        if control is not None:
            yield self._change(control, len(self._data), packed)

    def _change(self, control: tuple[int, ...], end: int, packed: int) -> Change:
        start, width, height, left, top, _, _, disposal, blending = control
        depth, kind = self._header[8:10]
        unpacked = height * (width * _CHANNELS.get(kind, 4) * depth // 8 + 1)
        pixel = _PIXEL + _TRANSPARENT_PIXEL * self._is_transparent
        return Change(
            area=(left, top, left + width, top + height),
            start=start,
            end=end,
            is_opaque=blending == _SOURCE or not self._is_transparent,
            afterwards=_AFTERWARDS.get(disposal, "keep"),
            seconds=_FRAME + pixel * width * height + _UNPACKED_BYTE * unpacked + _PACKED_BYTE * packed,
        )

    def decode(self, change: Change) -> Image.Image:
        """Decode a frame as a picture of its own."""
        data = self._data
        width, height = change.area[2] - change.area[0], change.area[3] - change.area[1]
        # A frame's data begin with its number in the sequence, except the first's.
        pixels = b"".join(
            data[chunk.start + (4 if chunk.kind == b"fdAT" else 0) : chunk.end]
            for chunk in png_chunks(data[: change.end], change.start - 8)
            if chunk.kind in (b"IDAT", b"fdAT")
        )
        file = (
            PNG_BEGINNING
            + _chunk(b"IHDR", struct.pack(">II", width, height) + self._header[8:])
            + self._colours
            + _chunk(b"IDAT", pixels)
            + _chunk(b"IEND", b"")
        )
        with Image.open(io.BytesIO(file), formats=("PNG",)) as picture:
            picture.load()
            return on_white(picture) if change.is_opaque else picture.convert("RGBA")


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
