"""A private network: no internet gateway, no NAT, no public address, and only one path, from the function to the store.

Lambda's logs, its image and the store's IAM tokens need no endpoint: the first two do not pass through the network, and
the token is signed inside the function.
"""

from __future__ import annotations

import hashlib
import string
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network

import pulumi
import pulumi_aws as aws

from infra.role import FunctionRole

DEFAULT_CIDR = "10.0.0.0/16"

# https://docs.aws.amazon.com/AmazonElastiCache/latest/dg/set-up.html
STORE_PORTS = {6379: "to write and read", 6380: "to read"}

# Lambda gives its network interfaces back slowly: 20 to 45 minutes after the function is gone.
SLOW_DELETE = pulumi.CustomTimeouts(delete="45m")

# Lambda asks for these before it knows the interface, and describing takes no narrower resource.
# https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html#configuration-vpc-permissions
_JOIN = {
    "Action": [
        "ec2:CreateNetworkInterface",
        "ec2:DeleteNetworkInterface",
        "ec2:DescribeNetworkInterfaces",
        "ec2:DescribeSubnets",
        "ec2:AssignPrivateIpAddresses",
        "ec2:UnassignPrivateIpAddresses",
    ],
    "Resource": "*",
}


@dataclass(frozen=True, kw_only=True)
class NetworkArgs:
    """What the network is made from; without `zone_ids` it takes the region's first two zones.

    `joining` are the rights of those who join it (`allow_joining`).
    """

    zone_ids: Sequence[str]
    joining: Sequence[aws.iam.RolePolicy]
    # Private addresses, /16 to /22.
    cidr: str = DEFAULT_CIDR


class Network(pulumi.ComponentResource):
    """Offers `zone_ids` and `subnet_ids`, in the same order, the groups' ids, and `place`, which names where it is."""

    def __init__(self, name: str, args: NetworkArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("clip:infra:Network", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        # Made after the rights, and so deleted before them: Lambda takes its interfaces away in the role's name, some
        # time after the function is gone. https://repost.aws/knowledge-center/lambda-eni-find-delete
        slow = pulumi.ResourceOptions(parent=self, custom_timeouts=SLOW_DELETE, depends_on=list(args.joining))

        self._vpc = aws.ec2.Vpc(
            name,
            cidr_block=args.cidr,
            # The store's name is answered by the network's own resolver.
            enable_dns_support=True,
            enable_dns_hostnames=True,
            opts=child,
        )
        self.vpc_id = self._vpc.id
        self.route_table_id = self._vpc.main_route_table_id  # of all subnets, for they have none of their own
        # AWS makes this group with rules that let everything through; adopted without rules it lets nothing through.
        self.default_group_id = aws.ec2.DefaultSecurityGroup(
            f"{name}-default", vpc_id=self._vpc.id, ingress=[], egress=[], opts=child
        ).id

        self.zone_ids = sorted(args.zone_ids or _first_zones(self))
        self.subnet_ids = [
            aws.ec2.Subnet(
                f"{name}-private-{zone_id}",
                vpc_id=self._vpc.id,
                cidr_block=cidr_block(args.cidr, zone_id),
                availability_zone_id=zone_id,
                map_public_ip_on_launch=False,
                opts=slow,
            ).id
            for zone_id in self.zone_ids
        ]

        numbers = zone_numbers(self.zone_ids)
        self.place = numbers if args.cidr == DEFAULT_CIDR else short_name(args.cidr, numbers)

        self.function_group_id = self._group(f"{name}-function", "The function: may call the label store", slow)
        self.function_group_ids: list[pulumi.Input[str]] = [self.function_group_id]
        self.store_group_id = self._group(f"{name}-store", "The label store: may be called by the function", slow)
        for port, use in STORE_PORTS.items():
            aws.vpc.SecurityGroupEgressRule(
                f"{name}-to-store-{port}",
                security_group_id=self.function_group_id,
                referenced_security_group_id=self.store_group_id,
                ip_protocol="tcp",
                from_port=port,
                to_port=port,
                description=f"To the label store, {use}",
                opts=child,
            )
            aws.vpc.SecurityGroupIngressRule(
                f"{name}-from-function-{port}",
                security_group_id=self.store_group_id,
                referenced_security_group_id=self.function_group_id,
                ip_protocol="tcp",
                from_port=port,
                to_port=port,
                description=f"From the function, {use}",
                opts=child,
            )
        self.register_outputs({})

    def _group(self, name: str, description: str, opts: pulumi.ResourceOptions) -> pulumi.Output[str]:
        # Rules are resources of their own: given here too, the two would undo each other at every `up`. The provider
        # takes away the rule, which AWS adds to each new group, that lets everything out.
        return aws.ec2.SecurityGroup(name, vpc_id=self._vpc.id, description=description, opts=opts).id


def allow_joining(role: FunctionRole) -> aws.iam.RolePolicy:
    """Let the role's function have interfaces in a network; given before the network is made."""
    return role.allow("join-network", _JOIN, parent=role)


def _first_zones(parent: pulumi.Resource) -> list[str]:
    """Return the ids of the region's first two zones by name.

    Impaired zones count: a zone that fails for an hour must not move the store and the function out of it.
    """
    # Local zones and zones that the account never asked for can hold neither Lambda nor the store.
    zones = aws.get_availability_zones(
        filters=[aws.GetAvailabilityZonesFilterArgs(name="opt-in-status", values=["opt-in-not-required"])],
        opts=pulumi.InvokeOptions(parent=parent),
    )
    by_name = sorted(zip(zones.names, zones.zone_ids, strict=True))
    return [zone_id for _, zone_id in by_name[:2]]


def cidr_block(network: str, zone_id: str) -> str:
    """Return the zone's own block: subnets of other zones are made before those that they replace are deleted."""
    whole = IPv4Network(network)
    # 251 addresses where there are enough; AWS numbers the zones of a region from 1.
    blocks = list(whole.subnets(new_prefix=max(24, whole.prefixlen + 4)))
    return str(blocks[int(zone_id.rpartition("-az")[2])])


def zone_numbers(zone_ids: Sequence[str]) -> str:
    """Return what tells a region's zones apart: of `euc1-az2` and `euc1-az3`, `23`."""
    return "".join(sorted(zone_id.rpartition("-az")[2] for zone_id in zone_ids))


def short_name(*words: str) -> str:
    """Return three characters for a place that zones alone do not name: no digits only, as those of zones are."""
    number = int.from_bytes(hashlib.sha256("\n".join(words).encode()).digest()[:8], "big")
    characters = string.ascii_lowercase + string.digits
    return characters[number % 26] + characters[number // 26 % 36] + characters[number // 936 % 36]
