"""Animated pictures, sound and hostile, whose frames say their number."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence

import numpy as np
from PIL import Image

from moderator.pictures.structure import gif_blocks
from support.hostile_pictures import chunk
from support.pictures import encoded, noise

FORMATS = ("GIF", "PNG", "WEBP", "AVIF")


def grey_of(number: int) -> int:
    """A grey that no near frame has, and that compression does not move onto another's."""
    return 8 + 60 * (number % 5)


def numbered(format: str, delays: Sequence[int], size: tuple[int, int] = (64, 64)) -> bytes:
    """One frame for each delay in milliseconds, each of a grey of its own."""
    frames = [Image.new("L", size, grey_of(number)) for number in range(len(delays))]
    options = {"AVIF": {"speed": 10, "quality": 90}, "WEBP": {"lossless": True, "method": 0}}.get(format, {})
    return encoded(frames[0], format, save_all=True, append_images=frames[1:], duration=list(delays), **options)


def gif(size: tuple[int, int], *frames: bytes, colours: bytes = bytes(3) + b"\xff" * 3) -> bytes:
    """A GIF made of the given blocks, with two colours."""
    return b"GIF89a" + struct.pack("<HHBBB", *size, 0x80, 0, 0) + colours + b"".join(frames) + b";"


def gif_frame(
    left: int, top: int, width: int, height: int, *, delay: int = 5, disposal: int = 0, codes: bytes = b"\x02\x16\x0a\0"
) -> bytes:
    """A frame's control and descriptor, by default with too few pixels. The delay is in hundredths of a second."""
    control = b"!\xf9\4" + struct.pack("<BHB", disposal << 2, delay, 0) + b"\0"
    return control + b"," + struct.pack("<HHHHB", left, top, width, height, 0) + b"\x02" + codes


def changing(
    size: tuple[int, int],
    frames: int,
    area: tuple[int, int],
    *,
    to: Image.Image | None = None,
    delay: int = 10,
    transparent: bool = False,
) -> bytes:
    """A GIF in which each frame changes an area: to the picture given, or to squares that differ by their colour.

    The delay is in hundredths of a second. If it is said to be transparent, one sees through it here and there.
    """

    def drawn(size: tuple[int, int], seed: int) -> Image.Image:
        picture = to or noise(size[0] // 16, size[1] // 16, seed=seed)
        return picture.quantize(64).resize(size, Image.Resampling.NEAREST)

    parts = []
    for seed in range(3):
        # From its first image on: where it is, its size, its colours, its codes.
        data = encoded(drawn(area, seed), "GIF")
        block = next(block for block in gif_blocks(data, len(data)) if block.kind == b",")
        colours = data[13 : 13 + 3 * 64]
        parts.append(struct.pack("<HHB", *area, 0x80 | 5) + colours + data[block.start + 9 : block.end + 1])
    control = b"!\xf9\4" + struct.pack("<BHB", int(transparent), delay, 63) + b"\0,"
    changes = b"".join(
        control
        + struct.pack("<HH", *(number * 37 % (size[side] - area[side] + 1) for side in (0, 1)))
        + parts[number % 3]
        for number in range(frames - 1)
    )
    return encoded(drawn(size, 9), "GIF", duration=10 * delay)[:-1] + changes + b";"


def apng(
    frames: Sequence[Image.Image], *, delay: int = 100, claimed: int | None = None, first_is_hidden: bool = False
) -> bytes:
    """An APNG of whole frames, whose header may claim another number; the first may be no part of the animation."""
    size = frames[0].size

    def pixels(image: Image.Image) -> bytes:
        rows = np.asarray(image.convert("RGB"))
        return zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))

    sequence = 0
    chunks = [chunk(b"IHDR", struct.pack(">IIBBBBB", *size, 8, 2, 0, 0, 0))]
    count = len(frames) - first_is_hidden if claimed is None else claimed
    chunks.append(chunk(b"acTL", struct.pack(">II", count, 0)))
    for number, frame in enumerate(frames):
        if not (first_is_hidden and number == 0):
            control = struct.pack(">IIIIIHHBB", sequence, *size, 0, 0, delay, 1000, 0, 0)
            chunks.append(chunk(b"fcTL", control))
            sequence += 1
        if number == 0:
            chunks.append(chunk(b"IDAT", pixels(frame)))
        else:
            chunks.append(chunk(b"fdAT", struct.pack(">I", sequence) + pixels(frame)))
            sequence += 1
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks) + chunk(b"IEND", b"")


def hostile() -> Iterator[tuple[str, bytes]]:
    """Animations that would take long or much memory if they were taken at their word."""
    for format in ("GIF", "PNG", "WEBP"):
        yield f"{format} of 10,000 frames", numbered(format, [0] * 10_000, (8, 8))
        yield f"{format} of 40 frames of two megapixels", numbered(format, [20] * 40, (1920, 1080))
    for format in FORMATS:
        yield f"{format} of 3 frames of ten megapixels", numbered(format, [20] * 3, (3600, 2770))
    yield "WEBP of 3 frames of six megapixels", numbered("WEBP", [20] * 3, (3000, 2000))
    yield "AVIF of 2,000 frames", numbered("AVIF", [0] * 2_000, (16, 16))
    yield "GIF of 12 megapixels, in which little moves", numbered("GIF", [20] * 3, (4000, 3000))
    # Each disposal keeps another copy of the canvas.
    still = encoded(Image.new("P", (3100, 3100)), "GIF")[:-1]
    for disposal in (1, 2, 3):
        frames = b"".join(gif_frame(0, 0, 3100, 3100, disposal=disposal) for _ in range(9_000))
        yield f"GIF of 9,000 cut off frames with disposal {disposal}", still + frames + b";"
    small = encoded(Image.new("P", (8, 8)), "GIF")[:-1]
    yield "GIF whose second frame has 4 gigapixels", small + gif_frame(0, 0, 65_535, 65_535) + b";"
    yield "GIF of a million trailing bytes", small + bytes(1_000_000)
    frames_of_noise = [Image.new("RGB", (8, 8), (number % 256,) * 3) for number in range(20)]
    yield "APNG that claims two thousand million frames", apng(frames_of_noise, claimed=2**31 - 1)
    yield from _needing_every_frame()


def _needing_every_frame() -> Iterator[tuple[str, bytes]]:
    """Animations in which each frame shows something of all that were before it."""
    yield "GIF of 150 large frames that one sees through", changing((1280, 720), 150, (1280, 720), transparent=True)
    yield "GIF of 2,000 small frames that one sees through", changing((1280, 720), 2000, (64, 64), transparent=True)
    # A code of 3 bits that clears the table, again and again, and then a pixel and the end.
    clearing = b"\xff" + int("100" * 680, 2).to_bytes(255, "little")
    pixel = b"\2\x44\1\0"
    first = encoded(Image.new("P", (1000, 1000)), "GIF")[:-1]
    yield "GIF of codes that draw nothing", first + gif_frame(0, 0, 1, 1, codes=clearing * 300 + pixel) * 100 + b";"
    yield "GIF of 24,000 frames of a pixel", first + gif_frame(0, 0, 1, 1, codes=pixel) * 24_000 + b";"
    noises = [noise(640, 360, seed=seed, channels=4) for seed in range(2)] * 20
    for format, options in (("WEBP", {"lossless": True, "method": 0}), ("PNG", {"compress_level": 1, "blend": 1})):
        yield (
            f"{format} of 40 frames of noise",
            encoded(noises[0], format, save_all=True, append_images=noises[1:], duration=100, **options),
        )
    frames = [noise(640, 360, seed=seed) for seed in range(16)]
    yield (
        "AVIF of noise",
        encoded(frames[0], "AVIF", save_all=True, append_images=frames[1:], duration=100, speed=10, quality=98),
    )
