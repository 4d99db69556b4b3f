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


def allow_decrypting(
    role: FunctionRole, key_arns: Sequence[str], region: pulumi.Input[str], parent: pulumi.Resource
) -> list[pulumi.Resource]:
    """Let `role` have S3 decrypt what it reads with these keys, by S3 alone; nothing where there are none.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html
    """
    return [role.allow("decrypt-objects", decrypting(key_arns, region), parent=parent)] if key_arns else []


def decrypting(key_arns: Sequence[str], region: pulumi.Input[str]) -> dict[str, object]:
    """Return the statement of `allow_decrypting`."""
    by_s3 = {"kms:ViaService": pulumi.Output.format("s3.{0}.amazonaws.com", region)}
    return {"Action": ["kms:Decrypt"], "Resource": list(key_arns), "Condition": {"StringEquals": by_s3}}


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
        "Resource": [arn_of(f"{bucket}/*") for bucket in buckets],
    }


def arn_of(what: str) -> pulumi.Output[str]:
    """Return the ARN of a bucket, or of what is in it, in whichever part of AWS this is."""
    return pulumi.Output.format("arn:{0}:s3:::{1}", aws.get_partition_output().partition, what)
