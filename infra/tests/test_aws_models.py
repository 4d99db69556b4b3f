"""Every resource is one that AWS' own models of its services allow, in every configuration."""

from __future__ import annotations

from typing import Any

import pulumi
import pytest

from infra.tests.aws_calls import CALLS, MADE_OTHERWISE
from infra.tests.aws_models import faults
from infra.tests.conftest import STREAM, TOKENS
from infra.tests.program import PROJECT, Recorded, run_program

pytestmark = pytest.mark.slow


def refused(stack: Recorded) -> list[str]:
    """What AWS' models say against the calls that would make these resources."""
    return [
        f"{resource.key}: {fault}"
        for resource in stack.resources
        if resource.type not in MADE_OTHERWISE
        for call in [CALLS[resource.type]]
        for fault in faults(call.service, call.operation, call.made_of(resource.name, resource.inputs))
    ]


def test_every_resource_is_one_that_aws_allows(every: Recorded) -> None:
    assert refused(every) == []


@pytest.mark.parametrize(
    ("settings", "longest"),
    [
        ({}, 36),
        ({"cache": "none"}, 64),
        ({**STREAM, "cache": "none"}, 59),
        ({"cache": "none", "auth": "token", "authTokens": TOKENS}, 53),
    ],
    ids=["store", "no store", "jobs", "token"],
)
def test_the_longest_name_that_a_stack_may_have_is_one_that_aws_allows(
    settings: dict[str, object], longest: int
) -> None:
    room = longest - len(f"{PROJECT}-")
    stack = run_program(settings, stack="a" * room)
    assert refused(stack) == []
    # Which the model does not say: it counts an ARN's characters.
    # https://docs.aws.amazon.com/lambda/latest/api/API_CreateFunction.html
    functions = [resource.inputs["name"] for resource in stack.all("aws:lambda/function:Function")]
    assert max(map(len, functions)) <= 64
    with pytest.raises(pulumi.RunError, match=rf"{longest} characters"):
        run_program(settings, stack="a" * (room + 1))


FUNCTION: dict[str, Any] = {"functionName": "f", "role": "arn:aws:iam::111122223333:role/r", "code": {}}


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"memorySze": 1769}, "CreateFunction has no memorySze"),
        ({"functionName": None}, "CreateFunction lacks FunctionName"),
        ({"memorySize": 64}, "CreateFunction.MemorySize is 64: it must be 128 at least"),
        ({"memorySize": 1769.5}, "CreateFunction.MemorySize must be whole"),
        ({"memorySize": "1769"}, "CreateFunction.MemorySize must be a number"),
        ({"description": "x" * 257}, "CreateFunction.Description is 257: it must be 256 at most"),
        ({"packageType": "image"}, "CreateFunction.PackageType is 'image': it must be one of"),
        ({"role": "clip"}, "CreateFunction.Role is 'clip': it must match"),
        ({"publish": "yes"}, "CreateFunction.Publish must be true or false"),
        ({"architectures": "arm64"}, "CreateFunction.Architectures must be a list"),
        ({"architectures": ["arm"]}, "CreateFunction.Architectures[0] is 'arm': it must be one of"),
        ({"vpcConfig": {"subnetId": "a"}}, "CreateFunction.VpcConfig has no subnetId"),
        ({"environment": {"variables": {"a b": "c"}}}, "CreateFunction.Environment.Variables 'a b' is 'a b'"),
    ],
)
def test_what_aws_does_not_allow_is_a_fault(change: dict[str, Any], fault: str) -> None:
    assert faults("lambda", "CreateFunction", FUNCTION) == []
    given = {key: value for key, value in {**FUNCTION, **change}.items() if value is not None}
    (found,) = faults("lambda", "CreateFunction", given)
    assert found.startswith(fault)
