"""Finds the data of items and of tracks' samples in the boxes of an AVIF, of a file that may say anything."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from moderator.pictures.structure import Part, boxes

_CONTAINERS = frozenset((b"meta", b"moov", b"trak", b"mdia", b"minf", b"stbl"))


def all_boxes(data: bytes, start: int, end: int) -> Iterator[Part]:
    """Yield the boxes of a file, and those within them that hold others."""
    for box in boxes(data, start, end):
        yield box
        if box.kind in _CONTAINERS:
            # A meta box has a version and flags before its boxes.
            yield from all_boxes(data, box.start + (4 if box.kind == b"meta" else 0), box.end)


def items(data: bytes, box: Part, most: int) -> Iterator[tuple[int, int]]:
    """Yield where the data of each item begins and ends. ISO/IEC 14496-12, 8.11.3.

    Raises:
        struct.error, IndexError: the box is cut off.
    """
    version = data[box.start]
    place = box.start + 4
    sizes = int.from_bytes(data[place : place + 2], "big")
    offset, length, base, index = (sizes >> shift & 15 for shift in (12, 8, 4, 0))
    wide = version == 2
    place += 2

    def number(count: int) -> int:
        nonlocal place
        place += count
        if place > box.end:
            raise IndexError
        return int.from_bytes(data[place - count : place], "big")

    idat = next((part.start for part in all_boxes(data, 0, len(data)) if part.kind == b"idat"), 0)
    for _ in range(min(number(4 if wide else 2), most)):
        number(4 if wide else 2)
        is_inside = version in (1, 2) and number(2) & 15 == 1
        number(2)
        start = number(base) + (idat if is_inside else 0)
        for _ in range(min(number(2), most)):
            if version in (1, 2):
                number(index)
            begins = start + number(offset)
            yield begins, begins + (number(length) or len(data))


def samples(data: bytes, box: Part, most: int) -> Iterator[tuple[int, int]]:
    """Yield where each sample of a track begins and ends. ISO/IEC 14496-12, 8.7: sizes, chunks, and which is in which.

    Raises:
        struct.error, IndexError: the boxes are cut off.
    """
    parts = {part.kind: part.start + 4 for part in boxes(data, box.start, box.end)}
    wide = b"co64" in parts
    if not {b"stsz", b"stsc"} <= parts.keys() or not (wide or b"stco" in parts):
        return
    size, count = struct.unpack_from(">II", data, parts[b"stsz"])
    count = min(count, most)
    sizes = [size] * count if size else list(struct.unpack_from(f">{count}I", data, parts[b"stsz"] + 8))
    place = parts[b"co64" if wide else b"stco"]
    (chunks,) = struct.unpack_from(">I", data, place)
    chunks = min(chunks, most)
    offsets = struct.unpack_from(f">{chunks}{'Q' if wide else 'I'}", data, place + 4)
    (runs,) = struct.unpack_from(">I", data, parts[b"stsc"])
    table = [struct.unpack_from(">III", data, parts[b"stsc"] + 4 + 12 * run) for run in range(min(runs, most))]
    sample = run = 0
    for chunk, start in enumerate(offsets, 1):
        while run + 1 < len(table) and table[run + 1][0] <= chunk:
            run += 1
        for _ in range(table[run][1] if table else 0):
            if sample >= len(sizes):
                return
            yield start, start + sizes[sample]
            start += sizes[sample]
            sample += 1


def keys(data: bytes, box: Part) -> set[int] | None:
    """Return the numbers, from 1, of the samples at which decoding can begin; None for all. ISO/IEC 14496-12, 8.6.2."""
    table = next((part for part in boxes(data, box.start, box.end) if part.kind == b"stss"), None)
    if table is None:
        return None
    numbers = data[table.start + 8 : table.end]
    return {number for (number,) in struct.iter_unpack(">I", numbers[: len(numbers) // 4 * 4])}
