"""Pictures that strangers could send to break a decoder: cut off, damaged, lying, exploding, or merely odd."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

import numpy as np
from PIL import Image

from support.pictures import encoded, noise

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
Corpus = Iterator[tuple[str, bytes]]  # what it is, its bytes


def whole(format: str) -> bytes:
    """A small sound picture of that format."""
    options = {"JPEG": {"quality": 40}, "AVIF": {"quality": 40}, "WEBP": {"quality": 40}}.get(format, {})
    return encoded(noise(24, 20, seed=5), format, **options)


def truncated(format: str) -> Corpus:
    """Cut off at every tenth byte."""
    data = whole(format)
    for length in range(10, len(data), 10):
        yield f"{format} of {len(data)} bytes cut off after {length}", data[:length]


def flipped(format: str, count: int = 120) -> Corpus:
    """One to eight bits flipped anywhere, headers more often than the rest."""
    data = whole(format)
    random = np.random.default_rng(7)
    for number in range(count):
        damaged = bytearray(data)
        for _ in range(random.integers(1, 9)):
            end = min(len(data), 80) if number % 2 else len(data)
            damaged[random.integers(0, end)] ^= 1 << random.integers(0, 8)
        yield f"{format} with bits flipped, {number}", bytes(damaged)


def resized(format: str, width: int, height: int) -> bytes:
    """A small sound picture whose header says another size."""
    data = bytearray(whole(format))
    match format:
        case "JPEG":
            place = data.index(b"\xff\xc0") + 5
            data[place : place + 4] = struct.pack(">HH", height & 0xFFFF, width & 0xFFFF)
        case "PNG":
            data[16:24] = struct.pack(">II", width, height)
            data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
        case "GIF":
            data[6:10] = struct.pack("<HH", width & 0xFFFF, height & 0xFFFF)
            place = data.index(b",", 13 + 3 * 256)
            data[place + 5 : place + 9] = data[6:10]
        case "BMP":
            data[18:26] = struct.pack("<ii", width & 0x7FFFFFFF, height & 0x7FFFFFFF)
        case "TIFF":
            for tag, value in ((256, width), (257, height)):
                (place,) = (
                    data.index(entry) for kind in (3, 4) if (entry := struct.pack("<HHI", tag, kind, 1)) in data
                )
                data[place : place + 12] = struct.pack("<HHII", tag, 4, 1, value)
        case "WEBP":
            place = data.index(b"\x9d\x01\x2a") + 3
            data[place : place + 4] = struct.pack("<HH", width & 0x3FFF, height & 0x3FFF)
        case "AVIF":
            place = data.index(b"ispe") + 8
            data[place : place + 8] = struct.pack(">II", width, height)
    return bytes(data)


def lying(format: str) -> Corpus:
    """Headers that say another size than the data have."""
    for width, height in ((0, 0), (0, 20), (24, 0), (1, 1), (23, 20), (25, 21), (24, 2000), (7000, 7000),
                          (60_000, 800), (65_535, 65_535), (2**31 - 1, 1), (2**32 - 1, 2**32 - 1)):  # fmt: skip
        yield f"{format} that says it has {width} x {height} pixels", resized(format, width, height)


def chunk(kind: bytes, data: bytes) -> bytes:
    """A PNG chunk."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, *before: bytes, depth: int = 8, colour: int = 2, pixels: bytes | None = None) -> bytes:
    """A PNG with the given chunks before its black pixels."""
    if pixels is None:
        samples = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
        row = bytes(1 + (width * samples * depth + 7) // 8)
        packer = zlib.compressobj(1)
        pixels = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + b"".join(before) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    )


def bombs() -> Corpus:
    """Four gigapixels or more in some fifty bytes."""
    side = 65_535
    yield "PNG of 4 gigapixels", png(side, side, pixels=b"")
    yield (
        "GIF of 4 gigapixels",
        b"GIF89a"
        + struct.pack("<HHBBB", side, side, 0, 0, 0)
        + (b"," + struct.pack("<HHHHB", 0, 0, side, side, 0) + b"\x08\x01\x00\x00;"),
    )
    yield (
        "GIF whose frame is larger than its screen",
        b"GIF89a"
        + struct.pack("<HHBBB", 1, 1, 0, 0, 0)
        + (b"," + struct.pack("<HHHHB", 0, 0, side, side, 0) + b"\x08\x01\x00\x00;"),
    )
    bmp_header = struct.pack("<IiiHHIIiiII", 40, side, side, 1, 8, 0, 0, 0, 0, 0, 0)
    yield "BMP of 4 gigapixels", b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + bmp_header
    yield "JPEG of 4 gigapixels", resized("JPEG", side, side)
    yield "TIFF of 4 gigapixels", resized("TIFF", side, side)
    yield "AVIF of 4 gigapixels", resized("AVIF", side, side)
    canvas = (side - 1).to_bytes(3, "little") * 2
    yield "WebP of 4 gigapixels", b"RIFF\x16\0\0\0WEBPVP8X\x0a\0\0\0\x02\0\0\0" + canvas


def _tiff(tags: list[tuple[int, int, int, int]], body: bytes) -> bytes:
    return b"II*\0" + struct.pack("<I", 8 + len(body)) + body + _directory(tags)


def _directory(tags: list[tuple[int, int, int, int]]) -> bytes:
    return struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", *tag) for tag in sorted(tags)) + bytes(4)


def _grey_tiff(*tags: tuple[int, int, int, int], body: bytes) -> bytes:
    size = [(256, 4, 1, 8), (257, 4, 1, 8), (258, 3, 1, 8), (259, 3, 1, 8), (262, 3, 1, 1), (277, 3, 1, 1)]
    return _tiff([*size, *tags], body)


def rle_bmp(width: int, height: int, runs: bytes) -> bytes:
    """A run-length-encoded BMP."""
    header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, len(runs), 0, 0, 256, 256)
    return b"BM" + struct.pack("<IHHI", 54 + 1024 + len(runs), 0, 0, 54 + 1024) + header + bytes(1024) + runs


def exploding() -> Corpus:
    """Small files, and small pictures, that take long or much memory to read."""
    megabyte = zlib.compress(bytes(1 << 20))
    for name, prefix in (("zTXt", b"a\0\0"), ("iTXt", b"a\0\1\0\0\0"), ("iCCP", b"a\0\0")):
        large = chunk(name.encode(), prefix + zlib.compress(bytes(200 << 20)))
        yield f"PNG with 200 MB in one {name} chunk", png(8, 8, large)
        yield f"PNG with 1 MB in each of 300 {name} chunks", png(8, 8, *[chunk(name.encode(), prefix + megabyte)] * 300)
    yield "PNG with 300,000 text chunks", png(8, 8, *[chunk(b"tEXt", b"a\0")] * 300_000)
    yield "PNG with 300,000 empty data chunks", png(8, 8, *[chunk(b"IDAT", b"")] * 300_000)
    jpeg = encoded(noise(8, 8), "JPEG")
    yield "JPEG with a million segments", jpeg[:2] + b"\xff\xe5\0\2" * 1_000_000 + jpeg[2:]
    yield "JPEG with 5 MB of fill bytes", jpeg[:2] + b"\xff" * 5_000_000 + jpeg[2:]
    gif = whole("GIF")
    start = gif.index(b",", 13 + 3 * 256)
    yield "GIF with 5 MB of comments", gif[:start] + b"!\xfe" + (b"\xff" + b"x" * 255) * 20_000 + b"\0" + gif[start:]
    yield "GIF with a comment in pieces", gif[:start] + b"!\xfe" + b"\1x" * 1_000_000 + b"\0" + gif[start:]
    packer = zlib.compressobj(9)
    gigabyte = b"".join(packer.compress(bytes(1 << 20)) for _ in range(900)) + packer.flush()
    place, length = (324, 4, 1, 8), (325, 4, 1, len(gigabyte))
    yield (
        "TIFF with one tile of 900 MB",
        _grey_tiff((322, 4, 1, 30_000), (323, 4, 1, 30_000), place, length, body=gigabyte),
    )
    yield (
        "TIFF with one strip of 900 MB",
        _grey_tiff((278, 4, 1, 9_000_000), (273, 4, 1, 8), (279, 4, 1, len(gigabyte)), body=gigabyte),
    )
    overlapping = [(40_000 + number, 7, 4_000_000, 20) for number in range(300)]
    yield "TIFF with 300 tags of the same 4 MB", _grey_tiff((273, 4, 1, 8), *overlapping, body=bytes(4_000_100))
    exif = _tiff(overlapping, bytes(4_000_100))
    yield "PNG with EXIF of 300 tags of the same 4 MB", png(8, 8, chunk(b"eXIf", exif))
    pieces = [b"Exif\0\0" + exif[cut : cut + 65_000] for cut in range(0, len(exif), 65_000)]
    segments = b"".join(b"\xff\xe1" + struct.pack(">H", 2 + len(piece)) + piece for piece in pieces)
    yield "JPEG with EXIF of 300 tags of the same 4 MB", jpeg[:2] + segments + jpeg[2:]
    yield "BMP with three million runs", rle_bmp(1732, 1732, b"\1\5" * 3_000_000)
    yield "BMP of one row with jumps of 255 rows", rle_bmp(40_000_000, 1, b"\0\2\xff\xff" * 3 + b"\0\1")
    progressive = encoded(Image.new("L", (3800, 3800)), "JPEG", progressive=True)
    last = progressive.rindex(b"\xff\xda")
    yield "JPEG with 2,000 scans", progressive[:-2] + progressive[last:-2] * 2000 + progressive[-2:]
    yield "JPEG with 20 more scans", progressive[:-2] + progressive[last:-2] * 20 + progressive[-2:]


def animated() -> Corpus:
    """Ten thousand frames, of which only the first is looked at."""
    frames = [Image.new("L", (8, 8), number % 251) for number in range(10_000)]
    for format in ("GIF", "PNG", "WEBP", "AVIF"):
        fastest = {"speed": 10} if format == "AVIF" else {}
        yield (
            f"{format} of 10,000 frames",
            encoded(frames[0], format, save_all=True, append_images=frames[1:], duration=20, **fastest),
        )
    # One directory for each page, each pointing to the next; Pillow would take a minute to write so many.
    tags = [(256, 4, 1, 8), (257, 4, 1, 8), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1), (273, 4, 1, 8)]
    page = _directory([*tags, (278, 4, 1, 8), (279, 4, 1, 64)])[:-4]
    place = 8 + 64
    pages = b"".join(
        page + struct.pack("<I", 0 if last else place + number * (len(page) + 4))
        for number in range(1, 10_001)
        for last in (number == 10_000,)
    )
    yield "TIFF of 10,000 pages", b"II*\0" + struct.pack("<I", place) + bytes(64) + pages
