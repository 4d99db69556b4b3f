"""Tells videos from pictures, and which container they have, by a file's first bytes; pure."""

from __future__ import annotations

from moderator.jobs.video_pipe import Container

HEAD_BYTES = 32  # of a file: enough for `is_video`

_MATROSKA = b"\x1a\x45\xdf\xa3"  # and WebM: https://www.rfc-editor.org/rfc/rfc8794#section-11.2.1
# The first box of an MP4 or MOV. Old cameras write no `ftyp`. https://developer.apple.com/documentation/quicktime-file-format
_FIRST_BOXES = (b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")
# What is a picture although it begins as an MP4 does: AVIF, HEIF, and Canon's raw files. https://mp4ra.org/registered-types/brands
_PICTURE_BRANDS = (
    b"avif",
    b"avis",
    b"mif1",
    b"mif2",
    b"msf1",
    b"heic",
    b"heix",
    b"heim",
    b"heis",
    b"hevc",
    b"hevx",
    b"crx ",
)


def is_video(head: bytes) -> bool:
    """Return whether a file that begins with `head`, of 12 bytes or more, is an MP4, MOV, WebM or MKV."""
    return container_of(head) is not None


def container_of(head: bytes) -> Container | None:
    """Return the container of a file that begins with `head`, or None where it is no video."""
    if head.startswith(_MATROSKA):
        return "matroska"
    kind, brand = head[4:8], head[8:12]
    if kind in _FIRST_BOXES or (kind == b"ftyp" and brand not in _PICTURE_BRANDS):
        return "mov"
    return None
