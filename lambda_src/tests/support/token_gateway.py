"""API Gateway with `auth: token`, in process: the stack's own list of routes and its authorizer, before a handler.

What API Gateway itself answers, it answers in its own form, which cannot be changed for an HTTP API:
https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-lambda-authorizer.html
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

from infra.access import OPEN_ROUTES
from infra.api import ROUTES
from infra.authorizer.authorizer import build_handler
from infra.tokens import QUERY_ROUTES, hashes_of
from moderator.handler import Handler

TOKEN = "0123456789abcdef" * 4


def guarded(handler: Handler) -> Handler:
    """Ask the authorizer before `handler`, which it lets in with TOKEN."""
    authorizer = build_handler(json.loads(hashes_of({"a client": TOKEN})))

    def handle(event: dict[str, Any], context: Any) -> dict[str, Any]:
        route = f"{event['requestContext']['http']['method']} {event['rawPath']}"
        if route not in ROUTES:
            return _answer(404, "Not Found")
        if route not in OPEN_ROUTES:
            identity = _identity(event, in_query=route in QUERY_ROUTES)
            if not identity:  # the authorizer is not even asked
                return _answer(401, "Unauthorized")
            if not authorizer(event | {"routeKey": route, "identitySource": [identity]}, None)["isAuthorized"]:
                return _answer(403, "Forbidden")
        return handler(event, context)

    return handle


def _identity(event: Mapping[str, Any], *, in_query: bool) -> str:
    if in_query:
        return ",".join(parse_qs(event["rawQueryString"]).get("token", []))
    return str(event["headers"].get("authorization", ""))


def _answer(status: int, message: str) -> dict[str, Any]:
    return {
        "statusCode": status,
        "headers": {"Content-Type": "application/json"},
        "body": json.dumps({"message": message}),
        "isBase64Encoded": False,
    }
