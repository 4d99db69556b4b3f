"""Judges by its header what decoding a picture would cost, and refuses what would cost too much.

Pixels are not the only measure: some decoders hold several copies of a picture, and some files are small pictures whose
thousands of parts have to be walked through. The figures are chosen so that one picture of the default limit of
50 million pixels is decoded within a second and 300 MB; `test_picture_cost.py` holds them to it.
"""

from __future__ import annotations

import re
import struct

from PIL import ImageFile

from moderator.errors import TooMuch

# What JPEG and GIF can hold at most. Decoders keep whole rows several times over, so that a single row of 50 million
# pixels would cost what a picture of several hundred million does.
_LONGEST_SIDE = 65_535

# Some decoders hold more than the four bytes a pixel of the result, or take longer: their share of this many pixels, or
# of MAX_PIXELS where that is more.
_ORDINARY = 50_000_000
_PROGRESSIVE_JPEG = 0.3  # all coefficients, two bytes each
_SEVERAL_COPIES = 0.25  # WebP and AVIF: canvas, frame, bytes and result; colour TIFF: a whole strip of 8 bytes a pixel
_COLOUR_PNG, _DEEP_PNG = 0.7, 0.4  # undoing the row filters takes 5 ns a byte

# More parts than any camera or editor writes: fifty times what 10 MB of PNG in chunks of 32 kB have.
_MOST_PARTS = 15_000
# libjpeg goes over the whole picture once a scan, however few bytes the scan has. Encoders write about ten.
_MOST_SCANS = 30
# Pillow takes run-length-encoded BMPs apart in Python, a microsecond a run of two bytes.
_MOST_RLE_BYTES = 1_500_000
_LARGEST_TILE = 4096 * 4096  # pixels; common are 256 x 256

# TIFF 6.0, section 2, and BigTIFF's three; a type that is not there is one byte here, and an error to libtiff.
_TIFF_TYPE_BYTES = {3: 2, 4: 4, 5: 8, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_TILE_WIDTH, _TILE_LENGTH = 322, 323  # tags of TIFF 6.0, section 15
_JPEG_MARKER = re.compile(rb"(\xff+)([^\xff])")
_JPEG_START_OF_SCAN = 0xDA


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
    """Refuse what would take Pillow or libtiff longer to get an overview of than to decode, before they see it.

    Raises:
        TooMuch: it is made of too many parts, or of fewer that are counted often.
    """
    if data.startswith((b"II", b"MM")) and _tiff_values(data) > len(data):
        # libtiff copies each value, and thousands of values may be the same megabytes of the file.
        raise TooMuch(f"{name} is a TIFF whose tags together are larger than the file: save it anew.")
    parts = _jpeg_parts(data) if data.startswith(b"\xff\xd8") else _png_parts(data) if data[1:4] == b"PNG" else 0
    if parts > _MOST_PARTS:
        raise TooMuch(f"{name} has more than {_MOST_PARTS:,} blocks of metadata: save the picture without metadata.")


def check_decoder(image: ImageFile.ImageFile, data: bytes, max_pixels: int, name: str) -> None:
    """Refuse an opened picture whose format makes its pixels cost more than others' do.

    Raises:
        TooMuch: its format's share of `max_pixels` is exceeded, or it is made to be slow.
    """
    match image.format:
        case "WEBP" | "AVIF":
            _check_share(image, max_pixels, _SEVERAL_COPIES, name, f" of {image.format}")
        case "TIFF" if image.mode not in ("1", "L", "P"):
            _check_share(image, max_pixels, _SEVERAL_COPIES, name, " of a colour TIFF")
        case "PNG" if "16" in str(image.tile):
            _check_share(image, max_pixels, _DEEP_PNG, name, " of a PNG with 16 bits a channel")
        case "PNG" if len(image.getbands()) > 1:
            _check_share(image, max_pixels, _COLOUR_PNG, name, " of a PNG in colour")
        case "JPEG" | "MPO" if _is_progressive(image, data):
            _check_share(image, max_pixels, _PROGRESSIVE_JPEG, name, " of a progressive JPEG")
            if data.count(bytes((0xFF, _JPEG_START_OF_SCAN))) > _MOST_SCANS:
                raise TooMuch(f"{name} is a JPEG of more than {_MOST_SCANS} scans: save it anew.")
        case "BMP" if image.tile and image.tile[0][0] == "bmp_rle" and len(data) > _MOST_RLE_BYTES:
            raise TooMuch(
                f"{name} is a run-length-encoded BMP of {len(data):,} bytes: at most {_MOST_RLE_BYTES:,} are read. "
                "Send it as PNG."
            )
    if image.format == "TIFF":
        tags = getattr(image, "tag_v2", {})
        width, length = (tags.get(tag, 1) for tag in (_TILE_WIDTH, _TILE_LENGTH))
        if isinstance(width, int) and isinstance(length, int) and width * length > _LARGEST_TILE:
            raise TooMuch(f"{name} is a TIFF in tiles of {width} x {length} pixels: save it in smaller tiles.")


def _check_share(image: ImageFile.ImageFile, max_pixels: int, share: float, name: str, kind: str) -> None:
    allowed = min(max_pixels, int(max(max_pixels, _ORDINARY) * share))
    check_size(image.width, image.height, allowed, name, kind)


def _is_progressive(image: ImageFile.ImageFile, data: bytes) -> bool:
    """Whether libjpeg must hold the whole picture's coefficients: its first scan is not all there is."""
    layers = getattr(image, "layers", 0)
    # Pillow has read as far as the first scan's header: marker, length, count, two bytes a component, three bytes.
    end = image.fp.tell() if image.fp else 0
    whole = bytes((0xFF, _JPEG_START_OF_SCAN, 0, 6 + 2 * layers, layers))
    return "progressive" in image.info or not data[: end - 2 * layers - 3].endswith(whole)


def _jpeg_parts(data: bytes) -> int:
    """Count segments, and the fill bytes before them, up to the first scan."""
    place = 2
    parts = 0
    while parts <= _MOST_PARTS:
        marker = _JPEG_MARKER.match(data, place)
        if marker is None or marker[2][0] == _JPEG_START_OF_SCAN:
            break
        parts += len(marker[1])
        place = marker.end()
        length = int.from_bytes(data[place : place + 2], "big")
        # Without a length are only restart markers, start, end and 01; a length below 2 means nothing.
        place += length if length >= 2 and not (0xD0 <= marker[2][0] <= 0xD9 or marker[2][0] == 1) else 0
    return parts


def _png_parts(data: bytes) -> int:
    """Count chunks up to the end or the second frame of an animation, which nobody reads."""
    place, parts = 8, 0
    while parts <= _MOST_PARTS and place + 8 <= len(data) and data[place + 4 : place + 8] not in (b"IEND", b"fdAT"):
        parts += 1
        place += 12 + int.from_bytes(data[place : place + 4], "big")
    return parts


def _tiff_values(data: bytes) -> int:
    """Add up the bytes of all values in the first directory."""
    order = "<" if data.startswith(b"II") else ">"
    big = data[2:4] in (b"+\0", b"\0+")  # https://libtiff.gitlab.io/libtiff/specification/bigtiff.html
    first, count, entry = ("8xQ", "Q", "HHQ8x") if big else ("4xI", "H", "HHI4x")
    try:
        (place,) = struct.unpack_from(order + first, data)
        (entries,) = struct.unpack_from(order + count, data, place)
        place += struct.calcsize(order + count)
        directory = data[place : place + entries * struct.calcsize(order + entry)]
        values = struct.iter_unpack(order + entry, directory)
        return sum(_TIFF_TYPE_BYTES.get(kind, 1) * number for _, kind, number in values)
    except (struct.error, OverflowError):
        return 0  # cut off: for the decoder to refuse
