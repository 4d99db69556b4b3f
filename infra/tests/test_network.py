"""Nothing in the network can be reached from outside, and the function reaches nothing but the store."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from ipaddress import IPv4Network
from itertools import combinations

import pytest

from infra.network import cidr_block
from infra.tests.conftest import EVERYTHING
from infra.tests.conftest import OWN_NETWORK as OWN
from infra.tests.program import Inputs, Recorded, run_program

pytestmark = pytest.mark.slow

CACHE = "aws:elasticache/serverlessCache:ServerlessCache"
FUNCTION = "aws:lambda/function:Function"
MARK = "sg-clipfunction"
OWN_NETWORK: dict[str, list[str]] = {
    key: list(map(str, value)) for key, value in OWN.items() if isinstance(value, list)
}


def test_no_address_is_public(every: Recorded) -> None:
    assert not every.all("aws:ec2/eip:Eip")
    for subnet in every.all("aws:ec2/subnet:Subnet"):
        assert subnet.inputs["mapPublicIpOnLaunch"] is False
        assert "ipv6CidrBlock" not in subnet.inputs


def test_no_way_leads_to_the_internet(every: Recorded) -> None:
    kinds = {resource.type for resource in every.resources}
    ways_out = {"InternetGateway", "NatGateway", "EgressOnlyInternetGateway", "Route", "VpcPeeringConnection"}
    assert not [kind for kind in kinds if kind.startswith("aws:ec2/") and kind.split(":")[-1] in ways_out]


def test_no_rule_names_an_address_only_groups(every: Recorded) -> None:
    text = json.dumps([resource.inputs for resource in every.resources])
    assert "0.0.0.0/0" not in text
    assert "::/0" not in text
    for kind in (
        "securityGroupIngressRule:SecurityGroupIngressRule",
        "securityGroupEgressRule:SecurityGroupEgressRule",
    ):
        for rule in every.all(f"aws:vpc/{kind}"):
            if rule.name == "clip-to-s3":  # AWS' own list of S3's addresses, where buckets are read
                assert not {"cidrIpv4", "cidrIpv6"} & rule.inputs.keys()
                continue
            assert rule.inputs["referencedSecurityGroupId"]
            assert not {"cidrIpv4", "cidrIpv6", "prefixListId"} & rule.inputs.keys()


def test_the_function_may_call_the_store_on_its_two_ports_and_nothing_else_is_allowed(defaults: Recorded) -> None:
    def allowed(kind: str) -> set[tuple[str, str, str, float, float]]:
        return {
            (
                rule.inputs["securityGroupId"],
                rule.inputs["referencedSecurityGroupId"],
                rule.inputs["ipProtocol"],
                rule.inputs["fromPort"],
                rule.inputs["toPort"],
            )
            for rule in defaults.all(kind)
        }

    out = allowed("aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule")
    into = allowed("aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule")
    assert out == {("sg-clipfunction", "sg-clipstore", "tcp", port, port) for port in (6379, 6380)}
    assert into == {("sg-clipstore", "sg-clipfunction", "tcp", port, port) for port in (6379, 6380)}
    assert defaults.inputs("aws:lambda/function:Function")["vpcConfig"]["securityGroupIds"] == ["sg-clipfunction"]
    cache = defaults.inputs("aws:elasticache/serverlessCache:ServerlessCache")
    assert cache["securityGroupIds"] == ["sg-clipstore"]


def test_groups_have_no_rules_of_their_own_beside_the_rules_that_are_resources(defaults: Recorded) -> None:
    """Both at once would undo each other at every `up`."""
    for group in defaults.all("aws:ec2/securityGroup:SecurityGroup"):
        assert not {"ingress", "egress"} & group.inputs.keys()


def test_the_default_group_lets_nothing_through(defaults: Recorded) -> None:
    group = defaults.inputs("aws:ec2/defaultSecurityGroup:DefaultSecurityGroup")
    assert (group["ingress"], group["egress"], group["vpcId"]) == ([], [], "clip-id")


def test_subnets_lie_in_different_zones_two_or_more(run: Callable[[str], Recorded]) -> None:
    for configuration, expected in {
        "defaults": ["euc1-az2", "euc1-az3"],
        "everything": ["euc1-az1", "euc1-az2", "euc1-az3"],
    }.items():
        subnets = sorted(run(configuration).all("aws:ec2/subnet:Subnet"), key=lambda subnet: subnet.name)
        assert [subnet.inputs["availabilityZoneId"] for subnet in subnets] == expected
        assert len({subnet.inputs["cidrBlock"] for subnet in subnets}) == len(expected)
        used = run(configuration).inputs("aws:lambda/function:Function")["vpcConfig"]["subnetIds"]
        assert used == [f"subnet-{subnet.name.replace('-', '')}" for subnet in subnets]


def test_destroying_waits_for_lambdas_network_interfaces(defaults: Recorded) -> None:
    slow = [*defaults.all("aws:ec2/subnet:Subnet"), *defaults.all("aws:ec2/securityGroup:SecurityGroup")]
    assert len(slow) == 4
    assert {resource.delete_timeout for resource in slow} == {"45m"}
    function = defaults.inputs("aws:lambda/function:Function")
    assert function["replaceSecurityGroupsOnDestroy"] is True
    assert function["replacementSecurityGroupIds"] == ["sg-clipdefault"], "the group that lets nothing through"


def test_the_right_to_take_interfaces_away_outlives_the_places_where_they_are(defaults: Recorded) -> None:
    """Lambda deletes them in the role's name, and what is made first is deleted last."""
    slow = [*defaults.all("aws:ec2/subnet:Subnet"), *defaults.all("aws:ec2/securityGroup:SecurityGroup")]
    assert all("aws:iam/rolePolicy:RolePolicy::clip-join-network" in resource.waits_for for resource in slow)
    assert "aws:iam/role:Role::clip" in defaults.one("aws:iam/rolePolicy:RolePolicy", "clip-join-network").waits_for


@pytest.mark.parametrize("configuration", ["own network", "platform"])
def test_in_subnets_of_ones_own_it_outlives_lambdas_interfaces_too(
    run: Callable[[str], Recorded], configuration: str
) -> None:
    """Each interface is in a group that can be deleted only when they are gone, and is deleted before the right."""
    stack = run(configuration)
    group = stack.one("aws:ec2/securityGroup:SecurityGroup", "clip-function")
    assert MARK in stack.inputs(FUNCTION)["vpcConfig"]["securityGroupIds"]
    assert group.key in stack.one(FUNCTION, "clip").waits_for
    assert "aws:iam/rolePolicy:RolePolicy::clip-join-network" in group.waits_for
    assert group.delete_timeout == "45m"
    rules = [one.inputs for one in stack.resources if one.type.startswith("aws:vpc/")]
    assert not [rule for rule in rules if rule["securityGroupId"] == MARK], "it lets nothing through"


def test_without_a_cache_there_is_no_network_at_all(run: Callable[[str], Recorded]) -> None:
    stack = run("no cache")
    assert not [r.key for r in stack.resources if r.type.startswith(("aws:ec2/", "aws:vpc/", "aws:elasticache/"))]
    assert "vpcConfig" not in stack.inputs("aws:lambda/function:Function")
    assert "replaceSecurityGroupsOnDestroy" not in stack.inputs("aws:lambda/function:Function")


def test_a_subnets_block_is_its_zones_own(run: Callable[[str], Recorded]) -> None:
    """Pulumi makes the subnet in another zone first: with the same block AWS would refuse it."""
    for configuration in ("defaults", "everything"):
        blocks = {
            subnet.inputs["availabilityZoneId"]: (subnet.name, subnet.inputs["cidrBlock"])
            for subnet in run(configuration).all("aws:ec2/subnet:Subnet")
        }
        for zone_id, (name, block) in blocks.items():
            assert (name, block) == (f"clip-private-{zone_id}", f"10.0.{zone_id[-1]}.0/24")


def test_the_same_zones_in_another_order_are_the_same_stack(run: Callable[[str], Recorded]) -> None:
    other = run_program({**EVERYTHING, "zoneIds": ["euc1-az3", "euc1-az1", "euc1-az2"]})
    assert as_asked(other) == as_asked(run("everything"))
    named = run_program({"zoneIds": ["euc1-az3", "euc1-az2"]})
    assert as_asked(named) == as_asked(run("defaults")), "those that are taken by default"


def as_asked(recorded: Recorded) -> dict[str, Inputs]:
    return {resource.key: resource.inputs for resource in recorded.resources}


def test_an_impaired_zone_does_not_move_the_default_choice(defaults: Recorded) -> None:
    """A filter by state would leave it out."""
    assert defaults.calls["aws:index/getAvailabilityZones:getAvailabilityZones"] == {
        "filters": [{"name": "opt-in-status", "values": ["opt-in-not-required"]}]
    }


def test_every_rule_says_what_it_is_for(defaults: Recorded) -> None:
    rules = [
        rule
        for kind in (
            "securityGroupIngressRule:SecurityGroupIngressRule",
            "securityGroupEgressRule:SecurityGroupEgressRule",
        )
        for rule in defaults.all(f"aws:vpc/{kind}")
    ]
    assert {rule.inputs["description"] for rule in rules} == {
        "To the label store, to write and read",
        "To the label store, to read",
        "From the function, to write and read",
        "From the function, to read",
    }


def test_another_block_of_addresses_is_a_setting(run: Callable[[str], Recorded]) -> None:
    stack = run("own CIDR")
    assert stack.inputs("aws:ec2/vpc:Vpc")["cidrBlock"] == "172.20.16.0/20"
    blocks = sorted(subnet.inputs["cidrBlock"] for subnet in stack.all("aws:ec2/subnet:Subnet"))
    assert blocks == ["172.20.18.0/24", "172.20.19.0/24"]
    # Another network is another store, which is made before the old one is deleted.
    assert stack.inputs(CACHE)["name"] not in {run("defaults").inputs(CACHE)["name"], "clip-video-moderator-dev-"}


@pytest.mark.parametrize("network", ["10.0.0.0/16", "192.168.0.0/16", "10.1.0.0/20", "10.1.4.0/22", "10.9.2.0/23"])
def test_every_zones_block_is_in_the_network_and_in_no_other_zones(network: str) -> None:
    """AWS takes subnets of /28 at least; those of zones 1 to 9 lie beside each other."""
    blocks = [IPv4Network(cidr_block(network, f"euc1-az{zone}")) for zone in range(1, 10)]
    assert all(block.subnet_of(IPv4Network(network)) and block.prefixlen <= 28 for block in blocks)
    assert not any(one.overlaps(other) for one, other in combinations(blocks, 2))


def test_in_subnets_of_ones_own_the_stack_makes_a_group_for_its_store_and_nothing_else(
    run: Callable[[str], Recorded],
) -> None:
    stack = run("own network")
    subnets, groups = OWN_NETWORK["subnetIds"], OWN_NETWORK["securityGroupIds"]
    made = {one.type.split(":")[-1] for one in stack.resources if one.type.startswith(("aws:ec2/", "aws:vpc/"))}
    assert made == {"SecurityGroup", "SecurityGroupIngressRule"}, "theirs are not touched"
    assert stack.inputs(FUNCTION)["vpcConfig"] == {"subnetIds": subnets, "securityGroupIds": [*groups, MARK]}
    assert not {"replaceSecurityGroupsOnDestroy", "replacementSecurityGroupIds"} & stack.inputs(FUNCTION).keys()
    assert (stack.inputs(CACHE)["subnetIds"], stack.inputs(CACHE)["securityGroupIds"]) == (subnets, ["sg-clipstore"])
    for group in stack.all("aws:ec2/securityGroup:SecurityGroup"):
        assert group.inputs["vpcId"] == "vpc-0123456789abcdef0"
    rules = stack.all("aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule")
    assert {rule.inputs["fromPort"] for rule in rules} == {6379, 6380}
    assert {rule.inputs["referencedSecurityGroupId"] for rule in rules} == set(OWN_NETWORK["securityGroupIds"])


def test_other_subnets_hold_a_store_of_another_name(run: Callable[[str], Recorded]) -> None:
    other = {**OWN_NETWORK, "subnetIds": ["subnet-0123456789abcdef1", "subnet-0123456789abcdef2"]}
    turned = {**OWN_NETWORK, "subnetIds": list(reversed(list(OWN_NETWORK["subnetIds"])))}
    names = [stack.inputs(CACHE)["name"] for stack in (run("own network"), run_program(turned), run_program(other))]
    assert names[0] == names[1] != names[2]
    assert all(re.fullmatch(r"clip-video-moderator-dev-[a-z][a-z0-9]{2}", name) for name in names)


def test_the_way_to_secrets_manager_is_for_the_function_and_its_one_secret(run: Callable[[str], Recorded]) -> None:
    stack = run("platform")
    endpoint = stack.inputs("aws:ec2/vpcEndpoint:VpcEndpoint")
    assert endpoint["serviceName"] == "com.amazonaws.eu-central-1.secretsmanager"
    assert endpoint["privateDnsEnabled"] is False, "it would send everybody in the network this way"
    assert (endpoint["subnetIds"], endpoint["securityGroupIds"]) == (OWN_NETWORK["subnetIds"], ["sg-clipendpoint"])
    (statement,) = json.loads(endpoint["policy"])["Statement"]
    assert statement["Action"] == "secretsmanager:GetSecretValue"
    assert statement["Resource"].startswith("arn:aws:secretsmanager:")
    (rule,) = stack.all("aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule")
    assert (rule.inputs["fromPort"], rule.inputs["toPort"], rule.inputs["ipProtocol"]) == (443, 443, "tcp")
    assert rule.inputs["referencedSecurityGroupId"] == "sg-0123456789abcdef0"


def test_no_way_to_secrets_manager_is_made_and_paid_for_unless_asked_for(
    every: Recorded, run: Callable[[str], Recorded]
) -> None:
    endpoints = every.all("aws:ec2/vpcEndpoint:VpcEndpoint")
    paid_for = [one for one in endpoints if one.inputs["vpcEndpointType"] != "Gateway"]
    assert bool(paid_for) == (every is run("platform"))


def test_a_function_without_a_store_may_stand_in_subnets_of_ones_own() -> None:
    stack = run_program({"cache": "none", **OWN_NETWORK})
    assert stack.inputs(FUNCTION)["vpcConfig"]["subnetIds"] == OWN_NETWORK["subnetIds"]
    assert [group.name for group in stack.all("aws:ec2/securityGroup:SecurityGroup")] == ["clip-function"]
