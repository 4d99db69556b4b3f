"""PhotoPrism's form: `POST /api/v1/vision/nsfw` and `/labels`, as its vision service has them.

PhotoPrism compares `score` with a threshold of its own (75 % unless its owner changes it), whatever `status` says, and
versions before 2026 read nothing but the five classes. The policy has thresholds already, so the numbers are
the decision itself: 1 for unsafe and 0 for safe. What cannot be judged has `status: unavailable` and no number at all.
A 5xx, as every status from 300 on, is an error to PhotoPrism: it asks again on 429 only, takes the pictures for
unavailable, admits the upload, and neither marks nor unmarks a photo. For versions that read the rows of an error all
the same, each picture has one in it: unavailable.
"""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from moderator.classifier import Answer
from moderator.clip.model import Model
from moderator.errors import InvalidField, RequestError
from moderator.labels.label_sets import LabelSet
from moderator.web.answers import native
from moderator.web.answers.adapter import FLAG, LEAST_FLAGGED, POLICY, Adapter, Asked, Known, Outcome, Parameter, Place
from moderator.web.answers.photoprism_images import id_and_number, pictures_of
from moderator.web.answers.reading import check_query, choice, read_object, repeated
from moderator.web.answers.writing import as_json, is_flagged, verdict_of
from moderator.web.http_event import Request, Response
from moderator.web.request_models import EXAMPLE_PICTURE

_EXAMPLE = {"id": "1", "images": [f"data:image/png;base64,{EXAMPLE_PICTURE}"]}
_NSFW = Place(
    path="/api/v1/vision/nsfw",
    summary="PhotoPrism's vision service: is it safe for work",
    query=(POLICY, FLAG),
    example=_EXAMPLE,
)
_LABELS = Place(
    path="/api/v1/vision/labels",
    summary="PhotoPrism's vision service: labels",
    query=(Parameter(name="label_set", description="The name of a label set."),),
    example=_EXAMPLE,
)

_CLASSES = ("Drawing", "Hentai", "Neutral", "Porn", "Sexy")
_THRESHOLD = 0.5  # between 0 and 1, which are the only scores
_MOST_ROWS = 100  # of an error; PhotoPrism takes pictures without a row for unavailable
_LEAST_PROBABLE = 0.1  # PhotoPrism's own: 10 % (DefaultThresholds.Confidence)


def read(request: Request, known: Known) -> Asked:
    """Read a request; `?policy=` and `?flag=` in the service's Uri choose what a photo is judged by."""
    place = _LABELS if request.path == _LABELS.path else _NSFW
    check_query(request, place.query)
    body = read_object(request, known.limits)
    details: dict[str, Any] = {"id": repeated(body.get("id"), "id", missing="")}
    if body.get("url") is not None:
        raise InvalidField("url is an address: nothing is fetched here. Set FileScheme: data.", field="url")
    pictures = pictures_of(body.get("images"), known.limits.pictures)
    (name,) = request.query.get("label_set" if place is _LABELS else "policy") or (None,)
    if place is _LABELS:
        return Asked(pictures=pictures, by=known.label_set(name), details=details)
    details["least"] = choice(request, "flag", LEAST_FLAGGED, known.flag_from)
    return Asked(pictures=pictures, by=known.policy(name), details=details)


def write(asked: Asked, outcomes: Sequence[Outcome], model: Model) -> Response:
    """Write one status for each picture, or the labels of all pictures together: they are one photo's."""
    if isinstance(asked.by, LabelSet):
        kind, version = "labels", asked.by.name
        result: dict[str, Any] = {"labels": _labels(asked.by, outcomes)}
    else:
        kind, version = "nsfw", asked.by.version
        result = {"nsfw": [_status(outcome, asked) for outcome in outcomes]}
    named = {"type": kind, "name": model.name, "version": version}
    return as_json({"id": asked.details["id"], "code": 200, "model": named, "result": result})


def refuse(request: Request, error: RequestError | None) -> Response:
    """Write an error, in which every picture is unavailable; labels there are none."""
    status = HTTPStatus.INTERNAL_SERVER_ERROR if error is None else error.status
    why = "The service failed; its log says why." if error is None else error.detail
    name, pictures = id_and_number(request)
    rows = [{"status": "unavailable", "reason": why}] * min(pictures, _MOST_ROWS)
    result = {} if request.path == _LABELS.path else {"nsfw": rows}
    return as_json({"id": name, "code": int(status), "error": why, "result": result}, status=status)


ADAPTER = Adapter(places=(_NSFW, _LABELS), read=read, write=write, refuse=refuse, picture_by_picture=True)


def _status(outcome: Outcome, asked: Asked) -> dict[str, Any]:
    try:
        verdict = verdict_of(outcome, asked.details["least"])
    except RequestError as error:
        return {"status": "unavailable", "reason": error.detail}
    unsafe = is_flagged(verdict, asked.details["least"])
    classes = dict.fromkeys(_CLASSES, 0.0) | {"Porn" if unsafe else "Neutral": 1.0}
    return {
        "status": "unsafe" if unsafe else "safe",
        "score": float(unsafe),
        "threshold": _THRESHOLD,
        **classes,
        "verdict": verdict.action,
        "reasons": native.reasons(verdict),
    }


def _labels(label_set: LabelSet, outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    answers = [outcome.probabilities for outcome in outcomes if isinstance(outcome, Answer)]
    if not answers:
        raise next(outcome for outcome in outcomes if isinstance(outcome, RequestError))
    categories = label_set.categories or (None,) * len(label_set.labels)
    rows = zip(label_set.labels, categories, (max(shares) for shares in zip(*answers, strict=True)), strict=True)
    return [
        {
            "name": label,
            "source": "image",
            "confidence": native.six_digits(float(share)),
            "topicality": native.six_digits(float(share)),
            "categories": [category] if category else [],
        }
        for label, category, share in sorted(rows, key=lambda row: -row[2])
        if share >= _LEAST_PROBABLE
    ]
