"""Subnets and security groups that the account has already, instead of a network that the stack makes.

Nothing of them is changed. Beside them the stack makes only what it alone needs: a group that marks the function's
interfaces, one for the store that it makes there, which the given groups may call, and, where it is asked for, a way to
Secrets Manager.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from infra.network import SLOW_DELETE, STORE_PORTS, short_name


@dataclass(frozen=True, kw_only=True)
class OwnNetworkArgs:
    """What is given; `has_store` says whether the stack puts a store of its own into it.

    `joining` are the rights of those who join it (`allow_joining`).
    """

    subnet_ids: Sequence[str]
    security_group_ids: Sequence[str]
    has_store: bool
    joining: Sequence[aws.iam.RolePolicy]


class OwnNetwork(pulumi.ComponentResource):
    """Offers what `Network` does, but for the zones, and `secrets_endpoint`."""

    def __init__(self, name: str, args: OwnNetworkArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("clip:infra:OwnNetwork", name, None, opts)
        self._name = name
        self._child = pulumi.ResourceOptions(parent=self)
        self.subnet_ids = list(args.subnet_ids)
        self._callers = list(args.security_group_ids)
        self._vpc_id = aws.ec2.get_subnet_output(
            id=args.subnet_ids[0], opts=pulumi.InvokeOutputOptions(parent=self)
        ).vpc_id
        # Lambda takes its interfaces away in the role's name, some time after the function is gone or has left. Nothing
        # else here waits for that: so each interface is in this group too, which lets nothing through, is deleted when
        # they are gone, and before the rights. Without it they, and so the account's subnets, would stay for ever.
        # https://repost.aws/knowledge-center/lambda-eni-find-delete
        marks = aws.ec2.SecurityGroup(
            f"{name}-function",
            vpc_id=self._vpc_id,
            description="The function: marks its interfaces, and lets nothing through",
            opts=pulumi.ResourceOptions(parent=self, custom_timeouts=SLOW_DELETE, depends_on=list(args.joining)),
        )
        self.function_group_ids: list[pulumi.Input[str]] = [*args.security_group_ids, marks.id]
        # Whoever owns the groups deletes them: the function need not leave them first.
        self.default_group_id: pulumi.Output[str] | None = None
        self.place = short_name(*sorted(args.subnet_ids))
        self._store_group_id = self._store_group() if args.has_store else None
        self.register_outputs({})

    @property
    def store_group_id(self) -> pulumi.Output[str]:
        """The group of the store that the stack makes here."""
        if self._store_group_id is None:
            raise ValueError("This network was made without a group for a store.")
        return self._store_group_id

    def secrets_endpoint(self, region: pulumi.Input[str], secret_arn: pulumi.Input[str]) -> pulumi.Output[str]:
        """Make a way to Secrets Manager, for this secret alone, and return its address.

        Without private DNS: that would send everybody in the network this way, who may need other secrets.
        https://docs.aws.amazon.com/secretsmanager/latest/userguide/vpc-endpoint-overview.html
        """
        group = self._group("endpoint", "Secrets Manager: may be called by the function", {443: "to read the password"})
        statement = {
            "Effect": "Allow",
            "Principal": "*",
            "Action": "secretsmanager:GetSecretValue",
            "Resource": secret_arn,
        }
        endpoint = aws.ec2.VpcEndpoint(
            f"{self._name}-secrets",
            vpc_id=self._vpc_id,
            vpc_endpoint_type="Interface",
            service_name=pulumi.Output.format("com.amazonaws.{0}.secretsmanager", region),
            subnet_ids=self.subnet_ids,
            security_group_ids=[group],
            private_dns_enabled=False,
            policy=pulumi.Output.json_dumps({"Version": "2012-10-17", "Statement": [statement]}),
            opts=self._child,
        )
        return pulumi.Output.format("https://{0}", endpoint.dns_entries[0].dns_name)

    def _store_group(self) -> pulumi.Output[str]:
        return self._group("store", "The label store: may be called by the function", STORE_PORTS)

    def _group(self, kind: str, description: str, ports: dict[int, str]) -> pulumi.Output[str]:
        name = f"{self._name}-{kind}"
        group = aws.ec2.SecurityGroup(name, vpc_id=self._vpc_id, description=description, opts=self._child)
        for caller in self._callers:
            for port, use in ports.items():
                aws.vpc.SecurityGroupIngressRule(
                    f"{name}-from-{caller}-{port}",
                    security_group_id=group.id,
                    referenced_security_group_id=caller,
                    ip_protocol="tcp",
                    from_port=port,
                    to_port=port,
                    description=f"From the function, {use}",
                    opts=self._child,
                )
        return group.id
