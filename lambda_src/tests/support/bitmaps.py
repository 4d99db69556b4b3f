"""BMPs of every kind that Windows and OS/2 know, read here or not, each of 8 x 8 pixels."""

from __future__ import annotations

import struct

from support.hostile_pictures import Corpus
from support.pictures import encoded, noise


def _fields(*masks: int) -> bytes:
    return struct.pack(f"<{len(masks)}I", *masks)


def bmp(bits: int, compression: int = 0, *, header: int = 40, rest: bytes = b"", pixels: bytes | None = None) -> bytes:
    """A BMP with a header of so many bytes; `rest` is what follows the first 40, such as bit fields."""
    colours = 1 << bits if bits <= 8 and compression not in (4, 5) else 0
    palette = bytes(range(256)) * 4
    if pixels is None:
        pixels = bytes(8 * ((8 * bits + 31) // 32 * 4))
    if header == 12:
        head, palette = struct.pack("<IHHHH", 12, 8, 8, 1, bits), palette[: 3 * colours]
    elif header == 16:
        head, palette = struct.pack("<IiiHH", 16, 8, 8, 1, bits), palette[: 3 * colours]
    else:
        head = struct.pack("<IiiHHIIiiII", header, 8, 8, 1, bits, compression, len(pixels), 0, 0, 0, 0) + rest
        head, palette = head.ljust(header, b"\0"), palette[: 4 * colours]
    start = 14 + len(head) + len(palette)
    return b"BM" + struct.pack("<IHHI", start + len(pixels), 0, 0, start) + head + palette + pixels


_LINE, _END = b"\x08\5\0\0", b"\0\1"


def read() -> Corpus:
    """Those that are read."""
    for bits in (1, 4, 8, 16, 24, 32):
        yield f"{bits} bits a pixel", bmp(bits)
    for header in (52, 56, 64, 108, 124):
        yield f"a header of {header} bytes", bmp(24, header=header)
    for bits in (1, 4, 8, 24):
        yield f"OS/2's header and {bits} bits a pixel", bmp(bits, header=12)
    yield "RGB555 in bit fields", bmp(16, 3, rest=_fields(0x7C00, 0x3E0, 0x1F))
    yield "RGB565 in bit fields", bmp(16, 3, rest=_fields(0xF800, 0x7E0, 0x1F))
    yield "BGRX in bit fields", bmp(32, 3, rest=_fields(0xFF0000, 0xFF00, 0xFF))
    yield "BGRA in bit fields", bmp(32, 3, header=124, rest=_fields(0xFF0000, 0xFF00, 0xFF, 0xFF000000))
    yield "RLE8", bmp(8, 1, pixels=_LINE * 8 + _END)
    yield "RLE8 whose lines end early", bmp(8, 1, pixels=b"\x04\5\0\0" * 8 + _END)
    yield "RLE8 with a jump", bmp(8, 1, pixels=_LINE * 3 + b"\0\2\0\2" + _LINE * 3 + _END)
    yield "RLE4", bmp(4, 2, pixels=_LINE * 8 + _END)


def not_read() -> Corpus:
    """Sound ones that Pillow lacks, and what an error must call them."""
    yield "with 2 bits a pixel", bmp(2)
    yield "with 64 bits a pixel", bmp(64)
    for depth in (0, 24):
        yield "with a JPEG inside", bmp(depth, 4, pixels=encoded(noise(8, 8), "JPEG"))
        yield "with a PNG inside", bmp(depth, 5, pixels=encoded(noise(8, 8), "PNG"))
    yield "with transparency in bit fields", bmp(32, 6, rest=_fields(0xFF0000, 0xFF00, 0xFF, 0xFF000000))
    yield "in CMYK", bmp(32, 11)
    yield "in CMYK", bmp(8, 12, pixels=_LINE * 8 + _END)
    yield "in CMYK", bmp(4, 13, pixels=_LINE * 8 + _END)
    yield "with OS/2's short header", bmp(24, header=16)
    yield "with OS/2's Huffman coding", bmp(1, 3, header=64)
    yield "with OS/2's run lengths of 24 bits", bmp(24, 4, header=64, pixels=_END)
    unusual = "with an unusual order of its colours' bits"
    yield unusual, bmp(16, 3, rest=_fields(0xF00, 0xF0, 0xF))
    yield unusual, bmp(16, 3, header=56, rest=_fields(0xF00, 0xF0, 0xF, 0xF000))
    yield unusual, bmp(32, 3, rest=_fields(0xFF, 0xFF00, 0xFF0000))
    yield unusual, bmp(32, 3, header=124, rest=_fields(0x3FF00000, 0xFFC00, 0x3FF, 0xC0000000))
    for compression, bits in ((1, 8), (2, 4)):
        yield "whose run lengths leave out pixels", bmp(bits, compression, pixels=_LINE * 5 + _END)
