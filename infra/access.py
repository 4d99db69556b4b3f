"""How each route of the API is entered: by a signed request, a token of ours, one of an issuer's, or by everybody."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

from infra.tokens import QUERY_ROUTES, Tokens

# Open with tokens of the stack's own: the page, which asks for one, what describes the API, and its health.
OPEN_ROUTES = frozenset({"GET /", "GET /try", "GET /docs", "GET /openapi.json", "GET /health"})

# A route's key to the inputs of its resource.
Access = Callable[[str], Mapping[str, Any]]

_EVERYBODY = {"authorization_type": "NONE"}


@dataclass(frozen=True, kw_only=True)
class AccessArgs:
    """Who may call: `tokens` with auth token, the rest with auth jwt; in `jwt_scopes` * is for all other routes."""

    name: str
    auth: str
    tokens: Tokens | None
    jwt_issuer: str
    jwt_audience: Sequence[str]
    jwt_scopes: Mapping[str, Sequence[str]]


def access_to(api: aws.apigatewayv2.Api, parent: pulumi.Resource, args: AccessArgs) -> Access:
    """Make the API's authorizers and return what says how a route is entered."""
    if args.auth == "token" and args.tokens:
        authorizers = args.tokens.attach(api, parent)
        return _but_open(
            lambda route: {
                "authorization_type": "CUSTOM",
                "authorizer_id": authorizers["query" if route in QUERY_ROUTES else "header"],
            }
        )
    if args.auth == "jwt":
        issuer = aws.apigatewayv2.Authorizer(
            args.name,
            api_id=api.id,
            authorizer_type="JWT",
            identity_sources=["$request.header.Authorization"],
            jwt_configuration={"issuer": args.jwt_issuer, "audiences": list(args.jwt_audience)},
            opts=pulumi.ResourceOptions(parent=parent),
        )
        # Every route: the page asks for tokens of the stack's own, and cannot sign in with an issuer.
        return lambda route: {
            "authorization_type": "JWT",
            "authorizer_id": issuer.id,
            "authorization_scopes": args.jwt_scopes.get(route, args.jwt_scopes.get("*")),
        }
    return lambda _: {"authorization_type": "AWS_IAM"} if args.auth == "iam" else _EVERYBODY


def _but_open(access: Access) -> Access:
    return lambda route: _EVERYBODY if route in OPEN_ROUTES else access(route)
