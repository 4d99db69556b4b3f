"""The HTTP API: the contract's routes, who may call them, how often, and from which web pages."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pulumi
import pulumi_aws as aws

from infra.access import AccessArgs, access_to
from infra.domain import DomainArgs, own_domain
from infra.tokens import Tokens

# The service's own table, `lambda_src/moderator/web/routes.py`, to which a test holds this: the program does not import
# the service. Any other route is answered 404 by API Gateway itself.
ROUTES = (
    "POST /classify",
    "POST /moderate",
    "POST /",
    "GET /",
    "GET /try",
    "GET /health",
    "GET /label-sets",
    "GET /policies",
    "GET /openapi.json",
    "GET /docs",
    "POST /v1/moderations",
    "POST /v1/detect-images",
    "POST /hooks/pict-rs",
    "POST /api/v1/vision/nsfw",
    "POST /api/v1/vision/labels",
)

# What a later question needs: who asked, how it ended, and whose time it took. Not the query: a token may be in it.
# https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-logging-variables.html
_ACCESS_LOG = {
    "requestId": "$context.requestId",
    "time": "$context.requestTimeEpoch",
    "ip": "$context.identity.sourceIp",
    "route": "$context.routeKey",
    "status": "$context.status",
    "ms": "$context.responseLatency",
    "functionMs": "$context.integrationLatency",
    "bytes": "$context.responseLength",
    "error": "$context.error.message",
    "functionError": "$context.integrationErrorMessage",
    "authorizerError": "$context.authorizer.error",
}


@dataclass(frozen=True, kw_only=True)
class ApiArgs:
    """What the API is made from; rate is requests a second, burst is requests at once."""

    name: str
    alias: aws.lambda_.Alias
    region: pulumi.Input[str]
    auth: str
    jwt_issuer: str
    jwt_audience: Sequence[str]
    cors_origins: Sequence[str]
    throttle_rate: int
    throttle_burst: int
    domain_name: str
    certificate_arn: str
    log_retention_days: int
    # With auth token, what knows the tokens.
    tokens: Tokens | None = None
    jwt_scopes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    hosted_zone_id: str = ""
    default_endpoint: bool = True


class Api(pulumi.ComponentResource):
    """Offers `id`, `url`, `curl`, ready to paste, and `domain_target`, where a domain of one's own must point.

    `page_url` is there where a browser can use the page: not where requests are signed or an issuer lets people in.
    """

    def __init__(self, name: str, args: ApiArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("clip:infra:Api", name, None, opts)
        self._name = name
        self._child = pulumi.ResourceOptions(parent=self)

        self._api = aws.apigatewayv2.Api(
            name,
            name=args.name,
            protocol_type="HTTP",
            cors_configuration=_cors(args.cors_origins),
            disable_execute_api_endpoint=None if args.default_endpoint else True,
            opts=self._child,
        )
        allowed = aws.lambda_.Permission(
            name,
            action="lambda:InvokeFunction",
            function=args.alias.function_name,
            qualifier=args.alias.name,
            principal="apigateway.amazonaws.com",
            source_arn=pulumi.Output.format("{0}/*/*", self._api.execution_arn),
            opts=self._child,
        )
        routes = self._route(args, allowed)
        stage = self._stage(args, after=routes)

        self.id = self._api.id
        self.domain_target: pulumi.Output[str] | None = None
        self.url: pulumi.Output[str] = self._api.api_endpoint
        if args.domain_name:
            self.domain_target = own_domain(
                self._name,
                DomainArgs(
                    domain_name=args.domain_name,
                    certificate_arn=args.certificate_arn,
                    hosted_zone_id=args.hosted_zone_id,
                    api=self._api,
                    stage=stage,
                ),
                parent=self,
            )
            self.url = pulumi.Output.from_input(f"https://{args.domain_name}")
        self.page_url = pulumi.Output.format("{0}/", self.url) if args.auth in ("token", "none") else None
        self.curl = pulumi.Output.all(self.url, args.region).apply(
            lambda values: curl(auth=args.auth, url=values[0], region=values[1])
        )
        self.register_outputs({})

    def _route(self, args: ApiArgs, allowed: aws.lambda_.Permission) -> list[pulumi.Resource]:
        integration = aws.apigatewayv2.Integration(
            self._name,
            api_id=self._api.id,
            integration_type="AWS_PROXY",
            integration_uri=args.alias.invoke_arn,
            payload_format_version="2.0",
            # A change is live at once, and another alias (`snapStart`) has a permission of its own.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[allowed]),
        )
        access = access_to(
            self._api,
            self,
            AccessArgs(
                name=self._name,
                auth=args.auth,
                tokens=args.tokens,
                jwt_issuer=args.jwt_issuer,
                jwt_audience=args.jwt_audience,
                jwt_scopes=args.jwt_scopes,
            ),
        )
        return [
            aws.apigatewayv2.Route(
                f"{self._name}-{route}",
                api_id=self._api.id,
                route_key=route,
                target=pulumi.Output.format("integrations/{0}", integration.id),
                **access(route),
                opts=self._child,
            )
            for route in ROUTES
        ]

    def _stage(self, args: ApiArgs, *, after: Sequence[pulumi.Resource]) -> aws.apigatewayv2.Stage:
        log_group = aws.cloudwatch.LogGroup(
            f"{self._name}-access",
            # Groups under this prefix share one resource policy; others run into the limit on its size.
            # https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-logging.html
            name=f"/aws/vendedlogs/apis/{args.name}",
            retention_in_days=args.log_retention_days,
            opts=self._child,
        )
        log = {**_ACCESS_LOG, "tokenName": "$context.authorizer.tokenName"} if args.tokens else _ACCESS_LOG
        return aws.apigatewayv2.Stage(
            self._name,
            api_id=self._api.id,
            name="$default",
            auto_deploy=True,
            # One limit without the other makes the other 0, and every call is answered 429.
            default_route_settings={
                "throttling_rate_limit": args.throttle_rate,
                "throttling_burst_limit": args.throttle_burst,
            },
            access_log_settings={"destination_arn": log_group.arn, "format": json.dumps(log)},
            opts=pulumi.ResourceOptions(parent=self, depends_on=list(after)),
        )


def curl(*, auth: str, url: str, region: str) -> str:
    """Give a command that classifies `picture.jpg`, ready to paste into a shell.

    With auth iam it takes the credentials from the usual environment variables; with token and jwt that from TOKEN.
    """
    credentials = {
        # Keys without a session token must not send the header: curl signs it empty, and then leaves it out. In one
        # word, because zsh does not split it in two.
        "iam": (
            f"--aws-sigv4 aws:amz:{region}:execute-api "
            '--user "$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY" '
            '${AWS_SESSION_TOKEN:+-H"x-amz-security-token: $AWS_SESSION_TOKEN"} '
        ),
        "token": '-H "Authorization: Bearer $TOKEN" ',
        "jwt": '-H "Authorization: Bearer $TOKEN" ',
        "none": "",
    }[auth]
    return (
        f"curl {credentials}-H 'Content-Type: image/jpeg' --data-binary @picture.jpg "
        f"'{url}/classify?label_set=moderation'"
    )


def _cors(origins: Sequence[str]) -> aws.apigatewayv2.ApiCorsConfigurationArgs | None:
    if not origins:
        return None
    return aws.apigatewayv2.ApiCorsConfigurationArgs(
        allow_origins=list(origins),
        allow_methods=["GET", "POST"],
        # The last three are those of a signed request.
        allow_headers=["authorization", "content-type", "x-amz-date", "x-amz-security-token", "x-amz-content-sha256"],
        expose_headers=["server-timing", "x-label-cache"],
        max_age=3600,
    )
