"""What the account asks of all that is made in it holds for all of it, and is asked only where it is set."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from infra.tests.conftest import BOUNDARY, BUCKET_KEY, KEY
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


ROLES = {"clip", "clip-rewarm", "clip-authorizer"}
OF_JOBS = {"clip-jobs", "clip-jobs-states"}


@pytest.mark.parametrize("configuration", ["platform", "platform with jobs"])
@pytest.mark.parametrize("type_", list(KEPT))
def test_everything_that_is_kept_is_encrypted_with_the_accounts_key(
    run: Callable[[str], Recorded], type_: str, configuration: str
) -> None:
    name, value = KEPT[type_]
    found = run(configuration).all(type_)
    assert found
    assert [one.inputs[name] for one in found] == [value] * len(found)


def test_the_log_groups_of_jobs_are_among_them(run: Callable[[str], Recorded]) -> None:
    groups = {one.name for one in run("platform with jobs").all("aws:cloudwatch/logGroup:LogGroup")}
    assert groups > OF_JOBS


def test_what_was_judged_is_encrypted_with_it_too(run: Callable[[str], Recorded]) -> None:
    kind = "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"
    (rule,) = run("platform with jobs").inputs(kind, "clip-jobs-results")["rules"]
    assert rule["applyServerSideEncryptionByDefault"] == {"sseAlgorithm": "aws:kms", "kmsMasterKeyId": KEY}
    assert rule["bucketKeyEnabled"] is True
    (rule,) = run("jobs").inputs(kind, "clip-jobs-results")["rules"]
    assert rule["applyServerSideEncryptionByDefault"] == {"sseAlgorithm": "AES256"}


def test_the_keys_of_buckets_may_be_used_by_s3_alone_and_by_those_who_read_or_write_there(
    run: Callable[[str], Recorded],
) -> None:
    stack = run("platform with jobs")
    read, write = f"kms:Decrypt on ['{BUCKET_KEY}']", f"kms:Decrypt kms:GenerateDataKey on {KEY}"
    # What maps did is written in parts, which S3 reads again: `iam-policies-eg-dist-map` asks for all three.
    in_parts = f"kms:Decrypt kms:Encrypt kms:GenerateDataKey on {KEY}"
    for role, expected in {"clip": [read], "clip-jobs": [read, write], "clip-jobs-states": [read, in_parts]}.items():
        by_s3 = [one for one in stack.statements(role) if "kms:ViaService" in json.dumps(one)]
        assert sorted(f"{' '.join(one['Action'])} on {one['Resource']}" for one in by_s3) == sorted(expected)
        for one in by_s3:
            assert one["Condition"] == {"StringEquals": {"kms:ViaService": "s3.eu-central-1.amazonaws.com"}}
    assert not [one for one in run("jobs and a stream").statements() if "kms:" in json.dumps(one["Action"])]


@pytest.mark.parametrize(("configuration", "names"), [("platform", ROLES), ("platform with jobs", ROLES | OF_JOBS)])
def test_every_role_has_the_bound_and_the_path(
    run: Callable[[str], Recorded], configuration: str, names: set[str]
) -> None:
    roles = run(configuration).all("aws:iam/role:Role")
    assert {role.name for role in roles} == names
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
