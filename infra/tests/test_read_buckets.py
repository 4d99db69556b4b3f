"""Buckets that the function may read: exactly the named ones, and a way to them that lets nothing else through."""

from __future__ import annotations

import json
from collections.abc import Callable

import pulumi
import pytest

from infra.tests.conftest import READ_BUCKETS
from infra.tests.program import Recorded, run_program

pytestmark = pytest.mark.slow

READ = {
    "Effect": "Allow",
    "Action": ["s3:GetObject", "s3:GetObjectVersion"],
    "Resource": ["arn:aws:s3:::pictures.example/*", "arn:aws:s3:::more-pictures/*"],
}


def test_the_role_may_read_their_objects_and_nothing_else_of_s3(run: Callable[[str], Recorded]) -> None:
    stack = run("read buckets")
    of_s3 = [statement for statement in stack.statements() if "s3:" in json.dumps(statement)]
    assert of_s3 == [READ]
    assert stack.inputs("aws:lambda/function:Function")["environment"]["variables"]["READ_BUCKETS"] == (
        "pictures.example more-pictures"
    )


def test_the_private_network_has_a_way_for_them_alone(run: Callable[[str], Recorded]) -> None:
    stack = run("read buckets")
    endpoint = stack.inputs("aws:ec2/vpcEndpoint:VpcEndpoint", "clip-s3")
    assert endpoint["vpcEndpointType"] == "Gateway"
    assert endpoint["serviceName"] == "com.amazonaws.eu-central-1.s3"
    assert endpoint["routeTableIds"] == ["rtb-0123456789abcdef0"]
    assert json.loads(endpoint["policy"])["Statement"] == [{"Principal": "*", **READ}]
    rule = stack.inputs("aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule", "clip-to-s3")
    assert (rule["prefixListId"], rule["fromPort"], rule["toPort"]) == ("pl-0123456789abcdef0", 443, 443)
    assert "cidrIpv4" not in rule


def test_outside_a_network_no_way_is_needed() -> None:
    assert run_program({**READ_BUCKETS, "cache": "none"}).all("aws:ec2/vpcEndpoint:VpcEndpoint") == []


def test_nothing_of_it_is_there_by_default(defaults: Recorded) -> None:
    assert "s3:" not in json.dumps(defaults.statements())
    assert defaults.all("aws:ec2/vpcEndpoint:VpcEndpoint") == []


def test_an_address_is_no_name() -> None:
    with pytest.raises(pulumi.RunError, match="readBuckets has 's3://pictures': it must be the name of a bucket"):
        run_program({"readBuckets": ["s3://pictures"]})
