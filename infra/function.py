"""The function: its role, its log group and the Graviton Lambda. `release.py` puts a version of it before the world."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from infra.cache import LabelStore
from infra.network import Network


@dataclass(frozen=True, kw_only=True)
class FunctionArgs:
    """What the function is made from; memory in MB, timeout in seconds, 0 reserved instances for no reservation."""

    name: str
    image_uri: pulumi.Input[str]
    environment: Mapping[str, pulumi.Input[str]]
    network: Network | None
    store: LabelStore | None
    memory: int
    timeout: int
    reserved_concurrency: int
    snap_start: bool
    log_retention_days: int


class Function(pulumi.ComponentResource):
    """Offers `name`, `arn`, and `version`, the number of the version that this deployment published."""

    def __init__(self, name: str, args: FunctionArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("clip:infra:Function", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)

        log_group = aws.cloudwatch.LogGroup(
            name, name=f"/aws/lambda/{args.name}", retention_in_days=args.log_retention_days, opts=child
        )
        role = aws.iam.Role(name, assume_role_policy=trust("lambda.amazonaws.com"), opts=child)
        grants = [_allow(role, "write-logs", _write_logs(log_group), child)]
        if args.network:
            grants.append(_allow(role, "join-network", _join_network(), child))
        if args.store:
            grants.append(args.store.allow_connecting(role))

        function = aws.lambda_.Function(
            name,
            name=args.name,
            role=role.arn,
            package_type="Image",
            image_uri=args.image_uri,
            architectures=["arm64"],
            memory_size=args.memory,
            timeout=args.timeout,
            environment={"variables": args.environment},
            logging_config={"log_format": "Text", "log_group": log_group.name},
            vpc_config=_inside(args.network),
            # Without it, deleting the function's security group waits until Lambda gives its interfaces back.
            replace_security_groups_on_destroy=True if args.network else None,
            reserved_concurrent_executions=args.reserved_concurrency or None,
            snap_start={"apply_on": "PublishedVersions"} if args.snap_start else None,
            publish=True,
            # The first start already writes logs, joins the network and signs in to the store.
            opts=pulumi.ResourceOptions(parent=self, depends_on=grants),
        )
        self.name = function.name
        self.arn = function.arn
        self.version = function.version
        self.register_outputs({})


def trust(service: str) -> str:
    """Let the AWS service act in the role's name."""
    statement = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": service}}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def _allow(
    role: aws.iam.Role, name: str, statement: Mapping[str, object], opts: pulumi.ResourceOptions
) -> aws.iam.RolePolicy:
    policy = {"Version": "2012-10-17", "Statement": [statement]}
    return aws.iam.RolePolicy(name, role=role.name, policy=pulumi.Output.json_dumps(policy), opts=opts)


def _write_logs(log_group: aws.cloudwatch.LogGroup) -> dict[str, object]:
    return {
        "Effect": "Allow",
        "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
        # The group's own streams: Lambda names them.
        "Resource": pulumi.Output.format("{0}:*", log_group.arn),
    }


def _join_network() -> dict[str, object]:
    return {
        "Effect": "Allow",
        "Action": [
            "ec2:CreateNetworkInterface",
            "ec2:DeleteNetworkInterface",
            "ec2:DescribeNetworkInterfaces",
            "ec2:DescribeSubnets",
            "ec2:AssignPrivateIpAddresses",
            "ec2:UnassignPrivateIpAddresses",
        ],
        # Lambda asks for these before it knows the interface, and describing takes no narrower resource.
        # https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html#configuration-vpc-permissions
        "Resource": "*",
    }


def _inside(network: Network | None) -> aws.lambda_.FunctionVpcConfigArgs | None:
    if network is None:
        return None
    return aws.lambda_.FunctionVpcConfigArgs(
        subnet_ids=network.subnet_ids, security_group_ids=[network.function_group_id]
    )
