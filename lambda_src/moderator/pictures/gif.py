"""Reads the frames of a GIF: which part of the canvas each changes, and its pixels."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import Literal

from PIL import Image

from moderator.pictures.animation import Change
from moderator.pictures.structure import gif_blocks

# Each frame takes so many seconds, with each pixel of its own area and each byte of its codes. Measured on moving
# photographs, noise, drawings and runs of one colour (`test_animation.py`).
_FRAME, _PIXEL, _BYTE = 60e-6, 4.5e-9, 8e-9
_TRANSPARENT_PIXEL = 3e-9  # more

_LOCAL_COLOURS, _INTERLACED = 128, 64
_AFTERWARDS: dict[int, Literal["clear", "restore"]] = {2: "clear", 3: "restore"}


class GifAnimation:
    """The frames of a GIF. https://www.w3.org/Graphics/GIF/spec-gif89a.txt."""

    def __init__(self, data: bytes, size: tuple[int, int]) -> None:
        self._data = data
        self._transparent: dict[int, int] = {}  # by where the frame is described
        self.changes: Sequence[Change] = list(self._changes(size))

    def _changes(self, size: tuple[int, int]) -> Iterator[Change]:
        data = self._data
        disposal = 0
        transparent = None
        for block in gif_blocks(data, len(data)):
            if block.kind == b"\xf9" and len(data) > block.start + 4:
                flags = data[block.start + 1]
                disposal = flags >> 2 & 7
                transparent = data[block.start + 4] if flags & 1 else None
            elif block.kind == b",":
                left, top, width, height = struct.unpack_from("<HHHH", data, block.start)
                area = (left, top, left + width, top + height)
                if area[2] > size[0] or area[3] > size[1]:
                    return  # Pillow would enlarge the canvas to whatever a frame asks for
                if transparent is not None:
                    self._transparent[block.start] = transparent
                pixel = _PIXEL if transparent is None else _PIXEL + _TRANSPARENT_PIXEL
                yield Change(
                    area=area,
                    start=block.start,
                    end=block.end + 1,
                    is_opaque=transparent is None,
                    afterwards=_AFTERWARDS.get(disposal, "keep"),
                    seconds=_FRAME + pixel * width * height + _BYTE * (block.end - block.start),
                )
                disposal, transparent = 0, None

    def decode(self, change: Change) -> Image.Image:
        """Unpack a frame's codes, and give them its colours."""
        data, flags = self._data, self._data[change.start + 8]
        place = change.start + 9
        if flags & _LOCAL_COLOURS:
            colours = data[place : place + (3 << (flags & 7) + 1)]
            place += len(colours)
        else:
            colours = data[13 : 13 + (3 << (data[10] & 7) + 1)] if data[10] & _LOCAL_COLOURS else b""
        width, height = change.area[2] - change.area[0], change.area[3] - change.area[1]
        codes = data[place + 1 : change.end]
        interlaced = int(bool(flags & _INTERLACED))
        picture = Image.frombytes("P", (width, height), codes, "gif", data[place], interlaced, -1)
        picture.putpalette(colours or bytes(level for grey in range(256) for level in (grey, grey, grey)))
        transparent = self._transparent.get(change.start)
        if transparent is None:
            return picture.convert("RGB")
        picture.info["transparency"] = transparent
        return picture.convert("RGBA")
