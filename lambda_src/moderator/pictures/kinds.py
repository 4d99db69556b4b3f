"""Says what an unreadable file is, so that its sender knows what to do."""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping

from moderator.errors import BrokenPicture, RequestError, UnknownPicture
from moderator.pictures.structure import jpeg_header, tiff_tags

READABLE = "JPEG, PNG, WebP, GIF, BMP, TIFF or AVIF"

# How a picture of each kind begins. A file that begins like this and still is not recognised is damaged, not something
# else. The patterns are compiled when they are first needed, not at the start.
_READ = {
    "JPEG": rb"\xff\xd8\xff",
    "PNG": rb"\x89PNG\r\n\x1a\n",
    "WebP": rb"RIFF.{4}WEBP",
    "GIF": rb"GIF8[79]a",
    "BMP": rb"BM.{12}[\x0c\x10\x28\x34\x38\x40\x6c\x7c]\0\0\0",
    "TIFF": rb"II\*\0|MM\0\*|II\+\0|MM\0\+",
    "AVIF": rb".{4}ftypavi[fs]",
}

# What people send by mistake. The ISO container's brands: https://mp4ra.org/registered-types/brands
_NOT_READ = {
    "a HEIC picture": rb".{4}ftyp(?:hei[cxms]|hev[cxms]|mif1|msf1)",
    "a JPEG XL picture": rb"\xff\x0a|\0\0\0\x0cJXL \r\n\x87\n",
    "a JPEG 2000 picture": rb"\0\0\0\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51",
    "an icon": rb"\0\0[\x01\x02]\0[\x01-\x40]\0",
    "a Photoshop file": rb"8BPS",
    "an OS/2 bitmap array": rb"BA.{12}BM",
    "an SVG drawing": rb"\s{0,200}(?:<\?xml[^>]{0,200}>\s{0,200})?(?:<!--.{0,500}?-->\s{0,200})?<svg[\s>]",
    "a web page": rb"\s{0,200}<(?i:!doctype html|html)[\s>]",
    "a PDF file": rb"%PDF-",
    "a ZIP file": rb"PK\x03\x04",
    "packed with gzip": rb"\x1f\x8b",
    "a video": rb".{4}(?:ftyp|moov|mdat)|\x1a\x45\xdf\xa3|RIFF.{4}AVI |\0\0\x01\xba|FLV\x01|OggS",
}

# https://learn.microsoft.com/windows/win32/api/wingdi/ns-wingdi-bitmapv5header and [MS-WMF] 2.1.1.7
_BMP_RLE8, _BMP_RLE4, _BMP_BIT_FIELDS = 1, 2, 3
_BMP_COMPRESSIONS = {
    4: "with a JPEG inside",
    5: "with a PNG inside",
    6: "with transparency in bit fields",
    11: "in CMYK",
    12: "in CMYK",
    13: "in CMYK",
}
_BMP_DEPTHS_NOT_READ = (2, 64)
_BMP_END = b"\0\1"  # of run lengths
# OS/2's own header of 64 bytes, whose compressions 3 and 4 are not Windows'.
# https://www.fileformat.info/format/os2bmp/egff.htm
_OS2_HEADER = 64
_OS2_COMPRESSIONS = {3: "with OS/2's Huffman coding", 4: "with OS/2's run lengths of 24 bits"}

_TIFF_WIDTH, _TIFF_BITS, _TIFF_COMPRESSION, _TIFF_CHANNELS = 256, 258, 259, 277

# ITU-T T.81, table B.1: those that libjpeg lacks. Lossless ones beside baseline's, and all that is hierarchical.
_JPEG_NOT_READ = (0xC5, 0xC6, 0xC7, 0xCB, 0xCD, 0xCE, 0xCF)


def looks_like_a_picture(data: bytes) -> bool:
    """Return whether `data` begins like a picture of a kind that is read."""
    return _kind_of(data, _READ) is not None


def looks_like_a_file(data: bytes) -> bool:
    """Return whether `data` begins like a picture, or like another file that people send by mistake."""
    return _kind_of(data, _READ) is not None or _kind_of(data, _NOT_READ) is not None


def refusal(data: bytes, name: str, *, opened: bool) -> RequestError:
    """Return the error for a file that could not be read.

    Args:
        data: at least one byte.
        name: what the picture is called in an error.
        opened: whether its header was understood, but not its pixels.
    """
    known = _kind_of(data, _READ)
    if known is None:
        return _not_read(data, name)
    variants = {"BMP": _bmp_variant, "TIFF": _tiff_variant, "JPEG": _jpeg_variant}
    variant = variants[known](data, opened) if known in variants else None
    if variant is not None:
        return UnknownPicture(f"{name} is a {known} {variant}, which is not supported: save it as PNG or JPEG.")
    if opened:
        return BrokenPicture(
            f"{name} is a {known} picture that cannot be decoded: it is truncated or damaged. Send the whole file."
        )
    return BrokenPicture(f"{name} begins like a {known} picture but is truncated or damaged. Send the whole file.")


def _kind_of(data: bytes, kinds: Mapping[str, bytes]) -> str | None:
    return next((kind for kind, beginning in kinds.items() if re.match(beginning, data, re.DOTALL)), None)


def _not_read(data: bytes, name: str) -> UnknownPicture:
    other = _kind_of(data, _NOT_READ)
    if other is None:
        return UnknownPicture(f"{name} is not a picture that can be read: send {READABLE}.")
    frames = ", such as single frames of it" if other == "a video" else ""
    return UnknownPicture(f"{name} is {other}, which is not supported: send {READABLE}{frames}.")


def _bmp_variant(data: bytes, opened: bool) -> str | None:
    header = int.from_bytes(data[14:18], "little")
    if header == 16:
        return "with OS/2's short header"
    if header == 12 or len(data) < 14 + header:
        return None
    bits, compression, size = struct.unpack_from("<HII", data, 28)
    if header == _OS2_HEADER and compression in _OS2_COMPRESSIONS:
        return _OS2_COMPRESSIONS[compression]
    if compression in _BMP_COMPRESSIONS:
        return _BMP_COMPRESSIONS[compression]
    if bits in _BMP_DEPTHS_NOT_READ:
        return f"with {bits} bits a pixel"
    if compression == _BMP_BIT_FIELDS and not opened:
        return "with an unusual order of its colours' bits"
    if compression in (_BMP_RLE8, _BMP_RLE4) and opened:
        start = int.from_bytes(data[10:14], "little")
        if data.endswith(_BMP_END) or data[start : start + size].endswith(_BMP_END):
            return "whose run lengths leave out pixels"
    return None


def _tiff_variant(data: bytes, opened: bool) -> str | None:
    tags = {tag: value for tag, _, value in tiff_tags(data)}
    if opened or _TIFF_WIDTH not in tags:
        return None
    channels, bits = tags.get(_TIFF_CHANNELS, 1), tags.get(_TIFF_BITS, 1)
    return f"of {channels} x {bits} bits a pixel with compression {tags.get(_TIFF_COMPRESSION, 1)}"


def _jpeg_variant(data: bytes, opened: bool) -> str | None:
    header = jpeg_header(data, most_parts=1000)
    if header.process in _JPEG_NOT_READ:
        return "of a lossless or hierarchical process"
    if header.process and not opened and header.bits != 8:
        return f"with {header.bits} bits a channel"
    if header.process and not opened and header.channels not in (1, 3, 4):
        return f"with {header.channels} channels"
    return None
