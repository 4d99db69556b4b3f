"""What is a secret in the stack's file is one everywhere: in the state, the variables, the log."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from infra.tests.conftest import KEY, PASSWORD, TOKENS
from infra.tests.program import Recorded, run_program
from infra.tokens import hashes_of

pytestmark = pytest.mark.slow

FUNCTION = "aws:lambda/function:Function"
SECRETS = [PASSWORD, *TOKENS.values()]


def test_no_secret_is_in_the_clear_in_what_pulumi_keeps_and_shows(every: Recorded) -> None:
    text = json.dumps([[one.shown for one in every.resources], every.exports, every.calls])
    assert [secret for secret in SECRETS if secret in text] == []


def test_the_test_above_can_fail(run: Callable[[str], Recorded]) -> None:
    """The password goes to Secrets Manager, so it is there, and only Pulumi's mark hides it."""
    version = run("cache by URL").one("aws:secretsmanager/secretVersion:SecretVersion")
    assert (version.inputs["secretString"], version.shown["secretString"]) == (PASSWORD, "[secret]")


@pytest.mark.parametrize("configuration", ["token", "platform"])
def test_the_authorizer_knows_hashes_alone_and_these_are_a_secret_too(
    run: Callable[[str], Recorded], configuration: str
) -> None:
    authorizer = run(configuration).one(FUNCTION, "clip-authorizer")
    assert authorizer.inputs["environment"] == {"variables": {"TOKEN_HASHES": hashes_of(TOKENS)}}
    assert "[secret]" in json.dumps(authorizer.shown["environment"])
    everything_else = json.dumps(
        [one.inputs for one in run(configuration).resources if "SecretVersion" not in one.type]
    )
    assert not [secret for secret in SECRETS if secret in everything_else], "not even where Pulumi would hide it"


def test_the_authorizer_is_a_small_function_of_its_own_that_may_do_nothing_but_log(
    run: Callable[[str], Recorded],
) -> None:
    stack = run("token")
    function = stack.one(FUNCTION, "clip-authorizer").inputs
    assert (function["runtime"], function["architectures"], function["memorySize"]) == ("python3.13", ["arm64"], 128)
    assert (function["handler"], function["code"]) == (
        "authorizer.handler",
        {"authorizer.py": "infra/authorizer/authorizer.py"},
    )
    assert "vpcConfig" not in function
    (statement,) = stack.statements("clip-authorizer")
    assert statement["Action"] == ["logs:CreateLogStream", "logs:PutLogEvents"]
    permissions = {
        one.name: (one.inputs["function"], one.inputs["sourceArn"])
        for one in stack.all("aws:lambda/permission:Permission")
        if one.name != "clip"
    }
    api = "arn:aws:execute-api:eu-central-1:111122223333:api"
    assert permissions == {
        f"clip-authorizer-{place}": (
            "clip-video-moderator-dev-authorizer",
            f"{api}/authorizers/clip-authorizer-{place}-id",
        )
        for place in ("header", "query")
    }, "this API alone may ask it"


def test_the_function_reads_the_password_from_its_secret_and_waits_until_it_is_there(
    run: Callable[[str], Recorded],
) -> None:
    stack = run("platform")
    arn = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:clip-store-AbCdEf"
    variables = stack.inputs(FUNCTION)["environment"]["variables"]
    assert (variables["CACHE_CREDENTIALS_ARN"], variables["CACHE_USER"]) == (arn, "clip")
    assert variables["CACHE_CREDENTIALS_URL"] == "https://vpce-1.secretsmanager.eu-central-1.vpce.amazonaws.com"
    (read,) = [one for one in stack.statements("clip") if one["Action"] == "secretsmanager:GetSecretValue"]
    assert read["Resource"] == arn
    (decrypt,) = [one for one in stack.statements("clip") if one["Action"] == "kms:Decrypt"]
    assert decrypt["Resource"] == KEY
    assert decrypt["Condition"] == {"StringEquals": {"kms:EncryptionContext:SecretARN": arn}}
    assert {
        "aws:secretsmanager/secretVersion:SecretVersion::clip-store",
        "aws:iam/rolePolicy:RolePolicy::clip-read-password",
        "aws:iam/rolePolicy:RolePolicy::clip-decrypt-password",
    } <= stack.one(FUNCTION, "clip").waits_for


def test_a_secret_of_the_accounts_own_is_only_named() -> None:
    arn = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:theirs-AbCdEf"
    stack = run_program({"cache": "url", "cacheUrl": "redis://cache.example.org", "cachePasswordArn": arn})
    assert not [one.key for one in stack.resources if one.type.startswith("aws:secretsmanager/")]
    variables = stack.inputs(FUNCTION)["environment"]["variables"]
    assert variables["CACHE_CREDENTIALS_ARN"] == arn
    assert stack.exports["cacheEndpoint"] == "cache.example.org:6379"


def test_a_store_that_asks_for_no_password_needs_no_right() -> None:
    stack = run_program({"cache": "url", "cacheUrl": "redis://cache.example.org:6380"})
    variables = stack.inputs(FUNCTION)["environment"]["variables"]
    assert not [name for name in variables if "CREDENTIALS" in name or "IAM" in name]
    assert [one["Action"] for one in stack.statements("clip")] == [["logs:CreateLogStream", "logs:PutLogEvents"]]
