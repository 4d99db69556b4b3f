"""Describes the routes for other services' clients; their own documents describe what stands in the bodies."""

from __future__ import annotations

from typing import Any

from moderator.web.answers.adapter import Parameter, Place
from moderator.web.routes import Route

TAG = {
    "name": "other services",
    "description": "For programs that were written for another service: requests, answers and errors are as that "
    "service has them. `POST /` with the header `X-Amz-Target` is Amazon Rekognition's.",
}

_BYTES = {"type": "string", "format": "binary"}


def operation_of(route: Route, place: Place) -> dict[str, Any]:
    """Describe one route."""
    return {
        "operationId": route.name,
        "tags": [TAG["name"]],
        "summary": route.summary,
        "parameters": [_parameter(parameter) for parameter in place.query],
        "requestBody": {"required": True, "content": {place.takes: _body(place)}},
        "responses": {
            "200": {"description": "What was found, in that service's own form."},
            "default": {"description": "An error, in that service's own form."},
        },
    }


def _parameter(parameter: Parameter) -> dict[str, Any]:
    schema = {"type": "string"} | ({"enum": list(parameter.choices)} if parameter.choices else {})
    return {"name": parameter.name, "in": "query", "description": parameter.description, "schema": schema}


def _body(place: Place) -> dict[str, Any]:
    """Describe only the kind of body: what stands in it is described by those services."""
    if place.takes == "multipart/form-data":
        schema: dict[str, Any] = {"type": "object", "additionalProperties": _BYTES}
    elif "json" in place.takes:
        schema = {"type": "object"}
    else:
        schema = _BYTES
    examples = {} if place.example is None else {"examples": {"a picture": {"value": place.example}}}
    return {"schema": schema} | examples
