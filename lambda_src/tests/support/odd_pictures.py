"""Sound pictures that are as large as allowed or otherwise unusual: they must be answered, within time and memory."""

from __future__ import annotations

import io
from collections.abc import Iterator

from PIL import Image

from support.hostile_pictures import FORMATS, Corpus, png
from support.pictures import encoded, noise


def _exif(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def odd() -> Corpus:
    """Small ones: every shape and mode."""
    for format in FORMATS:
        yield f"{format} of 1 x 1", encoded(Image.new("RGB", (1, 1)), format)
    for format in ("JPEG", "PNG", "GIF", "BMP", "TIFF"):
        for size in ((1, 20_000), (20_000, 1)):
            yield f"{format} of {size[0]} x {size[1]}", encoded(Image.new("RGB", size), format)
    for colour, depth in ((0, 1), (0, 2), (0, 4), (0, 16), (2, 16), (4, 8), (4, 16), (6, 16)):
        yield f"PNG of colour type {colour} with {depth} bits", png(40, 30, colour=colour, depth=depth)
    yield "CMYK JPEG", encoded(noise(40, 30).convert("CMYK"), "JPEG")
    yield "CMYK TIFF", encoded(noise(40, 30).convert("CMYK"), "TIFF")
    palette = noise(40, 30).quantize(16)
    yield "PNG with a palette and one transparent colour", encoded(palette, transparency=3)
    yield "PNG with a palette and transparent colours", encoded(palette, transparency=bytes(range(0, 256, 16)))
    yield "GIF with a palette and a transparent colour", encoded(palette, "GIF", transparency=3)
    for format in ("JPEG", "PNG", "WEBP", "TIFF", "AVIF"):
        for orientation in range(1, 9):
            data = encoded(noise(40, 30), format, exif=_exif(orientation))
            yield f"{format} with EXIF orientation {orientation}", data
    for name, exif in {
        "of nothing": b"",
        "that is not TIFF": b"Exif\0\0 nonsense",
        "that points behind its end": b"Exif\0\0MM\0*\xff\xff\xff\xff",
        "that points at itself": b"Exif\0\0II*\0\x08\0\0\0\x01\0\x69\x87\x04\0\x01\0\0\0\x08\0\0\0",
        "with a text for an orientation": b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x02\0\x04\0\0\0abc\0\0\0\0\0",
        "cut off": b"Exif\0\0II*\0\x08\0\0\0\x09\0\x12\x01\x03\0",
    }.items():
        for format in ("JPEG", "PNG", "WEBP"):
            yield f"{format} with EXIF {name}", encoded(noise(40, 30), format, exif=exif)


def _large(name: str, mode: str, size: tuple[int, int], format: str, **options: object) -> tuple[str, bytes]:
    buffer = io.BytesIO()
    Image.new(mode, size, 3 if mode in "1LPIF" else None).save(buffer, format, **options)
    return f"{name} of {size[0] * size[1] // 10**6} megapixels", buffer.getvalue()


def large() -> Iterator[tuple[str, bytes]]:
    """As many pixels as each kind of file may have."""
    whole, colour, deep, few, coefficients = (8000, 6250), (7000, 5000), (5000, 4000), (4000, 3125), (5000, 3000)
    turned = {"exif": _exif(5)}
    yield _large("JPEG", "RGB", whole, "JPEG")
    yield _large("grey JPEG", "L", whole, "JPEG")
    yield _large("CMYK JPEG", "CMYK", whole, "JPEG")
    yield _large("turned JPEG", "RGB", whole, "JPEG", **turned)
    yield _large("progressive JPEG", "RGB", coefficients, "JPEG", progressive=True, subsampling=0)
    yield _large("progressive CMYK JPEG, turned", "CMYK", coefficients, "JPEG", progressive=True, **turned)
    fast: dict[str, object] = {"compress_level": 1}
    yield _large("PNG", "RGB", colour, "PNG", **fast)
    yield _large("PNG with transparency, turned", "RGBA", colour, "PNG", **fast, **turned)
    yield _large("grey PNG", "L", whole, "PNG", **fast)
    yield _large("grey PNG with transparency", "LA", colour, "PNG", **fast)
    yield _large("palette PNG with transparency", "P", whole, "PNG", transparency=3, **fast)
    yield _large("16-bit grey PNG", "I;16", deep, "PNG", **fast)
    yield "16-bit PNG with transparency of 20 megapixels", png(*deep, depth=16, colour=6)
    yield _large("bilevel PNG", "1", whole, "PNG")
    yield _large("GIF", "P", whole, "GIF")
    yield _large("WebP", "RGB", few, "WEBP", method=0)
    yield _large("WebP with transparency", "RGBA", few, "WEBP", lossless=True, method=0)
    yield _large("AVIF", "RGB", few, "AVIF", speed=10)
    yield _large("AVIF with transparency", "RGBA", few, "AVIF", speed=10, subsampling="4:4:4")
    for compression in ("tiff_lzw", "tiff_adobe_deflate", "lzma"):
        one_strip = {"compression": compression, "strip_size": few[0] * few[1] * 4}
        yield _large(f"TIFF of one strip in {compression}", "RGBA", few, "TIFF", **one_strip)
    yield _large("floating-point TIFF", "F", few, "TIFF", compression="tiff_adobe_deflate")
    yield _large("bilevel TIFF", "1", whole, "TIFF", compression="group4")
    yield _large("TIFF", "RGB", (1800, 1700), "TIFF")
    yield _large("BMP", "RGB", (1800, 1700), "BMP")


def too_large() -> Iterator[tuple[str, bytes]]:
    """A little more than each kind of file may have: these are refused by their header."""
    yield _large("JPEG", "L", (8001, 6250), "JPEG")
    yield _large("progressive JPEG", "L", (5001, 3000), "JPEG", progressive=True)
    yield _large("PNG", "RGB", (7001, 5000), "PNG", compress_level=1)
    yield _large("16-bit PNG", "I;16", (5001, 4000), "PNG", compress_level=1)
    yield _large("WebP", "RGB", (4001, 3125), "WEBP", method=0)
    yield _large("AVIF", "RGB", (4001, 3125), "AVIF", speed=10)
    yield _large("TIFF", "RGB", (4001, 3125), "TIFF", compression="tiff_adobe_deflate")
    yield _large("PNG with a side of 65,536", "L", (65_536, 1), "PNG")
