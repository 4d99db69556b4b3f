"""The function runs on Graviton, may do little, keeps no secret, and is told all that its settings read."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import fields

import pytest

from infra.config import CONTEXT
from infra.environment import POWERTOOLS_VARIABLES
from infra.tests.program import Recorded, run_program
from moderator.settings import Settings, read_settings

pytestmark = pytest.mark.slow

FUNCTION = "aws:lambda/function:Function"

# Where the image keeps its files is the image's own business.
SET_BY_THE_DOCKERFILE = {"MODEL_DIR", "LABEL_SETS_DIR", "POLICIES_DIR"}
# Without a store their own defaults are right: no address, and nobody to sign in as.
SET_WITH_A_STORE = {"CACHE_URL", "CACHE_CLUSTER"}
SET_WITH_THE_STACKS_OWN = {"CACHE_IAM_USER", "CACHE_IAM_NAME"}
SET_WITH_A_PASSWORD = {"CACHE_CREDENTIALS_ARN", "CACHE_USER"}
SET_WITH_AN_ENDPOINT = {"CACHE_CREDENTIALS_URL"}


def variables(recorded: Recorded) -> dict[str, str]:
    found: dict[str, str] = recorded.inputs(FUNCTION)["environment"]["variables"]
    return found


def test_the_function_runs_the_image_on_graviton(every: Recorded) -> None:
    function = every.inputs(FUNCTION)
    assert function["architectures"] == ["arm64"]
    assert function["packageType"] == "Image"
    assert function["publish"] is True


def test_memory_fits_a_new_account_and_the_time_fits_api_gateway(defaults: Recorded) -> None:
    function = defaults.inputs(FUNCTION)
    assert function["memorySize"] == 1769, "a new account allows 3008 at most"
    assert function["timeout"] == 29, "API Gateway waits for 30 seconds"
    assert "reservedConcurrentExecutions" not in function, "a new account has 10 instances and can reserve none"


def test_settings_reach_the_function(run: Callable[[str], Recorded]) -> None:
    function = run("everything").inputs(FUNCTION)
    assert (function["memorySize"], function["reservedConcurrentExecutions"]) == (3008, 5)
    assert variables(run("everything"))["LOG_LABELS"] == "true"


@pytest.mark.parametrize(("memory", "threads"), [(512, "1"), (1769, "1"), (1770, "2"), (3008, "2"), (10240, "6")])
def test_a_thread_for_each_vcpu_that_the_memory_is_worth(memory: int, threads: str) -> None:
    assert variables(run_program({"model": "demo", "memory": memory}))["THREADS"] == threads


def test_snapstart_is_off_unless_asked_for(every: Recorded, run: Callable[[str], Recorded]) -> None:
    asked = every is run("SnapStart")
    assert every.inputs(FUNCTION).get("snapStart") == ({"applyOn": "PublishedVersions"} if asked else None)


def test_every_variable_is_one_that_the_service_reads(every: Recorded) -> None:
    known = {field.name.upper() for field in fields(Settings)}
    assert set(variables(every)) - known == POWERTOOLS_VARIABLES


def test_every_setting_of_the_service_is_set_by_the_program_or_by_the_image(
    every: Recorded, run: Callable[[str], Recorded]
) -> None:
    expected = {field.name.upper() for field in fields(Settings)} - SET_BY_THE_DOCKERFILE
    if every is run("no cache"):
        expected -= SET_WITH_A_STORE
    if every.all("aws:secretsmanager/secret:Secret"):
        expected -= (
            SET_WITH_THE_STACKS_OWN if every is run("platform") else SET_WITH_THE_STACKS_OWN | SET_WITH_AN_ENDPOINT
        )
    else:
        expected -= SET_WITH_A_PASSWORD | SET_WITH_AN_ENDPOINT
        if every is run("no cache"):
            expected -= SET_WITH_THE_STACKS_OWN
    assert expected == set(variables(every)) - POWERTOOLS_VARIABLES


def test_the_image_sets_the_rest() -> None:
    lines = (CONTEXT / "Dockerfile").read_text(encoding="utf-8").splitlines()
    pairs = [pair for line in lines if line.startswith("ENV ") for pair in line.removeprefix("ENV ").split()]
    assert {pair.split("=")[0] for pair in pairs} == SET_BY_THE_DOCKERFILE | {"ORT_DISABLE_TELEMETRY"}


def test_the_service_accepts_every_value_that_it_is_given(every: Recorded, run: Callable[[str], Recorded]) -> None:
    settings = read_settings(variables(every))
    assert bool(settings.cache_url) == (every is not run("no cache"))
    assert settings.cache_ttl_seconds == 30 * 24 * 3600
    assert settings.cache_retry_seconds == 5


def test_no_variable_holds_a_secret(every: Recorded) -> None:
    for name, value in variables(every).items():
        assert not any(word in name for word in ("PASSWORD", "SECRET", "TOKEN", "KEY"))
        assert "@" not in value, "an address with a password in it"
        assert "a-short-lived-token" not in value


def test_only_rights_to_network_interfaces_name_no_resource(every: Recorded, run: Callable[[str], Recorded]) -> None:
    """And to traces, which know none."""
    wild = [one for one in every.statements() if one["Resource"] == "*" and "xray:" not in str(one["Action"])]
    assert len(wild) == (0 if every in (run("no cache"), run("cache by URL")) else 1)
    for statement in wild:
        assert all(action.startswith("ec2:") for action in statement["Action"])
        assert {action.removeprefix("ec2:") for action in statement["Action"]} == {
            "CreateNetworkInterface",
            "DeleteNetworkInterface",
            "DescribeNetworkInterfaces",
            "DescribeSubnets",
            "AssignPrivateIpAddresses",
            "UnassignPrivateIpAddresses",
        }


def test_every_other_right_names_its_resource_exactly(every: Recorded) -> None:
    named = [one["Resource"] for one in every.statements() if one["Resource"] != "*"]
    arns = [arn for one in named for arn in (one if isinstance(one, list) else [one])]
    # A log group's streams are Lambda's to name, and a bucket's objects its owner's.
    named_by_others = r"LogGroup/clip(-authorizer)?:\*$|:s3:::[a-z.-]+/\*$"
    assert [arn for arn in arns if "*" in re.sub(named_by_others, "", arn)] == []
    assert all(arn.startswith("arn:aws:") for arn in arns)


def test_no_right_is_a_wildcard(every: Recorded) -> None:
    for statement in every.statements():
        assert statement["Effect"] == "Allow"
        actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
        assert not [action for action in actions if "*" in action]


def test_the_function_may_write_its_own_logs_alone(every: Recorded) -> None:
    (statement,) = [one for one in every.statements("clip") if "logs:PutLogEvents" in one["Action"]]
    assert statement["Action"] == ["logs:CreateLogStream", "logs:PutLogEvents"]
    assert statement["Resource"] == "arn:aws:cloudwatch:eu-central-1:111122223333:LogGroup/clip:*"


def test_no_policy_of_aws_is_attached(every: Recorded) -> None:
    assert not every.all("aws:iam/rolePolicyAttachment:RolePolicyAttachment")
    assert not [role for role in every.all("aws:iam/role:Role") if role.inputs.get("managedPolicyArns")]


def test_a_role_can_be_taken_by_its_one_service_alone(every: Recorded) -> None:
    services = {
        role.name: json.loads(role.inputs["assumeRolePolicy"])["Statement"] for role in every.all("aws:iam/role:Role")
    }
    expected = {"clip": "lambda.amazonaws.com", "clip-rewarm": "scheduler.amazonaws.com"}
    expected["clip-authorizer"] = "lambda.amazonaws.com"
    for name, (statement,) in services.items():
        assert statement["Principal"] == {"Service": expected[name]}
        assert statement["Action"] == "sts:AssumeRole"


def test_logs_are_kept_for_a_while_and_not_for_ever(every: Recorded) -> None:
    groups = {
        group.inputs["name"]: group.inputs["retentionInDays"] for group in every.all("aws:cloudwatch/logGroup:LogGroup")
    }
    authorizers = groups.pop("/aws/lambda/clip-video-moderator-dev-authorizer", 30)
    assert groups == {
        "/aws/lambda/clip-video-moderator-dev": authorizers,
        "/aws/vendedlogs/apis/clip-video-moderator-dev": 30,
    }
    assert every.inputs(FUNCTION)["loggingConfig"]["logGroup"] == "/aws/lambda/clip-video-moderator-dev"


def test_the_function_waits_for_its_rights_and_its_log_group(defaults: Recorded) -> None:
    """Its first start writes logs, joins the network and signs in to the store."""
    assert {
        "aws:iam/rolePolicy:RolePolicy::clip-write-logs",
        "aws:iam/rolePolicy:RolePolicy::clip-join-network",
        "aws:iam/rolePolicy:RolePolicy::clip-connect-to-store",
        "aws:cloudwatch/logGroup:LogGroup::clip",
    } <= defaults.one(FUNCTION).waits_for
