"""Takes a picture out of a text: base64 of either alphabet, or a data URL."""

from __future__ import annotations

import base64
import binascii
import re

from moderator.errors import MalformedBody
from moderator.pictures.batch import Picture

# In the place of base64: an address, or the path of a file, which ends like one.
_ADDRESS = re.compile(
    r"\s*([a-z][a-z0-9+]*:/|blob:|www\.|[^\s]{0,250}[/\\\\][^\s]{0,250}\.[a-z]{3,5}\s*$)", re.IGNORECASE
)
_WHITE_SPACE = re.compile(r"\s+")
_URL_SAFE = str.maketrans("-_", "+/")
# No media type with its parameters is longer.
_LONGEST_DATA_PREFIX = 400


def decode_base64(text: str) -> bytes:
    """Decode base64 of either alphabet, with or without padding, white space and a data URL's prefix.

    Raises:
        ValueError: it is not base64.
    """
    text = text[_data_prefix(text) :]
    try:
        # Nearly always enough; every clean-up below copies the whole picture.
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        text = _WHITE_SPACE.sub("", text).translate(_URL_SAFE).rstrip("=")
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)


def decode_picture(text: str, name: str) -> Picture:
    """Decode the base64 of the picture `name`.

    Raises:
        MalformedBody: it is not base64.
    """
    try:
        return Picture(name=name, data=decode_base64(text))
    except ValueError as error:
        if _ADDRESS.match(text[:300]):
            raise MalformedBody(
                f"{name} is an address or a path: nothing is fetched here. Send the picture's bytes encoded in base64.",
                field=name,
            ) from error
        raise MalformedBody(
            f"{name} is not base64 ({error}): send the picture's bytes encoded in base64.", field=name
        ) from error


def _data_prefix(text: str) -> int:
    """Return the length of `data:…;base64,`; 0 where there is none."""
    # Not by a pattern: trying every way to split a text of a million semicolons takes a gigabyte.
    head = text[:_LONGEST_DATA_PREFIX]
    start = head.lstrip()[:5].lower()
    comma = head.find(",")
    return comma + 1 if start == "data:" and head[:comma].lower().endswith(";base64") else 0
