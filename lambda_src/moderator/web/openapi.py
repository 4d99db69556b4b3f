"""The OpenAPI document, made from the very models that requests are checked against, and its page."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

from aws_lambda_powertools.event_handler.openapi.swagger_ui import generate_swagger_html
from pydantic.json_schema import models_json_schema

from moderator.web.payload import Limits
from moderator.web.schema import (
    ClassifyRequest,
    Health,
    LabelSetList,
    ManyPictures,
    OnePicture,
    Problem,
)

_PROBLEMS = {
    "400": "The body is not JSON, or the base64 is not base64.",
    "413": "More pixels, bytes, labels or pictures than allowed.",
    "415": "The bytes are not a picture that is read here.",
    "422": "A field is missing, of the wrong type, empty or given twice; a label too long; a damaged picture.",
}


def document(limits: Limits) -> dict[str, Any]:
    """The OpenAPI 3.1 document of all routes."""
    _, definitions = models_json_schema(
        [
            (ClassifyRequest, "validation"),
            *((model, "serialization") for model in (OnePicture, ManyPictures, Health, LabelSetList, Problem)),
        ],
        ref_template="#/components/schemas/{model}",
    )
    schemas = definitions["$defs"]
    _add_limits(schemas["ClassifyRequest"], limits)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "clip-video-moderator",
            "version": "1",
            "description": "What is in this picture? CLIP answers with a probability for each of your own labels.",
        },
        "paths": {
            "/classify": {"post": _classify(limits, "classify")},
            "/": {"post": _classify(limits, "classify_at_root") | {"deprecated": True}},
            "/health": {"get": _get("health", "The model and the state of the label store", "Health")},
            "/label-sets": {"get": _get("label_sets", "The configured label sets", "LabelSetList")},
            "/openapi.json": {"get": _get("openapi", "This document", None)},
            "/docs": {
                "get": {
                    "operationId": "docs",
                    "summary": "This document as a page",
                    "responses": {"200": {"description": "HTML", "content": {"text/html": {}}}},
                }
            },
        },
        "components": {"schemas": schemas},
    }


def page(limits: Limits) -> str:
    """Swagger UI over `document`, complete in itself."""
    assets = files("aws_lambda_powertools.event_handler.openapi.swagger_ui")
    return generate_swagger_html(
        spec=json.dumps(document(limits)).replace("</", "<\\/"),
        swagger_js=(assets / "swagger-ui-bundle.min.js").read_text("utf-8"),
        swagger_css=(assets / "swagger-ui.min.css").read_text("utf-8"),
        swagger_base_url="",
        oauth2_config=None,
    )


def _add_limits(schema: dict[str, Any], limits: Limits) -> None:
    """Write the limits of this service, and the pairs of which one is needed, into the request's schema."""
    for variant in schema["properties"]["images"]["anyOf"]:
        if variant.get("type") == "array":
            variant["maxItems"] = limits.pictures
    for variant in schema["properties"]["labels"]["anyOf"]:
        for kind in variant.get("oneOf", [variant]):
            if kind.get("type") == "array":
                kind |= {"maxItems": limits.labels, "uniqueItems": True}
            elif kind.get("type") == "object":
                kind["maxProperties"] = limits.labels
    schema["allOf"] = [
        {"oneOf": [{"required": [one]}, {"required": [other]}]}
        for one, other in (("image_data", "images"), ("labels", "label_set"))
    ]


def _classify(limits: Limits, operation: str) -> dict[str, Any]:
    in_query = "Only where the body is the picture itself."
    picture = {"schema": {"type": "string", "format": "binary", "maxLength": limits.body_bytes}}
    return {
        "operationId": operation,
        "summary": "Say how probable each label is",
        "parameters": [
            {
                "name": "label",
                "in": "query",
                "description": f"A label; repeat it for more. {in_query}",
                "schema": {"type": "array", "items": {"type": "string"}, "maxItems": limits.labels},
                "style": "form",
                "explode": True,
            },
            {
                "name": "label_set",
                "in": "query",
                "description": f"The name of a label set. {in_query}",
                "schema": {"type": "string"},
            },
        ],
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": _reference("ClassifyRequest")},
                "image/*": picture,
                "application/octet-stream": picture,
            },
        },
        "responses": {
            "200": {
                "description": "The probabilities",
                "headers": {
                    "Server-Timing": {
                        "description": "Milliseconds of decode, labels, image and total",
                        "schema": {"type": "string"},
                    },
                    "X-Label-Cache": {
                        "description": "How many labels came from memory and the store, and how many were computed",
                        "schema": {"type": "string"},
                    },
                },
                "content": {
                    "application/json": {"schema": {"anyOf": [_reference("OnePicture"), _reference("ManyPictures")]}}
                },
            },
        }
        | {
            status: {
                "description": description,
                "content": {"application/problem+json": {"schema": _reference("Problem")}},
            }
            for status, description in _PROBLEMS.items()
        },
    }


def _get(operation: str, summary: str, schema: str | None) -> dict[str, Any]:
    content = {"schema": _reference(schema)} if schema else {"schema": {"type": "object"}}
    return {
        "operationId": operation,
        "summary": summary,
        "responses": {"200": {"description": summary, "content": {"application/json": content}}},
    }


def _reference(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}
