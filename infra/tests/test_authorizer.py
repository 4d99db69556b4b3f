"""The authorizer lets in whoever has a token, and learns and tells none."""

from __future__ import annotations

import hashlib
import hmac
import inspect
import json
import os
import subprocess
import sys
from typing import Any

import pytest

from infra.authorizer.authorizer import build_handler
from infra.config import ROOT
from infra.tests.conftest import TOKENS
from infra.tokens import CODE, hashes_of

HASHES = json.loads(hashes_of(TOKENS))
RIGHT = TOKENS["misskey"]


def event(*identity: object, route: str = "POST /classify", query: str = "") -> dict[str, Any]:
    """What API Gateway sends, payload format 2.0.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-lambda-authorizer.html
    """
    method, path = route.split()
    return {
        "version": "2.0",
        "type": "REQUEST",
        "routeArn": f"arn:aws:execute-api:eu-central-1:111122223333:abc123/$default/{method}{path}",
        "identitySource": list(identity),
        "routeKey": route,
        "rawPath": path,
        "rawQueryString": query,
        "headers": {"host": "abc123.execute-api.eu-central-1.amazonaws.com", "content-type": "image/png"},
        "requestContext": {
            "accountId": "111122223333",
            "apiId": "abc123",
            "domainName": "abc123.execute-api.eu-central-1.amazonaws.com",
            "http": {"method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1"},
            "requestId": "id",
            "routeKey": route,
            "stage": "$default",
            "time": "12/Mar/2026:19:03:58 +0000",
            "timeEpoch": 1583348638390,
        },
    }


def ask(*identity: object) -> dict[str, Any]:
    return build_handler(HASHES)(event(*identity), None)


@pytest.mark.parametrize("name", list(TOKENS))
@pytest.mark.parametrize(
    "form", ["Bearer {}", "bearer {}", "BEARER  {}", "{}"], ids=["Bearer", "lower", "upper", "query"]
)
def test_a_known_token_is_let_in_under_its_name(name: str, form: str) -> None:
    """From the header with its scheme, from the query as it is."""
    assert ask(form.format(TOKENS[name])) == {"isAuthorized": True, "context": {"tokenName": name}}


@pytest.mark.parametrize(
    "identity",
    [
        (),
        ("",),
        ("Bearer",),
        ("Bearer ",),
        (f"Basic {RIGHT}",),
        (f"Bearer {RIGHT[:-1]}",),
        (f"Bearer {RIGHT}x",),
        (f"Bearer {RIGHT.upper()}",),
        (f"Bearer {RIGHT} {RIGHT}",),
        (f"{RIGHT},{RIGHT}",),
        (HASHES["misskey"],),
        (f"Bearer {HASHES['misskey']}",),
        ("misskey",),
        ("Bearer \udcff",),
        (f"Bearer {RIGHT}", RIGHT),
        (None,),
        (7,),
    ],
)
def test_anything_else_is_refused(identity: tuple[object, ...]) -> None:
    assert ask(*identity) == {"isAuthorized": False}


def test_a_token_elsewhere_than_where_the_answer_is_kept_under_counts_for_nothing() -> None:
    """Or a right one in the query would let a wrong one in the header in, for as long as answers are kept."""
    asked = event("Bearer wrong", query=f"token={RIGHT}")
    asked["queryStringParameters"] = {"token": RIGHT}
    asked["headers"]["authorization"] = f"Bearer {RIGHT}"
    assert build_handler(HASHES)(asked, None) == {"isAuthorized": False}
    assert build_handler(HASHES)({**asked, "identitySource": None}, None) == {"isAuthorized": False}


def test_every_hash_is_compared_whichever_is_right() -> None:
    """By a comparison whose time says nothing, and always as often: time tells neither a token nor its place."""
    compared: list[bytes] = []

    def counting(given: bytes, known: bytes) -> bool:
        compared.append(known)
        return given == known

    for token in (*TOKENS.values(), "wrong"):
        compared.clear()
        build_handler(HASHES, equal=counting)(event(token), None)
        assert len(compared) == len(TOKENS)
    assert inspect.signature(build_handler).parameters["equal"].default is hmac.compare_digest


def test_the_log_has_neither_tokens_nor_hashes(capsys: pytest.CaptureFixture[str]) -> None:
    ask(RIGHT)
    ask("Bearer a-wrong-one")
    told = "".join(capsys.readouterr())
    assert json.loads(told) == {"message": "refused", "route": "POST /classify"}


@pytest.mark.parametrize(
    ("hashes", "sentence"),
    [({}, "TOKEN_HASHES is empty"), ({"a": "x"}, "'a' with no SHA-256"), ({"a": "00"}, "'a' with no SHA-256")],
)
def test_a_deployment_without_hashes_does_not_start(hashes: dict[str, str], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        build_handler(hashes)


def test_it_starts_alone_as_lambda_starts_it_without_any_package() -> None:
    """The one file, its own folder, no site packages: what the archive holds."""
    program = "import authorizer, json, sys; print(json.dumps(authorizer.handler(json.load(sys.stdin), None)))"
    ended = subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.insert(0, {str((ROOT / CODE).parent)!r}); {program}"],
        env={"PATH": os.environ["PATH"], "TOKEN_HASHES": hashes_of(TOKENS)},
        input=json.dumps(event(f"Bearer {RIGHT}")),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert json.loads(ended.stdout) == {"isAuthorized": True, "context": {"tokenName": "misskey"}}


def test_what_is_handed_to_the_function_is_the_sha_256_of_each_token() -> None:
    expected = {name: hashlib.sha256(token.encode()).hexdigest() for name, token in TOKENS.items()}
    assert json.loads(hashes_of(TOKENS)) == expected
