"""The authorizer of `auth: token`: a small Lambda that knows the tokens' hashes, and who asks it about which routes.

Two authorizers of the API share the one function. All identity sources of an authorizer must be there, or API Gateway
answers 401 by itself; so one that reads the header and the query would let nobody in, and one without sources would
keep no answer and be asked, and paid for, with every request. So the routes whose clients can set no header have an
authorizer that reads the query, all others one that reads the header, and both keep their answers by exactly what
they read.
https://docs.aws.amazon.com/apigatewayv2/latest/api-reference/apis-apiid-authorizers.html
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from infra.role import FunctionRole

# Relative to the project, where Pulumi runs: the place of a checkout must not look like a change.
CODE = "infra/authorizer/authorizer.py"

# How long an answer is kept: a token that is taken away still works for that long after the `up`.
KEPT_SECONDS = 300

# The routes whose clients have nothing but the address to put a token into.
QUERY_ROUTES = frozenset({"POST /hooks/pict-rs"})

_SOURCES = {"header": "$request.header.Authorization", "query": "$request.querystring.token"}


@dataclass(frozen=True, kw_only=True)
class TokensArgs:
    """What the authorizer is made from: `tokens` is a secret, from a name to a token."""

    name: str
    role: FunctionRole
    tokens: pulumi.Output[Mapping[str, str]]
    log_retention_days: int


class Tokens(pulumi.ComponentResource):
    """Offers `attach`, which puts the authorizer before an API."""

    def __init__(self, name: str, args: TokensArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("clip:infra:Tokens", name, None, opts)
        self._name = f"{name}-authorizer"
        child = pulumi.ResourceOptions(parent=self)
        log_group = aws.cloudwatch.LogGroup(
            self._name,
            name=f"/aws/lambda/{args.name}-authorizer",
            retention_in_days=args.log_retention_days,
            opts=child,
        )
        write_logs = args.role.allow(
            "write-logs",
            {
                "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
                "Resource": pulumi.Output.format("{0}:*", log_group.arn),
            },
            parent=self,
        )
        self._function = aws.lambda_.Function(
            self._name,
            name=f"{args.name}-authorizer",
            role=args.role.arn,
            code=pulumi.AssetArchive({"authorizer.py": pulumi.FileAsset(CODE)}),
            handler="authorizer.handler",
            runtime=aws.lambda_.Runtime.PYTHON3D13,
            architectures=["arm64"],
            memory_size=128,
            timeout=5,
            # Hashes of a secret are a secret to Pulumi too: the state has them encrypted.
            environment={"variables": {"TOKEN_HASHES": args.tokens.apply(hashes_of)}},
            logging_config={"log_format": "Text", "log_group": log_group.name},
            opts=pulumi.ResourceOptions(parent=self, depends_on=[write_logs]),
        )
        self.register_outputs({})

    def attach(self, api: aws.apigatewayv2.Api, parent: pulumi.Resource) -> Mapping[str, pulumi.Output[str]]:
        """Return the ids of the API's authorizers by where they look, `header` or `query`, once it may ask them."""
        child = pulumi.ResourceOptions(parent=parent)
        authorizers = {
            place: aws.apigatewayv2.Authorizer(
                f"{self._name}-{place}",
                api_id=api.id,
                name=f"token-in-{place}",
                authorizer_type="REQUEST",
                authorizer_uri=self._function.invoke_arn,
                authorizer_payload_format_version="2.0",
                enable_simple_responses=True,
                authorizer_result_ttl_in_seconds=KEPT_SECONDS,
                identity_sources=[source],
                opts=child,
            )
            for place, source in _SOURCES.items()
        }
        allowed = {
            place: aws.lambda_.Permission(
                f"{self._name}-{place}",
                action="lambda:InvokeFunction",
                function=self._function.name,
                principal="apigateway.amazonaws.com",
                source_arn=pulumi.Output.format("{0}/authorizers/{1}", api.execution_arn, authorizer.id),
                opts=child,
            )
            for place, authorizer in authorizers.items()
        }
        # With the permission in it, an id makes its routes wait for that.
        return {
            place: pulumi.Output.all(authorizer.id, allowed[place].id).apply(lambda ids: str(ids[0]))
            for place, authorizer in authorizers.items()
        }


def hashes_of(tokens: Mapping[str, str]) -> str:
    """Return the SHA-256 of each token by its name, as JSON."""
    return json.dumps({name: hashlib.sha256(token.encode()).hexdigest() for name, token in sorted(tokens.items())})
