"""Nobody gets in unasked, nobody gets in too often, and the command to try it is right."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from infra.access import OPEN_ROUTES
from infra.api import ROUTES, curl
from infra.tests.program import Inputs, Recorded, Resource, run_program
from moderator.web.routes import ROUTES as TABLE

pytestmark = pytest.mark.slow

ROUTE = "aws:apigatewayv2/route:Route"
CONTRACT = {route.key for route in TABLE}


def test_the_routes_are_the_contracts(every: Recorded) -> None:
    assert {route.inputs["routeKey"] for route in every.all(ROUTE)} == CONTRACT == set(ROUTES)
    assert {route.inputs["target"] for route in every.all(ROUTE)} == {"integrations/clip-id"}


def test_it_is_an_http_api_whose_events_the_service_reads(every: Recorded) -> None:
    """A REST API would cost three and a half times as much."""
    assert every.inputs("aws:apigatewayv2/api:Api")["protocolType"] == "HTTP"
    integration = every.inputs("aws:apigatewayv2/integration:Integration")
    assert (integration["integrationType"], integration["payloadFormatVersion"]) == ("AWS_PROXY", "2.0")


@pytest.mark.parametrize("configuration", ["defaults", "no cache", "SnapStart"])
def test_routes_ask_for_signed_requests_by_default(run: Callable[[str], Recorded], configuration: str) -> None:
    stack = run(configuration)
    assert {route.inputs["authorizationType"] for route in stack.all(ROUTE)} == {"AWS_IAM"}


@pytest.mark.parametrize("configuration", ["jwt", "everything"])
def test_with_jwt_every_route_asks_for_the_issuers_token(run: Callable[[str], Recorded], configuration: str) -> None:
    stack = run(configuration)
    authorizer = stack.inputs("aws:apigatewayv2/authorizer:Authorizer")
    assert authorizer["authorizerType"] == "JWT"
    assert authorizer["identitySources"] == ["$request.header.Authorization"]
    assert authorizer["jwtConfiguration"] == {"issuer": "https://issuer.example.org", "audiences": ["clip"]}
    for route in stack.all(ROUTE):
        assert (route.inputs["authorizationType"], route.inputs["authorizerId"]) == ("JWT", "clip-id")


def guarded(stack: Recorded) -> list[Resource]:
    """The routes beside those that are open with tokens; the others are checked to be open."""
    (open_routes, rest) = (
        [route for route in stack.all(ROUTE) if (route.inputs["routeKey"] in OPEN_ROUTES) == wanted]
        for wanted in (True, False)
    )
    assert [route.inputs["authorizationType"] for route in open_routes] == ["NONE"] * 5
    assert all("authorizerId" not in route.inputs for route in open_routes)
    assert {"POST /classify", "POST /moderate", "GET /policies"} <= {route.inputs["routeKey"] for route in rest}
    return rest


def test_no_picture_is_judged_for_everybody_but_when_asked_for(every: Recorded, run: Callable[[str], Recorded]) -> None:
    """What is open with tokens tells of the API and its health, and judges nothing."""
    is_open = "NONE" in {route.inputs["authorizationType"] for route in every.all(ROUTE) if "POST" in route.name}
    assert is_open == (every is run("open with CORS"))
    assert not [route for route in OPEN_ROUTES if not route.startswith("GET ")]


@pytest.mark.parametrize("configuration", ["token", "platform"])
def test_with_token_a_route_has_the_authorizer_that_looks_where_its_clients_can_put_one(
    run: Callable[[str], Recorded], configuration: str
) -> None:
    stack = run(configuration)
    found = {
        route.inputs["routeKey"]: (route.inputs["authorizationType"], route.inputs["authorizerId"])
        for route in guarded(stack)
    }
    in_query = {route for route, (_, id_) in found.items() if id_ == "clip-authorizer-query-id"}
    assert in_query == {"POST /hooks/pict-rs"}, "pict-rs has no header of its own to set"
    assert {kind for kind, _ in found.values()} == {"CUSTOM"}
    assert {id_ for _, id_ in found.values()} == {"clip-authorizer-query-id", "clip-authorizer-header-id"}


def test_an_authorizers_answer_is_kept_by_the_one_thing_that_it_reads(run: Callable[[str], Recorded]) -> None:
    """All sources must be there, or API Gateway answers 401 itself: two would let nobody in."""
    authorizers = {one.name: one.inputs for one in run("token").all("aws:apigatewayv2/authorizer:Authorizer")}
    assert {name: one["identitySources"] for name, one in authorizers.items()} == {
        "clip-authorizer-header": ["$request.header.Authorization"],
        "clip-authorizer-query": ["$request.querystring.token"],
    }
    for one in authorizers.values():
        assert (one["authorizerType"], one["authorizerPayloadFormatVersion"]) == ("REQUEST", "2.0")
        assert (one["enableSimpleResponses"], one["authorizerResultTtlInSeconds"]) == (True, 300)
        assert one["authorizerUri"] == "invoke-arn-of-clip-authorizer"


def test_nothing_is_sent_to_what_may_not_be_called_yet(every: Recorded) -> None:
    """A change is live at once, and a permission of another alias or authorizer is another one."""
    permission = "aws:lambda/permission:Permission"
    integration = every.one("aws:apigatewayv2/integration:Integration")
    assert f"{permission}::clip" in integration.waits_for
    for route in every.all(ROUTE):
        if route.inputs["authorizationType"] == "CUSTOM":
            place = route.inputs["authorizerId"].removesuffix("-id")
            assert f"{permission}::{place}" in route.waits_for


def test_a_browser_is_told_of_the_page_where_it_can_use_it(every: Recorded, run: Callable[[str], Recorded]) -> None:
    is_open = every.one(ROUTE, "clip-GET /").inputs["authorizationType"] == "NONE"
    assert ("pageUrl" in every.exports) == is_open
    assert run("token").exports["pageUrl"] == "https://api.example.amazonaws.com/"
    assert run("platform").exports["pageUrl"] == "https://clip.example.org/"


def test_a_route_may_ask_for_scopes(run: Callable[[str], Recorded]) -> None:
    jwt = {"auth": "jwt", "jwtIssuer": "https://issuer.example.org", "jwtAudience": ["clip"]}
    scopes = {"POST /moderate": ["moderate", "admin"], "*": ["use"]}
    found = {
        route.inputs["routeKey"]: route.inputs.get("authorizationScopes")
        for route in run_program({**jwt, "jwtScopes": scopes}).all(ROUTE)
    }
    assert found["POST /moderate"] == ["moderate", "admin"]
    assert found["POST /classify"] == ["use"]
    assert found["GET /health"] == ["use"]
    assert not [route for route in run("jwt").all(ROUTE) if "authorizationScopes" in route.inputs]


def test_both_throttles_are_set(every: Recorded) -> None:
    """One alone makes the other 0, and every call is answered 429."""
    limits = every.inputs("aws:apigatewayv2/stage:Stage")["defaultRouteSettings"]
    assert limits == {"throttlingRateLimit": 50, "throttlingBurstLimit": 100}


def test_web_pages_may_call_only_when_their_origin_is_named(every: Recorded, run: Callable[[str], Recorded]) -> None:
    cors: Inputs = every.inputs("aws:apigatewayv2/api:Api").get("corsConfiguration", {})
    if every in (run("open with CORS"), run("everything")):
        assert cors["allowOrigins"] == ["https://example.org"]
        assert cors["allowMethods"] == ["GET", "POST"]
        # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
        assert {"content-type", "authorization", "x-amz-date", "x-amz-security-token"} <= set(cors["allowHeaders"])
    else:
        assert not cors


def test_every_call_is_logged_without_what_was_asked(every: Recorded) -> None:
    log = every.inputs("aws:apigatewayv2/stage:Stage")["accessLogSettings"]
    assert log["destinationArn"].endswith("LogGroup/clip-access")
    assert {"requestId", "status", "ip", "ms"} <= json.loads(log["format"]).keys()
    assert not re.search(r"querystring|requestOverride|\$context\.path", log["format"])


def test_the_access_log_tells_a_tokens_name_where_there_are_tokens(every: Recorded) -> None:
    form = json.loads(every.inputs("aws:apigatewayv2/stage:Stage")["accessLogSettings"]["format"])
    has_tokens = len(every.all("aws:lambda/function:Function")) == 2
    assert form.get("tokenName") == ("$context.authorizer.tokenName" if has_tokens else None)


def test_this_api_alone_may_call_the_function(every: Recorded) -> None:
    permission = every.inputs("aws:lambda/permission:Permission")
    assert permission["principal"] == "apigateway.amazonaws.com"
    assert permission["sourceArn"] == "arn:aws:execute-api:eu-central-1:111122223333:api/*/*"


def test_a_domain_of_ones_own_is_optional_and_speaks_tls_1_2(every: Recorded, run: Callable[[str], Recorded]) -> None:
    domains = every.all("aws:apigatewayv2/domainName:DomainName")
    if every not in (run("everything"), run("platform")):
        assert not domains
        assert every.exports["url"] == "https://api.example.amazonaws.com"
        assert every.exports["domainTarget"] is None
        return
    configuration = domains[0].inputs["domainNameConfiguration"]
    assert configuration["securityPolicy"] == "TLS_1_2"
    assert configuration["certificateArn"] == "arn:aws:acm:eu-central-1:111122223333:certificate/1"
    assert every.inputs("aws:apigatewayv2/apiMapping:ApiMapping")["domainName"] == "clip-id"
    assert every.exports["url"] == "https://clip.example.org"
    assert every.exports["domainTarget"] == "target.amazonaws.com"


def test_the_zones_record_points_at_the_api_and_the_name_that_aws_gives_can_be_off(
    every: Recorded, run: Callable[[str], Recorded]
) -> None:
    api, records = every.inputs("aws:apigatewayv2/api:Api"), every.all("aws:route53/record:Record")
    if every is not run("platform"):
        assert not records
        assert "disableExecuteApiEndpoint" not in api
        return
    (record,) = records
    assert api["disableExecuteApiEndpoint"] is True
    assert (record.inputs["zoneId"], record.inputs["name"], record.inputs["type"]) == (
        "Z0123456789ABC",
        "clip.example.org",
        "A",
    )
    assert record.inputs["aliases"] == [
        {"name": "target.amazonaws.com", "zoneId": "ZAMAZON", "evaluateTargetHealth": False}
    ]


@pytest.mark.parametrize(
    ("auth", "sign_in"),
    [("iam", "--aws-sigv4"), ("token", "Bearer $TOKEN"), ("jwt", "Bearer $TOKEN"), ("none", None)],
)
def test_the_exported_command_signs_in_as_the_api_asks(auth: str, sign_in: str | None) -> None:
    command = curl(auth=auth, url="https://api.example", region="eu-central-1")
    assert ("sigv4" in command, "Bearer" in command) == (auth == "iam", auth in ("token", "jwt"))
    assert sign_in is None or sign_in in command


def test_the_stack_exports_the_command_with_its_own_url(defaults: Recorded) -> None:
    assert defaults.exports["curl"] == curl(auth="iam", url="https://api.example.amazonaws.com", region="eu-central-1")


@pytest.mark.parametrize("session_token", ["IQoJb3JpZ2lu/EXAMPLE+token==", ""])
def test_the_exported_command_is_signed_as_botocore_signs(tmp_path: Path, gateway: Gateway, session_token: str) -> None:
    """Runs the command as a shell would, and computes the signature of what arrived anew."""
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    (tmp_path / "picture.jpg").write_bytes(bytes(range(256)) * 300)
    keys = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "wJalr/EXAMPLE+KEY", "PATH": "/usr/bin:/bin"}
    command = curl(auth="iam", url=gateway.url, region="eu-central-1")
    subprocess.run(
        ["sh", "-c", f"{command} --silent --show-error --fail"],
        cwd=tmp_path,
        env={**keys, "AWS_SESSION_TOKEN": session_token},
        check=True,
        capture_output=True,
    )
    assert gateway.body == (tmp_path / "picture.jpg").read_bytes()
    assert gateway.headers["content-type"] == "image/jpeg"
    authorization = gateway.headers["authorization"]
    signed = re.search(r"SignedHeaders=([^,]+)", authorization)
    assert signed
    assert ("x-amz-security-token" in signed[1]) == bool(session_token)

    request = AWSRequest(method="POST", url=f"{gateway.url}{gateway.path}", data=gateway.body)
    for name in signed[1].split(";"):
        request.headers[name] = gateway.headers[name]
    request.context["timestamp"] = gateway.headers["x-amz-date"]
    signer = SigV4Auth(
        Credentials("AKIDEXAMPLE", "wJalr/EXAMPLE+KEY", session_token or None), "execute-api", "eu-central-1"
    )
    to_sign = signer.string_to_sign(request, signer.canonical_request(request))
    assert authorization.endswith(f"Signature={signer.signature(to_sign, request)}")


class Gateway:
    """Keeps the one request that it is sent."""

    def __init__(self) -> None:
        gateway = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                gateway.path = self.path
                gateway.headers = {name.lower(): value for name, value in self.headers.items()}
                gateway.body = self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Keep the test's output quiet."""

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.path = ""
        self.headers: dict[str, str] = {}
        self.body = b""


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    found = Gateway()
    thread = threading.Thread(target=found.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield found
    found.server.shutdown()
    thread.join()
    found.server.server_close()


def test_throttles_are_settings() -> None:
    stage = run_program({"throttleRate": 5, "throttleBurst": 7}).inputs("aws:apigatewayv2/stage:Stage")
    assert stage["defaultRouteSettings"] == {"throttlingRateLimit": 5, "throttlingBurstLimit": 7}
