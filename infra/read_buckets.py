"""Lets the function read objects of the account's own buckets, and gives its private network a way to them.

The way is a gateway endpoint, which costs nothing and lets through what these buckets are asked for, nothing else. A
network of the account's own has whatever way to S3 its owner gives it.
https://docs.aws.amazon.com/vpc/latest/privatelink/vpc-endpoints-s3.html
"""

from __future__ import annotations

from collections.abc import Sequence

import pulumi
import pulumi_aws as aws

from infra.network import Network
from infra.role import FunctionRole


def allow_reading(role: FunctionRole, buckets: Sequence[str]) -> aws.iam.RolePolicy:
    """Let the role's function read the objects of these buckets, and not list them."""
    return role.allow("read-buckets", _read(buckets), parent=role)


def way_to_s3(name: str, network: Network, region: pulumi.Input[str], buckets: Sequence[str]) -> aws.ec2.VpcEndpoint:
    """Let the network's function reach S3, for these buckets alone."""
    child = pulumi.ResourceOptions(parent=network)
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": "*", **_read(buckets)}]}
    endpoint = aws.ec2.VpcEndpoint(
        f"{name}-s3",
        vpc_id=network.vpc_id,
        vpc_endpoint_type="Gateway",
        service_name=pulumi.Output.format("com.amazonaws.{0}.s3", region),
        route_table_ids=[network.route_table_id],
        policy=pulumi.Output.json_dumps(policy),
        opts=child,
    )
    aws.vpc.SecurityGroupEgressRule(
        f"{name}-to-s3",
        security_group_id=network.function_group_id,
        prefix_list_id=endpoint.prefix_list_id,
        ip_protocol="tcp",
        from_port=443,
        to_port=443,
        description="To S3, to read the buckets that are named",
        opts=child,
    )
    return endpoint


def _read(buckets: Sequence[str]) -> dict[str, object]:
    return {
        "Action": ["s3:GetObject", "s3:GetObjectVersion"],
        "Resource": [pulumi.Output.format("arn:{0}:s3:::{1}/*", _partition(), bucket) for bucket in buckets],
    }


def _partition() -> pulumi.Output[str]:
    return aws.get_partition_output().partition
