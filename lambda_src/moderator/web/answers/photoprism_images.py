"""PhotoPrism's `images`: each a picture's data URL, and how many there are where the rest cannot be read."""

from __future__ import annotations

from typing import Any

from moderator import strict_json
from moderator.errors import InvalidField, RequestError, TooMuch
from moderator.label_text import fault_of
from moderator.pictures.batch import Picture
from moderator.web.encoded_picture import decode_picture
from moderator.web.http_event import Request
from moderator.web.quoting import kind_of


def pictures_of(images: Any, most: int) -> tuple[Picture | RequestError, ...]:
    """Return the pictures of `images`; an error stands for one that cannot be taken out of its data URL.

    Raises:
        InvalidField: it is no list of data URLs, or empty.
        TooMuch: there are more than `most`.
    """
    if images == []:
        raise InvalidField("images is empty: it must be a list of data URLs with at least one.", field="images")
    if not isinstance(images, list):
        found = "missing" if images is None else kind_of(images)
        raise InvalidField(f"images is {found}: it must be a list of at least one data URL.", field="images")
    for place, image in enumerate(images):
        if not isinstance(image, str):
            raise InvalidField(f"images[{place}] is {kind_of(image)}: it must be a data URL.", field=f"images[{place}]")
    if len(images) > most:
        raise TooMuch(f"images holds {len(images):,} pictures: at most {most} are allowed in one call.", field="images")
    return tuple(_picture(image, f"images[{place}]") for place, image in enumerate(images))


def id_and_number(request: Request) -> tuple[str, int]:
    """Return the id and how many pictures were sent, as far as an erroneous request says so."""
    try:
        body = strict_json.loads(request.body())
    except (ValueError, RequestError):
        return "", 1
    name, images = (body.get("id"), body.get("images")) if isinstance(body, dict) else (None, None)
    return (
        name if isinstance(name, str) and not fault_of(name) else "",
        len(images) if images and isinstance(images, list) else 1,
    )


def _picture(image: str, name: str) -> Picture | RequestError:
    try:
        return decode_picture(image, name)
    except RequestError as error:
        return error
