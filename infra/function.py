"""The function: its log group and the Graviton Lambda. `release.py` puts a version of it before the world."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from infra.network import Network
from infra.own_network import OwnNetwork
from infra.role import FunctionRole


@dataclass(frozen=True, kw_only=True)
class FunctionArgs:
    """What the function is made from; memory in MB, timeout in seconds, 0 reserved instances for no reservation."""

    name: str
    role: FunctionRole
    image_uri: pulumi.Input[str]
    command: str = ""  # instead of the image's own
    environment: Mapping[str, pulumi.Input[str]]
    network: Network | OwnNetwork | None
    # The rights that it needs to start, and whatever else must be there before.
    rights: Sequence[pulumi.Resource]
    memory: int
    timeout: int
    reserved_concurrency: int
    snap_start: bool
    log_retention_days: int
    tracing: bool = False
    publish: bool = True


class Function(pulumi.ComponentResource):
    """Offers `name`, `arn`, and `version`, the number of the version that this deployment published, if any."""

    def __init__(self, name: str, args: FunctionArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("clip:infra:Function", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)

        log_group = aws.cloudwatch.LogGroup(
            name, name=f"/aws/lambda/{args.name}", retention_in_days=args.log_retention_days, opts=child
        )
        write_logs = args.role.allow("write-logs", _write_logs(log_group), parent=self)

        leave_for = args.network.default_group_id if args.network else None
        function = aws.lambda_.Function(
            name,
            name=args.name,
            role=args.role.arn,
            package_type="Image",
            image_uri=args.image_uri,
            image_config={"commands": [args.command]} if args.command else None,
            architectures=["arm64"],
            memory_size=args.memory,
            timeout=args.timeout,
            environment={"variables": args.environment},
            logging_config={"log_format": "Text", "log_group": log_group.name},
            vpc_config=_inside(args.network),
            # Without it, deleting the function's security group waits until Lambda gives its interfaces back.
            replace_security_groups_on_destroy=True if leave_for else None,
            replacement_security_group_ids=[leave_for] if leave_for else None,
            reserved_concurrent_executions=args.reserved_concurrency or None,
            # Said either way: the provider takes what is left out for what is there already, and would go on tracing.
            # https://github.com/hashicorp/terraform-provider-aws/issues/30838
            tracing_config={"mode": "Active" if args.tracing else "PassThrough"},
            snap_start={"apply_on": "PublishedVersions"} if args.snap_start else None,
            publish=args.publish,
            # The first start already writes logs, joins the network and signs in to the store.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[write_logs, *args.rights]),
        )
        self.name = function.name
        self.arn = function.arn
        self.version = function.version
        self.register_outputs({})


def allow_tracing(role: FunctionRole) -> aws.iam.RolePolicy:
    """Let the role's function send its traces to X-Ray, which knows no narrower resource.

    https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsx-ray.html
    """
    actions = ["xray:PutTraceSegments", "xray:PutTelemetryRecords"]
    return role.allow("trace", {"Action": actions, "Resource": "*"}, parent=role)


def _write_logs(log_group: aws.cloudwatch.LogGroup) -> dict[str, object]:
    return {
        "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
        # The group's own streams: Lambda names them.
        "Resource": pulumi.Output.format("{0}:*", log_group.arn),
    }


def _inside(network: Network | OwnNetwork | None) -> aws.lambda_.FunctionVpcConfigArgs | None:
    if network is None:
        return None
    return aws.lambda_.FunctionVpcConfigArgs(
        subnet_ids=network.subnet_ids, security_group_ids=network.function_group_ids
    )
