"""Misskey's form: `POST /v1/detect-images`, as its sensitive-detector has it.

Five classes whose probabilities sum to 1, from the label set `nsfw-five`. Misskey takes every error, of a part or of
the request, a 5xx included, for "not sensitive", logs it and does not ask again: no answer can stop a picture that was
not judged. Even so, an error is answered as an error, and never as a class.
"""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus

from moderator.classifier import Answer
from moderator.clip.model import Model
from moderator.errors import (
    BrokenPicture,
    InvalidField,
    MalformedBody,
    RequestError,
    TooMuch,
    UnknownPicture,
    UnsupportedBody,
)
from moderator.pictures.batch import Picture
from moderator.web.answers import native
from moderator.web.answers.adapter import Adapter, Asked, Known, NotConfigured, Outcome, Place
from moderator.web.answers.reading import check_query, read_body
from moderator.web.answers.writing import as_json
from moderator.web.form_parts import Part, read_parts
from moderator.web.http_event import Request, Response

_DETECT_IMAGES = Place(
    path="/v1/detect-images", summary="Misskey's detection of sensitive media", takes="multipart/form-data"
)
LABEL_SET = "nsfw-five"
CLASSES = frozenset({"Drawing", "Hentai", "Neutral", "Porn", "Sexy"})
MOST_PARTS = 10  # its own default, maxParts
_KINDS = frozenset({"image/png", "image/jpeg", "image/gif", "image/bmp"})


class UnsupportedPart(InvalidField):
    """A part is of a kind that Misskey's contract does not have."""


class EmptyPart(InvalidField):
    """A part is not a file, or is empty."""


# For a part and for the request; the first kind that fits counts.
_CODES: tuple[tuple[type[RequestError], str, HTTPStatus], ...] = (
    (UnsupportedPart, "UNSUPPORTED_MEDIA_TYPE", HTTPStatus.UNSUPPORTED_MEDIA_TYPE),
    (UnsupportedBody, "UNSUPPORTED_MEDIA_TYPE", HTTPStatus.UNSUPPORTED_MEDIA_TYPE),
    (EmptyPart, "INVALID_REQUEST", HTTPStatus.BAD_REQUEST),
    (MalformedBody, "INVALID_REQUEST", HTTPStatus.BAD_REQUEST),
    (TooMuch, "REQUEST_TOO_LARGE", HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
    (BrokenPicture, "IMAGE_DECODE_FAILED", HTTPStatus.UNPROCESSABLE_ENTITY),
    (UnknownPicture, "IMAGE_DECODE_FAILED", HTTPStatus.UNPROCESSABLE_ENTITY),
    (NotConfigured, "MODEL_UNAVAILABLE", HTTPStatus.SERVICE_UNAVAILABLE),
    (InvalidField, "INVALID_REQUEST", HTTPStatus.BAD_REQUEST),
)


def read(request: Request, known: Known) -> Asked:
    """Read a form of pictures; what their parts are called does not matter, their order does."""
    check_query(request, _DETECT_IMAGES.query)
    body = read_body(request, known.limits)
    if request.content_type != "multipart/form-data":
        raise UnsupportedBody("The Content-Type must be multipart/form-data.")
    most = min(MOST_PARTS, known.limits.pictures)
    parts = tuple(read_parts(body, request.headers["content-type"], most=most))
    if not parts:
        raise MalformedBody("The form has no parts.")
    label_set = known.label_set(LABEL_SET)
    if set(label_set.categories or ()) != CLASSES:
        raise NotConfigured(f"The label set {LABEL_SET} must have the categories {', '.join(sorted(CLASSES))}.")
    return Asked(pictures=tuple(_picture(part, f"Part {place}") for place, part in enumerate(parts)), by=label_set)


def write(_: Asked, outcomes: Sequence[Outcome], __: Model) -> Response:
    """Write one result for each part: the five classes, the most probable first, or an error."""
    return as_json({"success": True, "result": {"results": [_result(outcome) for outcome in outcomes]}})


def refuse(_: Request, error: RequestError | None) -> Response:
    """Write the request's error."""
    return as_json(_failure(error), status=_code(error)[1])


ADAPTER = Adapter(places=(_DETECT_IMAGES,), read=read, write=write, refuse=refuse, picture_by_picture=True)


def _picture(part: Part, name: str) -> Picture | RequestError:
    if part.filename is None:
        return EmptyPart(f"{name} is not a file.")
    if part.content_type not in _KINDS:
        return UnsupportedPart(f"{name} has a type that is not supported: send {', '.join(sorted(_KINDS))}.")
    return Picture(name=name, data=part.data) if part.data else EmptyPart(f"{name} is empty.")


def _result(outcome: Outcome) -> dict[str, object]:
    if isinstance(outcome, RequestError):
        return _failure(outcome)
    classes = outcome.categories if isinstance(outcome, Answer) else None
    shares = sorted((classes or {}).items(), key=lambda one: -one[1])
    predictions = [{"className": name, "probability": native.six_digits(share)} for name, share in shares]
    return {"success": True, "predictions": predictions}


def _failure(error: RequestError | None) -> dict[str, object]:
    message = "The service failed; its log says why." if error is None else error.detail
    return {"success": False, "error": {"code": _code(error)[0], "message": message}}


def _code(error: RequestError | None) -> tuple[str, HTTPStatus]:
    for kind, code, status in _CODES:
        if isinstance(error, kind):
            return code, status
    if error is not None and error.status == HTTPStatus.SERVICE_UNAVAILABLE:
        return "MODEL_UNAVAILABLE", HTTPStatus.SERVICE_UNAVAILABLE
    return "DETECTION_FAILED", HTTPStatus.INTERNAL_SERVER_ERROR
