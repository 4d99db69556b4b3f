"""PhotoPrism's form: `POST /api/v1/vision/nsfw` and `/labels`, as its vision service has them.

PhotoPrism compares `score` with a threshold of its own (75 % unless its owner changes it), whatever `status` says, and
versions before 2026 read nothing but the five classes. The policy has thresholds already, so the numbers are
the decision itself: 1 for unsafe and 0 for safe. What cannot be judged has `status: unavailable` and no number at all.
PhotoPrism takes every error for that: it admits the upload, and neither marks nor unmarks a photo.
"""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from moderator.classifier import Answer
from moderator.clip.model import Model
from moderator.errors import InvalidField, RequestError, TooMuch
from moderator.labels.label_sets import LabelSet
from moderator.pictures.batch import Picture
from moderator.policy.policy import Policy
from moderator.web.answers import native
from moderator.web.answers.adapter import (
    LEAST_FLAGGED,
    Adapter,
    Asked,
    Known,
    Outcome,
    as_json,
    check_query,
    choice,
    is_flagged,
    read_object,
    repeated,
    verdict_of,
)
from moderator.web.http_event import Request, Response
from moderator.web.payload import decode_picture, kind_of

_CLASSES = ("Drawing", "Hentai", "Neutral", "Porn", "Sexy")
_THRESHOLD = 0.5  # between 0 and 1, which are the only scores
_LEAST_PROBABLE = 0.1  # PhotoPrism's own: 10 % (DefaultThresholds.Confidence)


def read(request: Request, known: Known) -> Asked:
    """Read a request; `?policy=` and `?flag=` in the service's Uri choose what a photo is judged by."""
    check_query(request, *(("label_set",) if request.path.endswith("/labels") else ("policy", "flag")))
    body = read_object(request, known.limits)
    images = body.get("images")
    if body.get("url") is not None:
        raise InvalidField("url is an address: nothing is fetched here. Set FileScheme: data.")
    if images == []:
        raise InvalidField("images is empty: it must be a list of data URLs with at least one.")
    if not isinstance(images, list) or not all(isinstance(image, str) for image in images):
        raise InvalidField(f"images is {kind_of(images)}: it must be a list of at least one data URL.")
    if len(images) > known.limits.pictures:
        raise TooMuch(
            f"images holds {len(images):,} pictures: at most {known.limits.pictures} are allowed in one call."
        )
    details: dict[str, Any] = {"id": repeated(body.get("id"), "id", missing="")}
    by: Policy | LabelSet
    if request.path.endswith("/labels"):
        by = known.label_set((request.query.get("label_set") or [None])[0])  # type: ignore[list-item]  # or no name
    else:
        by = known.policy((request.query.get("policy") or [None])[0])  # type: ignore[list-item]  # likewise
        details["least"] = choice(request, "flag", LEAST_FLAGGED, known.flag_from)
    return Asked(
        pictures=tuple(_picture(image, f"images[{place}]") for place, image in enumerate(images)),
        by=by,
        details=details,
    )


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


def refuse(_: Request, error: RequestError | None) -> Response:
    """Write an error without a result, which PhotoPrism takes for unavailable."""
    status = HTTPStatus.INTERNAL_SERVER_ERROR if error is None else error.status
    why = "The service failed; its log says why." if error is None else error.detail
    return as_json({"code": int(status), "error": why, "result": {}}, status=status)


ADAPTER = Adapter(read=read, write=write, refuse=refuse, picture_by_picture=True)


def _picture(image: str, name: str) -> Picture | RequestError:
    try:
        return decode_picture(image, name)
    except RequestError as error:
        return error


def _status(outcome: Outcome, asked: Asked) -> dict[str, Any]:
    if isinstance(outcome, RequestError):
        return {"status": "unavailable", "reason": outcome.detail}
    verdict = verdict_of(outcome)
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
