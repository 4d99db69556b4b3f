"""Judges from a picture's header what decoding it would cost, and refuses what would cost too much.

Pixels are not the only measure: some decoders hold several copies of a picture, and some small pictures have thousands
of parts to walk through. The figures are chosen so that one picture of the default limit of
50 million pixels is decoded within a second and 300 MB; `test_hostile_pictures.py` holds them to it.
"""

from __future__ import annotations

import itertools

from PIL import ImageFile

from moderator.errors import TooMuch
from moderator.pictures.av1 import frames_within
from moderator.pictures.structure import (
    GIF_BEGINNINGS,
    JPEG_BEGINNING,
    JPEG_SCAN,
    PNG_BEGINNING,
    TIFF_BEGINNINGS,
    gif_blocks,
    jpeg_header,
    jpeg_segments,
    png_chunks,
    png_depth,
    tiff_tags,
)

# What JPEG and GIF can hold at most. Decoders keep whole rows several times over, so that a single row of 50 million
# pixels would cost what a picture of several hundred million does.
_LONGEST_SIDE = 65_535

# Some decoders hold more than the result's four bytes per pixel, or take longer. They may have a share of this many
# pixels, or of MAX_PIXELS where that is more.
_ORDINARY = 50_000_000
_PROGRESSIVE_JPEG = 0.3  # all coefficients, two bytes each
_SEVERAL_COPIES = 0.25  # WebP and AVIF: canvas, frame, bytes and result; colour TIFF: a whole strip of 8 bytes a pixel
_COLOUR_PNG, _DEEP_PNG = 0.7, 0.4  # undoing the row filters takes 5 ns a byte

# More parts than any camera or editor writes: fifty times what 10 MB of PNG in chunks of 32 kB have.
_MOST_PARTS = 15_000
# A PNG should have one profile. Pillow unpacks every one, to a megabyte at most: each takes as long as this many parts.
_PROFILE_PARTS = 1000
# An hour of film has as many frames; a walk over as many parts takes a fifth of a second.
MOST_PARTS_OF_ALL_FRAMES = 100_000
# libjpeg goes over the whole picture for each scan, however few bytes it has. Encoders write about ten.
_MOST_SCANS = 30
# Pillow takes run-length-encoded BMPs apart in Python, a microsecond a run of two bytes.
_MOST_RLE_BYTES = 1_500_000
_LARGEST_TILE = 4096 * 4096  # pixels; common are 256 x 256

_TILE_WIDTH, _TILE_LENGTH = 322, 323  # tags of TIFF 6.0, section 15


def check_size(width: int, height: int, max_pixels: int, name: str, kind: str = "") -> None:
    """Refuse a picture for its size alone.

    Raises:
        TooMuch: it has more than `max_pixels`, or one of its sides is longer than any camera's.
    """
    if width * height > max_pixels:
        raise TooMuch(
            f"{name} has {width} x {height} pixels, more than the {max_pixels:,} allowed{kind}: send a smaller picture."
        )
    if max(width, height) > _LONGEST_SIDE:
        raise TooMuch(
            f"{name} has {width} x {height} pixels: a side may have {_LONGEST_SIDE:,} at most. Send a smaller picture."
        )


def check_parts(data: bytes, name: str) -> None:
    """Refuse a file whose parts would take Pillow or libtiff longer to list than to decode, before they see it.

    Raises:
        TooMuch: it has too many parts, or tags that all point to the same bytes.
    """
    parts = 0
    if data.startswith(TIFF_BEGINNINGS):
        sizes = [size for _, size, _ in itertools.islice(tiff_tags(data), _MOST_PARTS + 1)]
        if sum(sizes) > len(data):
            # libtiff copies each value, and thousands of values may be the same megabytes of the file.
            raise TooMuch(f"{name} is a TIFF whose tags together are larger than the file: save it again.")
        parts = len(sizes)
    elif len(data) <= _MOST_PARTS:
        return  # a thumbnail, say: it cannot have more parts than bytes
    elif data.startswith(GIF_BEGINNINGS):
        for count in itertools.accumulate(1 + block.skipped for block in gif_blocks(data, MOST_PARTS_OF_ALL_FRAMES)):
            check_length(count, name)
    elif data.startswith(JPEG_BEGINNING):
        parts = jpeg_header(data, _MOST_PARTS).parts
    elif data.startswith(PNG_BEGINNING):
        # Up to the second frame of an animation: what follows is not part of the first.
        first = itertools.takewhile(lambda chunk: chunk.kind != b"fdAT", png_chunks(data))
        weights = (_PROFILE_PARTS if chunk.kind == b"iCCP" else 1 for chunk in first)
        parts = sum(itertools.islice(weights, _MOST_PARTS + 1))
    _check_count(parts, name)


def check_length(parts: int, name: str) -> None:
    """Refuse a file that has too many parts in all its frames together.

    Raises:
        TooMuch: it has more than any animation needs.
    """
    if parts > MOST_PARTS_OF_ALL_FRAMES:
        raise TooMuch(
            f"{name} is made of more than {MOST_PARTS_OF_ALL_FRAMES:,} parts: save it again, or in several files."
        )


def check_decoder(image: ImageFile.ImageFile, data: bytes, max_pixels: int, name: str) -> None:
    """Refuse an opened picture whose format makes its pixels cost more than others' do.

    Raises:
        TooMuch: its format's share of `max_pixels` is exceeded, or it is made to be slow.
    """
    match image.format:
        case "WEBP" | "AVIF":
            _check_share(image, max_pixels, _SEVERAL_COPIES, name, f" of {image.format}")
            if image.format == "AVIF":
                _check_frames(data, max_pixels, name)
        case "TIFF" if image.mode not in ("1", "L", "P"):
            _check_share(image, max_pixels, _SEVERAL_COPIES, name, " of a colour TIFF")
        case "PNG" if png_depth(data) > 8:
            _check_share(image, max_pixels, _DEEP_PNG, name, " of a PNG with 16 bits a channel")
        case "PNG" if len(image.getbands()) > 1:
            _check_share(image, max_pixels, _COLOUR_PNG, name, " of a PNG in colour")
        case "JPEG" | "MPO" if jpeg_header(data, _MOST_PARTS).is_buffered:
            _check_share(image, max_pixels, _PROGRESSIVE_JPEG, name, " of a progressive JPEG")
            _check_scans(data, name)
        case "BMP" if image.tile and image.tile[0].codec_name == "bmp_rle" and len(data) > _MOST_RLE_BYTES:
            raise TooMuch(
                f"{name} is a run-length-encoded BMP of {len(data):,} bytes: at most {_MOST_RLE_BYTES:,} are allowed. "
                "Send it as PNG."
            )
    if image.format == "TIFF":
        tags = getattr(image, "tag_v2", {})
        width, length = (tags.get(tag, 1) for tag in (_TILE_WIDTH, _TILE_LENGTH))
        if isinstance(width, int) and isinstance(length, int) and width * length > _LARGEST_TILE:
            raise TooMuch(f"{name} is a TIFF in tiles of {width} x {length} pixels: save it in smaller tiles.")


def _check_count(parts: int, name: str) -> None:
    if parts > _MOST_PARTS:
        raise TooMuch(f"{name} has more than {_MOST_PARTS:,} blocks of metadata: save the picture without metadata.")


def _check_scans(data: bytes, name: str) -> None:
    segments = list(itertools.islice(jpeg_segments(data), _MOST_PARTS + 1))
    _check_count(len(segments), name)
    if sum(segment.kind == JPEG_SCAN for segment in segments) > _MOST_SCANS:
        raise TooMuch(f"{name} is a JPEG of more than {_MOST_SCANS} scans: save it again.")


def _check_frames(data: bytes, max_pixels: int, name: str) -> None:
    """Hold what is inside to the limit too: libavif decodes it whole, and then brings it to the size that is said."""
    frames = frames_within(data, MOST_PARTS_OF_ALL_FRAMES)
    if frames is None:
        check_length(MOST_PARTS_OF_ALL_FRAMES + 1, name)
    elif frames.may_grow:
        raise TooMuch(f"{name} is an AVIF whose frames have sizes of their own: save it anew.")
    else:
        allowed = _allowed(max_pixels, _SEVERAL_COPIES)
        check_size(frames.width, frames.height, allowed, name, " of AVIF")
        # As much again for the transparency, and a little for the edges of a grid's tiles.
        if frames.pixels > 2.2 * allowed:
            raise TooMuch(
                f"{name} is an AVIF of {frames.pixels:,} pixels, all its parts together: send a smaller picture."
            )


def _check_share(image: ImageFile.ImageFile, max_pixels: int, share: float, name: str, kind: str) -> None:
    check_size(image.width, image.height, _allowed(max_pixels, share), name, kind)


def _allowed(max_pixels: int, share: float) -> int:
    return min(max_pixels, int(max(max_pixels, _ORDINARY) * share))
