"""Describes the routes for other services' clients; their own documents describe what stands in the bodies."""

from __future__ import annotations

from typing import Any

from moderator.web.answers.adapter import LEAST_FLAGGED
from moderator.web.request_models import EXAMPLE_PICTURE
from moderator.web.routes import Route

TAG = {
    "name": "other services",
    "description": "For programs that were written for another service: requests, answers and errors are as that "
    "service has them. `POST /` with the header `X-Amz-Target` is Amazon Rekognition's.",
}

_TEXT = {"type": "string"}
_BYTES = {"type": "string", "format": "binary"}
_LEAST = {"type": "string", "enum": list(LEAST_FLAGGED)}
_FLAG = ("flag", "The mildest action that counts as a yes.", _LEAST)
_POLICY = ("policy", "The name of a policy.", _TEXT)

# What may stand in the query of the address that the client is configured with.
_QUERY: dict[str, tuple[tuple[str, str, dict[str, Any]], ...]] = {
    "/v1/moderations": (_FLAG,),
    "/hooks/pict-rs": (
        _POLICY,
        ("refuse", "The mildest action that refuses an upload.", _LEAST),
        (
            "on_error",
            "What to do with an upload that cannot be judged.",
            {"type": "string", "enum": ["allow", "refuse"]},
        ),
    ),
    "/api/v1/vision/nsfw": (_POLICY, _FLAG),
    "/api/v1/vision/labels": (("label_set", "The name of a label set.", _TEXT),),
}
# Only the kind of body: what stands in it is described by those services.
_TAKEN: dict[str, dict[str, Any]] = {
    "application/json": {"type": "object"},
    "multipart/form-data": {"type": "object", "additionalProperties": _BYTES},
    "image/*": _BYTES,
}


_PICTURE = f"data:image/png;base64,{EXAMPLE_PICTURE}"
# Of those whose requests are JSON.
_EXAMPLES: dict[str, dict[str, Any]] = {
    "/v1/moderations": {
        "model": "omni-moderation-latest",
        "input": [{"type": "image_url", "image_url": {"url": _PICTURE}}],
    },
    "/api/v1/vision/nsfw": {"id": "1", "images": [_PICTURE]},
    "/api/v1/vision/labels": {"id": "1", "images": [_PICTURE]},
}


def operation_of(route: Route) -> dict[str, Any]:
    """Describe one route."""
    return {
        "operationId": route.name,
        "tags": [TAG["name"]],
        "summary": route.summary,
        "parameters": [
            {"name": name, "in": "query", "description": description, "schema": schema}
            for name, description, schema in _QUERY.get(route.path, ())
        ],
        "requestBody": {"required": True, "content": {route.takes: _body_of(route)}},
        "responses": {
            "200": {"description": "What was found, in that service's own form."},
            "default": {"description": "An error, in that service's own form."},
        },
    }


def _body_of(route: Route) -> dict[str, Any]:
    example = _EXAMPLES.get(route.path)
    examples = {} if example is None else {"examples": {"a picture": {"value": example}}}
    return {"schema": _TAKEN[route.takes]} | examples
