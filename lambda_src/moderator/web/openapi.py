"""The OpenAPI document, made from the table of routes and the models that requests are checked against."""

from __future__ import annotations

from typing import Any, get_args

from pydantic.json_schema import models_json_schema

from moderator.pictures.views import View
from moderator.policy.form import PolicyObject
from moderator.question import Limits
from moderator.web import answer_models as answers
from moderator.web.answers.caveats import DEMO_MODEL
from moderator.web.openapi_clients import TAG, operation_of
from moderator.web.request_models import EXAMPLE_PICTURE, ClassifyRequest, ModerateRequest
from moderator.web.routes import ROUTES, Route

_ANSWERS: dict[str, tuple[type[Any], ...]] = {
    "classify": (answers.OnePicture, answers.ManyPictures),
    "moderate": (answers.OneVerdict, answers.ManyVerdicts),
    "health": (answers.Health,),
    "label_sets": (answers.LabelSetList,),
    "policies": (answers.PolicyList,),
}
_PAGES = ("docs", "page")
_PROBLEMS = {
    "400": "The body is not JSON, or the base64 is not base64.",
    "413": "More pixels, bytes, labels, frames or pictures than allowed.",
    "415": "The bytes are not a picture of a supported format, or the type of the body is not supported.",
    "422": "A field is missing, of the wrong type, empty or given twice; a label too long; a damaged picture.",
    "503": "More labels are new than can be embedded in time; those done are stored. Ask again after `Retry-After`.",
}
_HEADERS = {
    "Server-Timing": "Milliseconds of decode, labels, image and total",
    "X-Label-Cache": "How many labels came from where, and how many were computed",
}
_DETAILS: dict[str, Any] = {
    "name": "details",
    "in": "query",
    "description": "Adds the instance that answers and its processor.",
    "allowEmptyValue": True,
    "schema": {"type": "string", "enum": ["", "true", "false"]},
}
_IN_QUERY = "Only where the body is the picture itself."

_EXAMPLES: dict[str, dict[str, Any]] = {
    "classify": {
        "labels": {"image_data": EXAMPLE_PICTURE, "labels": ["a red circle", "a blue square", "a green star"]},
        "categories": {"image_data": EXAMPLE_PICTURE, "labels": {"a red circle": "round", "a blue square": "angular"}},
        "label set": {"image_data": EXAMPLE_PICTURE, "label_set": "demo"},
        "questions": {
            "image_data": EXAMPLE_PICTURE,
            "questions": {"colour": ["a red shape", "a blue shape"], "shape": ["a circle", "a square", "a star"]},
        },
        "several pictures": {"images": [EXAMPLE_PICTURE, EXAMPLE_PICTURE], "labels": ["a circle", "a star"]},
    },
    "moderate": {
        "policy by name": {"image_data": EXAMPLE_PICTURE, "policy": "demo"},
        "policy in the request": {
            "image_data": EXAMPLE_PICTURE,
            "policy": {
                "neutral": ["a green star", "a yellow triangle"],
                "categories": {"red circles": {"labels": ["a red circle"], "against": ["a red square"], "block": 0.9}},
            },
        },
    },
}


def document(limits: Limits, *, demo: bool) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of all routes; `demo` says whether the demo model answers."""
    models = [model for group in _ANSWERS.values() for model in group] + [answers.Problem]
    _, definitions = models_json_schema(
        [
            *((model, "validation") for model in (ClassifyRequest, ModerateRequest, PolicyObject)),
            *((model, "serialization") for model in models),
        ],
        ref_template="#/components/schemas/{model}",
    )
    schemas = definitions["$defs"]
    _add_limits(schemas, limits)
    paths: dict[str, dict[str, Any]] = {}
    for route in ROUTES:
        # OpenAPI has one operation for each method and path: one that a header chooses is described in words.
        if not route.header:
            paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, limits)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "clip-video-moderator",
            "version": "1",
            "description": "What is in this picture, and what should be done with it? CLIP answers with a probability "
            "for each of your own labels, and a policy with a verdict." + (f"\n\n**{DEMO_MODEL}**" if demo else ""),
        },
        "tags": [
            {"name": "pictures", "description": "Questions about pictures."},
            {"name": "service", "description": "What is configured, and how the service is doing."},
            TAG,
        ],
        "paths": paths,
        "components": {"schemas": schemas},
    }


def _add_limits(schemas: dict[str, Any], limits: Limits) -> None:
    """Write the limits of this service, and the fields of which exactly one is needed, into the requests' schemas."""
    one_of = {
        "ClassifyRequest": (("image_data", "images", "embedding"), ("labels", "label_set", "questions")),
        "ModerateRequest": (("image_data", "images", "embedding"), ("policy",)),
    }
    for name, groups in one_of.items():
        schema = schemas[name]
        for variant in schema["properties"]["images"]["anyOf"]:
            if variant.get("type") == "array":
                variant["maxItems"] = limits.pictures
        schema["allOf"] = [{"oneOf": [{"required": [field]} for field in fields]} for fields in groups]
    for variant in schemas["ClassifyRequest"]["properties"]["labels"]["anyOf"]:
        for kind in variant.get("oneOf", [variant]):
            if kind.get("type") == "array":
                kind |= {"maxItems": limits.labels, "uniqueItems": True}
            elif kind.get("type") == "object":
                kind["maxProperties"] = limits.labels
    for variant in schemas["ModerateRequest"]["properties"]["policy"]["anyOf"]:
        if variant.get("type") == "object":
            variant.clear()
            variant |= _reference("PolicyObject")


def _operation(route: Route, limits: Limits) -> dict[str, Any]:
    if route.place is not None:
        return operation_of(route, route.place)
    if route.method == "POST":
        return _question(route, limits)
    if route.answer in _PAGES:
        responses = {"200": {"description": route.summary, "content": {"text/html": {}}}}
    else:
        schema = _any_of(_ANSWERS[route.answer]) if route.answer in _ANSWERS else {"type": "object"}
        responses = {"200": {"description": route.summary, "content": {"application/json": {"schema": schema}}}}
    parameters: dict[str, Any] = {}
    if route.answer == "health":
        parameters = {"parameters": [_DETAILS]}
        responses["422"] = _problem("`details` is neither true, false nor empty, or given twice.")
    about = {"operationId": route.name, "tags": ["service"], "summary": route.summary}
    return about | parameters | {"responses": responses}


def _question(route: Route, limits: Limits) -> dict[str, Any]:
    request = "ModerateRequest" if route.answer == "moderate" else "ClassifyRequest"
    picture = {"schema": {"type": "string", "format": "binary", "maxLength": limits.body_bytes}}
    form = {
        "schema": {
            "type": "object",
            "required": ["image"],
            "properties": {"image": {"type": "array", "items": {"type": "string", "format": "binary"}}},
        }
    }
    examples = {name: {"value": value} for name, value in _EXAMPLES[route.answer].items()}
    return {
        "operationId": route.name,
        "tags": ["pictures"],
        "summary": route.summary,
        "parameters": _parameters(route, limits),
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": _reference(request), "examples": examples},
                "image/*": picture,
                "application/octet-stream": picture,
                "multipart/form-data": form,
            },
        },
        "responses": {
            "200": {
                "description": route.summary,
                "headers": {
                    name: {"description": text, "schema": {"type": "string"}} for name, text in _HEADERS.items()
                },
                "content": {"application/json": {"schema": _any_of(_ANSWERS[route.answer])}},
            },
        }
        | {status: _problem(description) for status, description in _PROBLEMS.items()},
    } | ({"deprecated": True} if route.path == "/" else {})


def _problem(description: str) -> dict[str, Any]:
    return {"description": description, "content": {"application/problem+json": {"schema": _reference("Problem")}}}


def _parameters(route: Route, limits: Limits) -> list[dict[str, Any]]:
    views: dict[str, Any] = {"type": "string", "enum": list(get_args(View))}
    shared: list[tuple[str, str, dict[str, Any]]] = [
        ("view", "Which part of the picture is looked at.", views),
        ("return_embedding", "Whether the answer holds the picture's embedding.", {"type": "boolean"}),
    ]
    if route.answer == "moderate":
        own: list[tuple[str, str, dict[str, Any]]] = [("policy", "The name of a policy.", {"type": "string"})]
    else:
        labels: dict[str, Any] = {"type": "array", "items": {"type": "string"}, "maxItems": limits.labels}
        own = [
            ("label", "A label; repeat it for more.", labels),
            ("label_set", "The name of a label set.", {"type": "string"}),
        ]
    return [
        {"name": name, "in": "query", "description": f"{description} {_IN_QUERY}", "schema": schema}
        | ({"style": "form", "explode": True} if schema["type"] == "array" else {})
        for name, description, schema in [*own, *shared]
    ]


def _any_of(models: tuple[type[Any], ...]) -> dict[str, Any]:
    references = [_reference(model.__name__) for model in models]
    return references[0] if len(references) == 1 else {"anyOf": references}


def _reference(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}
