"""What the account asks of all that is made in it holds for all of it, and is asked only where it is set."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from infra.tests.conftest import BOUNDARY, KEY
from infra.tests.program import Recorded, run_program

pytestmark = pytest.mark.slow

# By resource type, what is set there.
KEPT = {
    "aws:cloudwatch/logGroup:LogGroup": ("kmsKeyId", KEY),
    "aws:ecr/repository:Repository": ("encryptionConfigurations", [{"encryptionType": "KMS", "kmsKey": KEY}]),
    "aws:lambda/function:Function": ("kmsKeyArn", KEY),
    "aws:secretsmanager/secret:Secret": ("kmsKeyId", KEY),
    "aws:sns/topic:Topic": ("kmsMasterKeyId", KEY),
}


@pytest.mark.parametrize("type_", list(KEPT))
def test_everything_that_is_kept_is_encrypted_with_the_accounts_key(run: Callable[[str], Recorded], type_: str) -> None:
    name, value = KEPT[type_]
    found = run("platform").all(type_)
    assert found
    assert [one.inputs[name] for one in found] == [value] * len(found)


def test_every_role_has_the_bound_and_the_path(run: Callable[[str], Recorded]) -> None:
    roles = run("platform").all("aws:iam/role:Role")
    assert {role.name for role in roles} == {"clip", "clip-rewarm", "clip-authorizer"}
    for role in roles:
        assert (role.inputs["permissionsBoundary"], role.inputs["path"]) == (BOUNDARY, "/teams/moderation/")


def test_neither_is_asked_by_default(every: Recorded, run: Callable[[str], Recorded]) -> None:
    if every is run("platform"):
        pytest.skip("asks for all")
    assert not [one.key for one in every.resources if one.type in KEPT and KEPT[one.type][0] in one.inputs]
    assert not [role for role in every.all("aws:iam/role:Role") if {"path", "permissionsBoundary"} & role.inputs.keys()]


def test_calls_are_traced_only_when_asked_for(every: Recorded, run: Callable[[str], Recorded]) -> None:
    """Said also where it is off: the provider takes nothing for no change, and X-Ray would stay on."""
    traced = every.one("aws:lambda/function:Function", "clip").inputs["tracingConfig"]
    rights = [one for one in every.statements() if "xray:PutTraceSegments" in one["Action"]]
    if every is run("platform"):
        assert traced == {"mode": "Active"}
        assert [one["Action"] for one in rights] == [["xray:PutTraceSegments", "xray:PutTelemetryRecords"]]
    else:
        assert (traced, rights) == ({"mode": "PassThrough"}, [])


def test_one_may_be_asked_without_the_other() -> None:
    role = run_program({"iamPath": "/teams/"}).inputs("aws:iam/role:Role")
    assert (role["path"], "permissionsBoundary" in role) == ("/teams/", False)
