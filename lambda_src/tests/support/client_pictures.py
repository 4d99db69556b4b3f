"""The pictures that the tests of other services' clients send, by what the demo's policy does with them."""

from __future__ import annotations

import zlib

from support.pictures import drawn, encoded, noise

BLOCKED = encoded(drawn("red", "circle"))
REVIEWED = encoded(drawn("blue", "square"))
ALLOWED = encoded(drawn("green", "star"))

NOTHING = b""
NO_PICTURE = b"<html></html>"
BROKEN = encoded(noise(64, 64))[:2000]


def _said_to_be(side: int) -> bytes:
    """Return a tiny picture whose header says that it is large."""
    data = bytearray(encoded(noise(1, 1)))
    data[16:24] = side.to_bytes(4) * 2
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4)
    return bytes(data)


TOO_LARGE = _said_to_be(65_000)
UNREADABLE = {"nothing": NOTHING, "no picture": NO_PICTURE, "broken": BROKEN, "too large": TOO_LARGE}
