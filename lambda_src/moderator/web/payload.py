"""Takes a request's body apart: the pictures' bytes, and the fields beside them.

JSON, a form, or the picture itself with its fields in the query: from here on they are the same. What the fields mean
is left to `requests.py`.
"""

from __future__ import annotations

import codecs
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from moderator import strict_json
from moderator.errors import InvalidField, MalformedBody, TooMuch, UnsupportedBody
from moderator.pictures.batch import Picture
from moderator.pictures.kinds import looks_like_a_file, looks_like_a_picture
from moderator.question import Limits
from moderator.web.encoded_picture import decode_base64
from moderator.web.form_parts import Part, read_parts
from moderator.web.http_event import Request
from moderator.web.quoting import kind_of, readable

# Allowed in the query even where the fields are elsewhere: the token that a gateway has checked.
_ALWAYS = frozenset({"token"})

# Fields of a form or a query that may hold JSON, and how such a field says true and false.
_JSON_FIELDS = ("labels", "questions", "policy")
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}

_HOW = (
    "send a JSON object with image_data, a form (multipart/form-data) with the part image, or the picture itself as "
    "the body"
)


@dataclass(frozen=True, kw_only=True)
class Sent:
    """A request's fields, and where they stood; pictures that came outside JSON are in `pictures`."""

    fields: Mapping[str, Any]
    pictures: tuple[Picture, ...] | None  # None: they are in the fields
    place: Literal["json", "form", "query"]


def read_body(request: Request, fields: Sequence[str], limits: Limits) -> Sent:
    """Take a request apart.

    Args:
        request: the request.
        fields: the names that its fields may have, pictures aside.
        limits: the most that it may hold.

    Raises:
        MalformedBody: it is not JSON, or not the form that it says it is.
        UnsupportedBody: it is of a kind that is not read here.
        InvalidField: a field in the query or the form is not known, or is given twice.
        TooMuch: it has more bytes, values, parts or pictures than allowed.
    """
    body = request.body()
    if len(body) > limits.body_bytes:
        raise TooMuch(f"The body has {len(body):,} bytes: at most {limits.body_bytes:,} are allowed.")
    kind = request.content_type
    _refuse_encoded(body, request.headers.get("content-encoding", ""))
    if kind == "multipart/form-data":
        _refuse_query(request, "a form", "parts of it")
        return _read_form(body, request.headers["content-type"], fields, limits)
    if kind.startswith("image/") or kind == "application/octet-stream":
        return _read_picture(body, request.query, fields)
    if _is_unlabelled(kind) and looks_like_a_file(body):
        return _read_picture(body, request.query, fields)
    if looks_like_a_picture(body) and not kind.startswith(("video/", "audio/")):
        raise UnsupportedBody(f"The body is a picture, but its Content-Type is {readable(kind)}: send it as image/*.")
    _refuse_other_kinds(body, kind)
    content = _read_json(body)
    _refuse_query(request, "JSON", "fields of it")
    return Sent(fields=content, pictures=None, place="json")


def _read_json(body: bytes) -> dict[str, Any]:
    body = body.removeprefix(codecs.BOM_UTF8)
    if not body.strip():
        raise MalformedBody(f"The body is empty, and so not JSON: {_HOW}.")
    if body.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\0" in body[:4]:
        raise MalformedBody(
            "The body is not JSON in UTF-8: it looks like UTF-16 or UTF-32. Send an object with image_data in UTF-8."
        )
    try:
        content = strict_json.loads(body)
    except strict_json.RepeatedKeyError as error:
        raise InvalidField(f"{readable(error.key)} is given twice: give each field and each label once.") from error
    except strict_json.TooManyValuesError as error:
        raise TooMuch(f"The body has {error}: no request needs that many.") from error
    except UnicodeDecodeError as error:
        raise MalformedBody(f"The body is not JSON, nor a picture of a kind that is read here: {_HOW}.") from error
    except ValueError as error:
        raise MalformedBody(
            f"The body is not JSON ({error}): send a JSON object with image_data and the other fields, or the picture "
            "itself with Content-Type image/* and the fields in the query."
        ) from error
    if not isinstance(content, dict):
        raise InvalidField(f"The body is {kind_of(content)}: it must be an object with image_data and other fields.")
    return content


def _read_picture(body: bytes, query: Mapping[str, Sequence[str]], names: Sequence[str]) -> Sent:
    return Sent(
        fields=_plain_fields({name: list(values) for name, values in query.items()}, names, "the query"),
        pictures=(Picture(name="The body", data=body),),
        place="query",
    )


def _read_form(body: bytes, content_type: str, names: Sequence[str], limits: Limits) -> Sent:
    pictures: list[Picture] = []
    texts: dict[str, list[str]] = {}
    for part in read_parts(body, content_type, most=limits.labels + limits.pictures + len(names)):
        if part.name == "image":
            if len(pictures) == limits.pictures:
                raise TooMuch(f"image is given more than {limits.pictures} times: no more pictures are allowed.")
            if _is_base64_of_a_picture(part.data):
                raise InvalidField("image is a picture in base64: in a form, send its bytes as they are.")
            pictures.append(Picture(name=f"image[{len(pictures)}]", data=part.data))
        elif looks_like_a_picture(part.data):
            raise InvalidField(f"The part {readable(part.name)} of the form is a picture: call the part image.")
        else:
            texts.setdefault(part.name, []).append(_text(part))
    if not pictures:
        raise InvalidField("image is missing: send the picture as the part image of the form.")
    if len(pictures) == 1:
        pictures = [Picture(name="image", data=pictures[0].data)]
    return Sent(fields=_plain_fields(texts, names, "the form"), pictures=tuple(pictures), place="form")


def _text(part: Part) -> str:
    try:
        return part.data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise MalformedBody(
            f"The part {readable(part.name)} of the form is not text in UTF-8. A picture is sent as the part image."
        ) from error


def _is_base64_of_a_picture(data: bytes) -> bool:
    if looks_like_a_file(data) or not data.isascii():
        return False
    try:
        return looks_like_a_picture(decode_base64(data.decode()))
    except ValueError:
        return False


def _plain_fields(texts: Mapping[str, list[str]], names: Sequence[str], where: str) -> dict[str, Any]:
    """Give fields that came as texts the values that they would have in JSON."""
    fields: dict[str, Any] = {}
    allowed = ("label", *names) if "labels" in names else tuple(names)
    for name, values in texts.items():
        if name in _ALWAYS:
            continue
        if name not in allowed or (name in ("labels", "questions") and where == "the query"):
            known = ", ".join(one for one in allowed if where != "the query" or one not in ("labels", "questions"))
            raise InvalidField(f"{readable(name)} in {where} is not a field of this request: the fields are {known}.")
        if name == "label":
            fields["labels"] = values
            continue
        if len(values) > 1:
            raise InvalidField(
                f"{name} is given twice in {where}: give one {'name' if name == 'label_set' else 'value'}."
            )
        fields[name] = _plain_value(name, values[0])
    return fields


def _plain_value(name: str, text: str) -> Any:
    if name == "return_embedding":
        return _BOOLEANS.get(text.strip().lower(), text)
    if name in _JSON_FIELDS and text.lstrip()[:1] in ("{", "["):
        try:
            return strict_json.loads(text)
        except strict_json.TooManyValuesError as error:
            raise TooMuch(f"{name} has {error}: no request needs that many.") from error
        except ValueError as error:
            raise MalformedBody(f"{name} begins like JSON but is not ({error}).") from error
    return text


def _is_unlabelled(kind: str) -> bool:
    """Return whether a body's type says nothing: there is none, or the one that curl sends with --data-binary."""
    return kind in ("", "application/x-www-form-urlencoded")


def _refuse_encoded(body: bytes, encoding: str) -> None:
    if encoding.strip().lower() not in ("", "identity"):
        raise UnsupportedBody(f"The body is compressed (Content-Encoding {readable(encoding)}): send it as it is.")
    if body.startswith(b"\x1f\x8b"):
        raise UnsupportedBody("The body is compressed (gzip): send it as it is.")


def _refuse_other_kinds(body: bytes, kind: str) -> None:
    if kind.startswith(("video/", "audio/")):
        raise UnsupportedBody(f"The body is {readable(kind)}: only pictures are read here. Send single frames of it.")
    if kind == "application/x-www-form-urlencoded" and body.lstrip()[:1] not in (b"{", b"["):
        raise UnsupportedBody(f"The body is sent as an HTML form (application/x-www-form-urlencoded): {_HOW}.")


def _refuse_query(request: Request, kind: str, elsewhere: str) -> None:
    name = next((name for name in request.query if name not in _ALWAYS), None)
    if name is not None:
        raise InvalidField(
            f"{readable(name)} is in the query, but the body is {kind}: give fields as {elsewhere}, not in the query."
        )
