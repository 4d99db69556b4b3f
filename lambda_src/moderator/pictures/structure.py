"""Walks through the parts that a picture's file is made of, without decoding any of them.

What is inside a part is never taken for a part: an ICC profile may hold any bytes.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

GIF_BEGINNINGS = (b"GIF87a", b"GIF89a")
JPEG_BEGINNING = b"\xff\xd8\xff"
PNG_BEGINNING = b"\x89PNG\r\n\x1a\n"
TIFF_BEGINNINGS = (b"II*\0", b"MM\0*", b"MM*\0", b"II\0*", b"II+\0", b"MM\0+")  # those that Pillow takes

# ITU-T T.81, table B.1. Restart markers (D0 to D7) are a part of the scan that they are in.
_JPEG_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
# The lossless, hierarchical and arithmetic ones too: C0 to CF, less the tables C4 and CC and the reserved C8.
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_PROGRESSIVE = frozenset((0xC2, 0xC6, 0xCA, 0xCE))
# Start, end, and those that mean nothing: they have no length, or Pillow does not look for it.
_JPEG_WITHOUT_LENGTH = frozenset((0x01, 0xC8, 0xD8, 0xD9, *range(0xF0, 0xFE)))
JPEG_SCAN = b"\xda"
_JPEG_END = b"\xd9"

# TIFF 6.0, section 2, and BigTIFF's three; an unknown type counts as one byte here, and is an error to libtiff.
_TIFF_TYPE_BYTES = {3: 2, 4: 4, 5: 8, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}


@dataclass(frozen=True, kw_only=True)
class Part:
    """A part of a file: a JPEG's segment, a PNG's chunk."""

    kind: bytes
    start: int  # of its content
    end: int
    skipped: int = 0  # what Pillow walks over one by one: bytes before it that belong to nothing, or a GIF's sub-blocks


def jpeg_segments(data: bytes) -> Iterator[Part]:
    """Yield each segment up to the picture's end, as libjpeg finds them; the bytes of scans are stepped over."""
    place = 2
    while found := _JPEG_MARKER.search(data, place):
        start = found.end()
        marker = data[start - 1]
        length = 0 if marker in _JPEG_WITHOUT_LENGTH else int.from_bytes(data[start : start + 2], "big")
        end = start + length if length >= 2 else start
        yield Part(kind=data[start - 1 : start], start=start + 2, end=end, skipped=found.start() - place)
        if data[start - 1 : start] == _JPEG_END:
            break
        place = end


@dataclass(frozen=True, kw_only=True)
class JpegHeader:
    """What a JPEG says of itself up to its first scan."""

    parts: int  # segments, and bytes between them
    process: int = 0  # the frame's marker, 0 where there is none
    bits: int = 8
    channels: int = 0
    scanned: int = 0  # channels of the first scan

    @property
    def is_buffered(self) -> bool:
        """Whether libjpeg must hold the whole picture's coefficients: its first scan is not all there is."""
        return self.process in _JPEG_PROGRESSIVE or self.scanned < self.channels


def jpeg_header(data: bytes, most_parts: int) -> JpegHeader:
    """Read a JPEG's segments up to its first scan, or until they are more than `most_parts`."""
    parts = process = channels = scanned = 0
    bits = 8
    for segment in jpeg_segments(data):
        parts += 1 + segment.skipped
        if segment.kind == JPEG_SCAN:
            scanned = int.from_bytes(data[segment.start : segment.start + 1], "big")
            break
        if segment.kind[0] in _JPEG_FRAMES and segment.end - segment.start >= 6:
            process, bits = segment.kind[0], int.from_bytes(data[segment.start : segment.start + 1], "big")
            channels = int.from_bytes(data[segment.start + 5 : segment.start + 6], "big")
        if parts > most_parts:
            break
    return JpegHeader(parts=parts, process=process, bits=bits, channels=channels, scanned=scanned)


def png_chunks(data: bytes, place: int = len(PNG_BEGINNING)) -> Iterator[Part]:
    """Yield each chunk from a place on, before the one that marks the end."""
    while place + 8 <= len(data) and (kind := data[place + 4 : place + 8]) != b"IEND":
        end = place + 8 + int.from_bytes(data[place : place + 4], "big")
        yield Part(kind=kind, start=place + 8, end=end)
        place = end + 4


def png_depth(data: bytes) -> int:
    """Return the bits of each channel; where there are several headers, the most that any of them says."""
    deepest = 0
    for chunk in png_chunks(data):
        if chunk.kind in (b"IDAT", b"fdAT"):
            break
        if chunk.kind == b"IHDR" and chunk.start + 8 < len(data):
            deepest = max(deepest, data[chunk.start + 8])
    return deepest


def tiff_tags(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield the number, the bytes of all values, and the first value of each tag in the first directory."""
    endian: Literal["little", "big"] = "little" if data.startswith(b"II") else "big"
    order = "<" if endian == "little" else ">"
    big = data[2:4] in (b"+\0", b"\0+")  # https://libtiff.gitlab.io/libtiff/specification/bigtiff.html
    first, count, entry = ("8xQ", "Q", "HHQ8s") if big else ("4xI", "H", "HHI4s")
    try:
        (place,) = struct.unpack_from(order + first, data)
        (entries,) = struct.unpack_from(order + count, data, place)
        place += struct.calcsize(order + count)
        directory = data[place : place + entries * struct.calcsize(order + entry)]
        for tag, kind, number, value in struct.iter_unpack(order + entry, directory):
            size = _TIFF_TYPE_BYTES.get(kind, 1)
            if size * number > len(value):  # then it says where they are
                start = int.from_bytes(value, endian)
                yield tag, size * number, int.from_bytes(data[start : start + size], endian)
            else:
                yield tag, size * number, int.from_bytes(value[:size], endian)
    except (struct.error, OverflowError):
        return  # cut off: the decoder refuses it


def gif_blocks(data: bytes, most_sub_blocks: int) -> Iterator[Part]:
    """Yield each extension, whose kind is its label, and each image, whose kind is a comma.

    `skipped` is the number of its sub-blocks. The walk ends after the first block that has more than `most_sub_blocks`.
    """
    place = 13 + _colours(data[10]) if len(data) > 10 else len(data)
    while place + 1 < len(data) and (kind := data[place : place + 1]) != b";":
        if kind == b"!":
            kind, start = data[place + 1 : place + 2], place + 2
        elif kind == b"," and place + 9 < len(data):
            # The image's place, its flags and its colours are followed by the size of the first code.
            start = place + 10 + _colours(data[place + 9]) + 1
        else:
            place += 1
            yield Part(kind=b"", start=place, end=place)
            continue
        end, sub_blocks = start, 0
        while end < len(data) and data[end]:
            end += 1 + data[end]
            sub_blocks += 1
            if sub_blocks > most_sub_blocks:
                yield Part(kind=kind, start=start, end=end, skipped=sub_blocks)
                return
        yield Part(kind=kind, start=place + 1 if kind == b"," else start, end=end, skipped=sub_blocks)
        place = end + 1


def _colours(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 128 else 0


def riff_chunks(data: bytes) -> Iterator[Part]:
    """Yield each chunk of a WebP file."""
    place = 12
    while place + 8 <= len(data):
        end = place + 8 + int.from_bytes(data[place + 4 : place + 8], "little")
        yield Part(kind=data[place : place + 4], start=place + 8, end=end)
        place = end + end % 2


def boxes(data: bytes, start: int, end: int) -> Iterator[Part]:
    """Yield each box of the ISO base media file format between two places. ISO/IEC 14496-12, 4.2."""
    place = start
    while place + 8 <= min(end, len(data)):
        head, size = 8, int.from_bytes(data[place : place + 4], "big")
        if size == 1:
            head, size = 16, int.from_bytes(data[place + 8 : place + 16], "big")
        upto = end if size == 0 else place + size
        if size != 0 and size < head:
            return
        yield Part(kind=data[place + 4 : place + 8], start=place + head, end=min(upto, end))
        place = upto
