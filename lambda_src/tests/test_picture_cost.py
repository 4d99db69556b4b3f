"""What a picture would cost is judged by its header, and by nothing that merely looks like a header."""

from __future__ import annotations

import io
import re
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import moderator
from moderator.errors import BrokenPicture, TooMuch, UnknownPicture
from moderator.pictures.cost import check_decoder, check_parts, check_size
from moderator.pictures.decode import read_picture
from moderator.pictures.preprocessing import Preprocessing
from support import bitmaps
from support.hostile_pictures import chunk, png
from support.pictures import encoded, noise

TO_32 = Preprocessing(height=32, width=32, resize_mode="shortest", interpolation="bicubic")
LIMIT = 50_000_000
DEEP, COLOUR, WHOLE = 20_000_000, 35_000_000, 50_000_000  # what PNGs may have


def judge(data: bytes) -> None:
    """Read the header, as decoding begins: no pixel is there to be decoded."""
    check_parts(data, "it")
    with Image.open(io.BytesIO(data)) as image:
        check_size(image.width, image.height, LIMIT, "it")
        check_decoder(image, data, LIMIT, "it")


def is_refused(data: bytes) -> bool:
    try:
        judge(data)
    except TooMuch:
        return True
    return False


def read(data: bytes) -> None:
    read_picture(data, TO_32, max_pixels=LIMIT, name="it")


def png_header(width: int, height: int, *before: bytes, depth: int = 8, colour: int = 2) -> bytes:
    return png(width, height, *before, depth=depth, colour=colour, pixels=b"\0" * 16)


@pytest.mark.parametrize(("width", "height"), [(6016, 4016), (6240, 4160), (5616, 3744)])
def test_an_8_bit_png_of_a_cameras_size_is_not_taken_for_a_16_bit_one(width: int, height: int) -> None:
    judge(png_header(width, height))


def test_nor_is_one_whose_data_begin_at_any_offset() -> None:
    refused = [size for size in range(4000) if is_refused(png_header(6000, 4000, chunk(b"tEXt", b"a\0" + b"x" * size)))]
    assert refused == []


def test_of_thousands_of_sizes_depths_and_offsets_each_is_judged_by_its_depth_and_colour() -> None:
    random = np.random.default_rng(16)
    refused = 0
    for number in range(6000):
        width = int(random.integers(1, 16_000))
        height = int(random.integers(1, min(16_000, 70_000_000 // width)))
        colour, depth = [(0, 1), (0, 8), (0, 16), (2, 8), (2, 16), (3, 4), (4, 8), (4, 16), (6, 8), (6, 16)][
            number % 10
        ]
        before = [chunk(b"PLTE", bytes(48))] if colour == 3 else []
        # Texts that look like headers, of every length.
        text = chunk(b"tEXt", b"a\0" + b"16 IHDR\0\0\0\1\0\0\0\1\x10\2" * int(random.integers(0, 60)))
        data = png_header(width, height, *before, text, depth=depth, colour=colour)
        allowed = DEEP if depth == 16 else COLOUR if colour in (2, 4, 6) else WHOLE
        assert is_refused(data) == (width * height > allowed), (width, height, colour, depth)
        refused += width * height > allowed
    assert 1000 < refused < 5000


def test_a_second_header_does_not_hide_the_depth() -> None:
    second = chunk(b"IHDR", struct.pack(">IIBBBBB", 5000, 5000, 16, 2, 0, 0, 0))
    assert is_refused(png_header(5000, 5000, second))


def profiled(data: bytes, profile: bytes) -> bytes:
    """A JPEG with an ICC profile of these bytes."""
    pieces = [profile[cut : cut + 60_000] for cut in range(0, len(profile), 60_000)]
    segments = b""
    for number, piece in enumerate(pieces, 1):
        content = b"ICC_PROFILE\0" + bytes((number, len(pieces))) + piece
        segments += b"\xff\xe2" + struct.pack(">H", 2 + len(content)) + content
    return data[:2] + segments + data[2:]


def test_a_png_with_one_profile_is_read_and_with_many_is_refused() -> None:
    profile = chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(1 << 20)))
    read(png(8, 8, profile))
    with pytest.raises(TooMuch, match="blocks of metadata"):
        read(png(8, 8, *[profile] * 16))


SCAN = b"\xff\xda\0\x0c\3\1\0\2\x11\3\x11\0\x3f\0"


def test_scans_are_not_counted_inside_a_profile_a_comment_or_a_thumbnail() -> None:
    progressive = encoded(noise(64, 64), "JPEG", progressive=True)
    read(profiled(progressive, SCAN * 500))
    read(encoded(noise(64, 64), "JPEG", progressive=True, comment=SCAN * 500))
    # After the end comes the second picture of a stereo camera, or whatever somebody hides there.
    read(progressive + SCAN * 500)
    last = progressive.rindex(b"\xff\xda")
    with pytest.raises(TooMuch, match="more than 30 scans"):
        read(progressive[:-2] + progressive[last:-2] * 30 + progressive[-2:])


def test_a_jpeg_is_progressive_by_its_frame_and_scan_alone() -> None:
    random = np.random.default_rng(3)
    for number in range(2000):
        width, height = (int(side) for side in random.integers(1, 7000, 2))
        progressive = bool(number % 2)
        data = bytearray(encoded(noise(8, 8, seed=number), "JPEG", progressive=progressive))
        place = data.index(b"\xff\xc2" if progressive else b"\xff\xc0")
        data[place + 5 : place + 9] = struct.pack(">HH", height, width)
        look = SCAN + b"\xff\xc2\0\x11\x08\0\1\0\1\3\1\x22\0\2\x11\1\3\x11\1progressive"
        profile = bytes(random.integers(0, 256, int(random.integers(0, 500)), dtype=np.uint8))
        whole = profiled(bytes(data), profile + look)
        assert is_refused(whole) == (width * height > (15_000_000 if progressive else LIMIT)), (width, height)


def test_a_jpeg_whose_first_scan_has_one_of_three_channels_counts_as_progressive() -> None:
    data = bytearray(encoded(noise(8, 8), "JPEG"))
    frame, scan = data.index(b"\xff\xc0"), data.index(b"\xff\xda")
    data[frame + 5 : frame + 9] = struct.pack(">HH", 4000, 4000)
    assert not is_refused(bytes(data))
    data[scan : scan + 14] = b"\xff\xda\0\x08\1\1\0\0\x3f\0"
    assert is_refused(bytes(data))


@pytest.mark.parametrize("beginning", [b"\xff\xd8\xff\xe5\0\2", b"\xff\xd8\xff\xf0", b"\xff\xd8\xff\xd0"])
@pytest.mark.parametrize("junk", [b"x", b"\xff", b"\xff\0", b"\xff\xd0"])
def test_bytes_between_a_jpegs_segments_count_for_pillow_walks_over_each(beginning: bytes, junk: bytes) -> None:
    with pytest.raises(TooMuch, match="blocks of metadata"):
        check_parts(beginning + junk * 20_000 + encoded(noise(8, 8), "JPEG")[2:], "it")


def test_between_its_scans_a_jpeg_may_have_no_more_parts_than_before_them() -> None:
    progressive = encoded(noise(64, 64), "JPEG", progressive=True)
    for part in (b"\xff\xd8", b"\xff\x01", b"\xff\xe5\0\2"):
        with pytest.raises(TooMuch, match="blocks of metadata"):
            read(progressive[:-2] + part * 20_000 + progressive[-2:])


def test_a_tiff_of_a_hundred_thousand_tags_is_refused_before_pillow_reads_them() -> None:
    tags = struct.pack("<HHQQ", 40_000, 1, 0, 0) * 100_000
    with pytest.raises(TooMuch, match="blocks of metadata"):
        read(b"II+\0\x08\0\0\0" + struct.pack("<QQ", 16, 100_000) + tags)


@pytest.mark.parametrize("beginning", [b"II", b"MM", b"MMSE ", b"IIIIIIII", b"?PNG\r\n\x1a\n"])
def test_what_only_looks_like_a_picture_in_its_first_letters_is_not_judged_as_one(beginning: bytes) -> None:
    with pytest.raises(UnknownPicture, match="not a picture that can be read"):
        read(beginning + b"\xff" * 5000)


@pytest.mark.parametrize(("kind", "data"), list(bitmaps.not_read()))
def test_a_sound_bmp_that_is_not_read_is_called_what_it_is(kind: str, data: bytes) -> None:
    with pytest.raises(UnknownPicture) as raised:
        read(data)
    assert raised.value.detail == f"it is a BMP {kind}, which is not supported: save it as PNG or JPEG."


@pytest.mark.parametrize(("kind", "data"), list(bitmaps.read()))
def test_other_bmps_are_read_and_called_damaged_when_they_are(kind: str, data: bytes) -> None:
    read(data)
    with pytest.raises(BrokenPicture, match=r"a BMP picture (that cannot be decoded: it|but) is truncated or damaged"):
        read(data[:-9])


def test_a_tiff_or_a_jpeg_that_is_not_read_is_called_what_it_is() -> None:
    def tiff(channels: int, bits: int, compression: int) -> bytes:
        depths = struct.pack("<H", bits) * channels
        tags = [(256, 4, 1, 8), (257, 4, 1, 8), (258, 3, channels, 8), (259, 3, 1, compression), (262, 3, 1, 2),
                (273, 4, 1, 8), (277, 3, 1, channels), (278, 4, 1, 8), (279, 4, 1, 400)]  # fmt: skip
        entries = b"".join(struct.pack("<HHII", *tag) for tag in tags)
        return b"II*\0" + struct.pack("<I", 8 + 400) + depths.ljust(400, b"\0") + b"\x09\0" + entries + bytes(4)

    for data, kind in (
        (tiff(3, 32, 1), "TIFF of 3 x 32 bits a pixel with compression 1"),
        (tiff(3, 8, 34_887), "TIFF of 3 x 8 bits a pixel with compression 34887"),
        (encoded(noise(8, 8), "JPEG").replace(b"\xff\xc0\0\x11\x08", b"\xff\xc1\0\x11\x0c"), "JPEG with 12 bits a"),
        (encoded(noise(8, 8), "JPEG").replace(b"\xff\xc0", b"\xff\xc5"), "JPEG of a lossless or hierarchical process"),
    ):
        with pytest.raises(UnknownPicture, match=f"^it is a {kind}.*, which is not supported: save it as PNG"):
            read(data)


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("a HEIC picture", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"),
        ("a JPEG XL picture", b"\xff\x0a\x7a\x1f"),
        ("a JPEG 2000 picture", encoded(noise(8, 8), "JPEG2000")),
        ("an icon", encoded(noise(16, 16), "ICO")),
        ("a Photoshop file", b"8BPS\0\1" + bytes(20)),
        ("an SVG drawing", b"<?xml version='1.0'?>\n<!-- drawn -->\n<svg xmlns='http://www.w3.org/2000/svg'/>"),
        ("a web page", b"<!DOCTYPE html><html>"),
        ("a PDF file", b"%PDF-1.7"),
        ("a ZIP file", b"PK\3\4"),
        ("packed with gzip", b"\x1f\x8b\x08"),
        ("a video", b"\0\0\0\x20ftypisom\0\0\2\0"),
        ("a video", b"\x1a\x45\xdf\xa3"),
    ],
)
def test_other_files_are_called_what_they_are_and_what_to_send_is_said(kind: str, data: bytes) -> None:
    with pytest.raises(UnknownPicture, match=f"^it is {kind}, which is not supported: send JPEG, PNG, WebP"):
        read(data)


def test_a_test_that_the_code_names_exists() -> None:
    tests = Path(__file__).parent
    source = Path(moderator.__path__[0])
    named = {name for file in source.rglob("*.py") for name in re.findall(r"\btest_\w+\.py\b", file.read_text())}
    assert named
    assert [name for name in sorted(named) if not (tests / name).exists()] == []
