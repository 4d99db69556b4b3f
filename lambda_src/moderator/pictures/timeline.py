"""When each frame of an animated picture is shown, read from its file without decoding any."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterable, Iterator

from PIL import ImageFile

from moderator.pictures.cost import MOST_PARTS_OF_ALL_FRAMES, check_length
from moderator.pictures.structure import Part, boxes, gif_blocks, png_chunks, riff_chunks

# Browsers show frames of 10 ms or less (most often 0) for 100 ms; so does this clock.
# https://searchfox.org/mozilla-central/source/image/FrameTimeout.h
_TOO_SHORT, _INSTEAD = 10.0, 100.0  # ms


def frame_starts(image: ImageFile.ImageFile, data: bytes, name: str) -> list[float]:
    """Return the second at which each frame begins, in the first loop; for a still picture, one frame at 0.

    Raises:
        TooMuch: the file has more parts than any animation needs.
    """
    frames = 1
    match image.format:
        case "GIF":
            delays = list(_gif_delays(_counted(gif_blocks(data, MOST_PARTS_OF_ALL_FRAMES), name), data))
        case "PNG":
            delays = list(_png_delays(_counted(png_chunks(data), name), data))
        case "WEBP":
            delays = list(_webp_delays(_counted(riff_chunks(data), name), data))
            frames = getattr(image, "n_frames", 1)
        case "AVIF":
            delays = list(_avif_delays(data, name))
            frames = getattr(image, "n_frames", 1)
        case _:
            delays = []
    # Pillow shows as many frames as libwebp and libavif count, whatever the file says about times.
    check_length(frames, name)
    delays += [0.0] * (frames - len(delays))
    # Added up in milliseconds, which most formats have as whole numbers: seconds would drift.
    shown = (_INSTEAD if delay <= _TOO_SHORT else delay for delay in delays[:-1])
    return [start / 1000 for start in itertools.accumulate(shown, initial=0.0)]


def _counted(parts: Iterable[Part], name: str) -> Iterator[Part]:
    count = 0
    for part in parts:
        count += 1 + part.skipped
        check_length(count, name)
        yield part


def _gif_delays(blocks: Iterable[Part], data: bytes) -> Iterator[float]:
    delay = 0.0
    for block in blocks:
        if block.kind == b"\xf9":  # the graphic control extension, for the image after it
            delay = int.from_bytes(data[block.start + 2 : block.start + 4], "little") * 10.0
        elif block.kind == b",":
            yield delay
            delay = 0.0


def _png_delays(chunks: Iterable[Part], data: bytes) -> Iterator[float]:
    """Read the frame controls. https://wiki.mozilla.org/APNG_Specification.

    A picture before the first of them is not part of the animation. It counts as a frame here, because viewers that
    know no animations show it.
    """
    is_animated = has_frame = False
    for chunk in chunks:
        if chunk.kind == b"acTL":
            is_animated = True
        elif chunk.kind == b"IDAT" and not has_frame:
            has_frame = True
            yield 0.0
        elif chunk.kind == b"fcTL" and is_animated:
            numerator, denominator = struct.unpack(">HH", data[chunk.start + 20 : chunk.start + 24].ljust(4, b"\0"))
            has_frame = True
            yield 1000 * numerator / (denominator or 100)


def _webp_delays(chunks: Iterable[Part], data: bytes) -> Iterator[float]:
    """https://developers.google.com/speed/webp/docs/riff_container#animation."""
    for chunk in chunks:
        if chunk.kind == b"ANMF":
            yield int.from_bytes(data[chunk.start + 12 : chunk.start + 15], "little") * 1.0


def _avif_delays(data: bytes, name: str) -> Iterator[float]:
    """Read the first track's time-to-sample box. ISO/IEC 14496-12, 8.6.1.2."""
    track = _inside(data, name, Part(kind=b"", start=0, end=len(data)), b"moov", b"trak", b"mdia")
    header = _inside(data, name, track, b"mdhd")
    table = _inside(data, name, track, b"minf", b"stbl", b"stts")
    if header is None or table is None:
        return
    # Version 1 has times of 8 bytes before the time scale.
    place = header.start + (20 if data[header.start : header.start + 1] == b"\1" else 12)
    scale = int.from_bytes(data[place : place + 4], "big") or 1
    entries = data[table.start + 8 : table.end]
    frames = 0
    for count, delta in struct.iter_unpack(">II", entries[: len(entries) // 8 * 8]):
        frames += count
        check_length(frames, name)
        yield from itertools.repeat(1000 * delta / scale, count)


def _inside(data: bytes, name: str, box: Part | None, *path: bytes) -> Part | None:
    """Return the first box at the end of this path of kinds."""
    for kind in path:
        if box is None:
            return None
        inner = _counted(boxes(data, box.start, box.end), name)
        box = next((part for part in inner if part.kind == kind), None)
    return box
