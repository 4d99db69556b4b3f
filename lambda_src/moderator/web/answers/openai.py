"""OpenAI's form: `POST /v1/moderations`, as OpenAI's own SDKs send it when their `base_url` is this service.

A request with a picture that cannot be judged is an error as a whole, in OpenAI's form: the SDK raises. On a 5xx it
asks twice more, and then raises. Nothing that was not judged is answered as `flagged: false`. A category that the
policy does not have is left out, because it was not looked for; the SDK shows it as None.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from moderator.clip.model import Model
from moderator.errors import InvalidField, RequestError, TooMuch
from moderator.pictures.batch import Picture
from moderator.policy.policy import ACTIONS, Action, Policy
from moderator.policy.verdict import Verdict
from moderator.web.answers import native
from moderator.web.answers.adapter import FLAG, LEAST_FLAGGED, Adapter, Asked, Known, NotConfigured, Outcome, Place
from moderator.web.answers.reading import check_query, choice, read_object, repeated
from moderator.web.answers.writing import as_json, is_flagged, verdict_of
from moderator.web.encoded_picture import decode_picture
from moderator.web.http_event import Request, Response
from moderator.web.quoting import kind_of
from moderator.web.request_models import EXAMPLE_PICTURE

_MODERATIONS = Place(
    path="/v1/moderations",
    summary="OpenAI's moderations, for its SDKs",
    query=(FLAG,),
    example={
        "model": "omni-moderation-latest",
        "input": [{"type": "image_url", "image_url": {"url": f"data:image/png;base64,{EXAMPLE_PICTURE}"}}],
    },
)
_POLICY_PREFIX = "policy/"
_PICTURE = "{'type': 'image_url', 'image_url': {'url': 'data:image/png;base64,…'}}"
_TEXT = f"Text is not judged here, only pictures: send {_PICTURE}."


class TextNotJudged(InvalidField):
    """The input, or a part of it, is text."""


def read(request: Request, known: Known) -> Asked:
    """Read a request for moderations; its model may name a policy (`policy/NAME`); any other is only repeated."""
    check_query(request, _MODERATIONS.query)
    body = read_object(request, known.limits)
    model = repeated(body.get("model"), "model", missing="")
    name = model.removeprefix(_POLICY_PREFIX) if model.startswith(_POLICY_PREFIX) else None
    if name == "":
        raise InvalidField("model names no policy after policy/: give its name, or another model.", field="model")
    policy = known.policy(name)
    return Asked(
        pictures=_pictures(body.get("input"), known.limits.pictures),
        by=policy,
        details={
            "model": model or f"{_POLICY_PREFIX}{policy.name}",
            "least": choice(request, "flag", LEAST_FLAGGED, known.flag_from),
        },
    )


def write(asked: Asked, outcomes: Sequence[Outcome], model: Model) -> Response:
    """Write one result for each picture; what OpenAI's form has no field for stands in fields of our own."""
    policy, least = asked.policy, asked.details["least"]
    results = [_result(verdict_of(outcome, least), policy, least) for outcome in outcomes]
    return as_json(
        {
            "id": f"modr-{uuid.uuid4().hex}",
            "model": asked.details["model"],
            "results": results,
            "policy": native.policy_name(policy),
            "served_by": native.model_name(model),
        }
    )


def refuse(_: Request, error: RequestError | None) -> Response:
    """Write an error as OpenAI writes its own; `param` is the field that was wrong, or null for the whole request."""
    if error is None:
        return _error(500, "The service failed; its log says why.", "server_error", None, None)
    code = error.problem()["type"].rpartition(":")[2].replace("-", "_")  # type: ignore[union-attr]  # the type is a text
    if isinstance(error, NotConfigured):
        return _error(404, error.detail, "invalid_request_error", "model", "model_not_found")
    if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return _error(error.status, error.detail, "server_error", None, code)
    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE if isinstance(error, TooMuch) else HTTPStatus.BAD_REQUEST
    return _error(status, error.detail, "invalid_request_error", error.field, code)


ADAPTER = Adapter(places=(_MODERATIONS,), read=read, write=write, refuse=refuse, picture_by_picture=False)


def _pictures(value: Any, most: int) -> tuple[Picture, ...]:
    if isinstance(value, str):
        raise TextNotJudged(f"input is a text. {_TEXT}", field="input")
    if not isinstance(value, list) or not value:
        found = "empty" if value == [] else "missing" if value is None else kind_of(value)
        raise InvalidField(f"input is {found}: it must be a list of pictures.", field="input")
    if len(value) > most:
        raise TooMuch(f"input holds {len(value):,} pictures: at most {most} are allowed in one call.", field="input")
    return tuple(_picture(item, f"input[{place}]") for place, item in enumerate(value))


def _picture(item: Any, name: str) -> Picture:
    match item:
        case str() | {"type": "text"}:
            raise TextNotJudged(f"{name} is a text. {_TEXT}", field=name)
        case {"type": "image_url", "image_url": {"url": str(url)}}:
            return decode_picture(url, f"{name}.image_url.url")
        case {"type": "image_url", "image_url": {"url": url}}:
            raise InvalidField(
                f"{name}.image_url.url is {kind_of(url)}: send {_PICTURE}.", field=f"{name}.image_url.url"
            )
        case {"type": "image_url"}:
            raise InvalidField(
                f"{name}.image_url must be an object with url: send {_PICTURE}.", field=f"{name}.image_url"
            )
        case _:
            raise InvalidField(f"{name} is not a picture: send {_PICTURE}.", field=name)


def _result(verdict: Verdict, policy: Policy, least: Action) -> dict[str, Any]:
    flags: dict[str, bool] = {}
    scores: dict[str, float] = {}
    for category in policy.categories:
        # Several categories of a policy may be one of OpenAI's.
        name, found = category.openai or category.name, verdict.categories[category.name]
        flags[name] = flags.get(name, False) or ACTIONS.index(found.action) >= ACTIONS.index(least)
        scores[name] = max(scores.get(name, 0.0), native.score_digits(found.score))
    return {
        "flagged": is_flagged(verdict, least),
        "categories": flags,
        "category_scores": scores,
        "category_applied_input_types": {name: ["image"] for name in flags},
        "verdict": verdict.action,
        "reasons": native.reasons(verdict),
    }


def _error(status: int, message: str, kind: str, param: str | None, code: str | None) -> Response:
    return as_json({"error": {"message": message, "type": kind, "param": param, "code": code}}, status=status)
