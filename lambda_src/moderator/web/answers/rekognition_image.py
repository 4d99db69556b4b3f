"""Rekognition's `Image`: the picture's bytes, or where they are in S3."""

from __future__ import annotations

from typing import Any

from moderator.errors import InvalidField
from moderator.pictures.batch import Picture
from moderator.web.buckets import Buckets
from moderator.web.encoded_picture import decode_picture
from moderator.web.quoting import kind_of


def picture_of(image: Any, buckets: Buckets) -> Picture:
    """Return the picture that `Image` holds or names.

    Raises:
        RequestError: it holds none, or none that can be read.
    """
    match image:
        case {"Bytes": _, "S3Object": _}:
            raise InvalidField("Image has Bytes and S3Object: give only one of them.")
        case {"S3Object": {"Bucket": str(bucket), "Name": str(name), **rest}}:
            version = rest.get("Version")
            if not isinstance(version, str | None):
                raise InvalidField(f"Image.S3Object.Version is {kind_of(version)}: it must be a string.")
            data = buckets.read("Image.S3Object", bucket=bucket, name=name, version=version)
            return Picture(name="Image.S3Object", data=data)
        case {"S3Object": _}:
            raise InvalidField("Image.S3Object must have a Bucket and a Name.")
        case {"Bytes": str(text)}:
            return decode_picture(text, "Image.Bytes")
        case {"Bytes": other}:
            raise InvalidField(f"Image.Bytes is {kind_of(other)}: it must be a string, the picture's bytes in base64.")
        case dict():
            raise InvalidField("Image.Bytes is missing: send the picture's bytes.")
        case _:
            found = "missing" if image is None else kind_of(image)
            raise InvalidField(f"Image is {found}: it must be an object with Bytes, the picture's bytes in base64.")
