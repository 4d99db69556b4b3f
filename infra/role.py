"""A function's role: made first and, because every right hangs on it, taken away last.

Each right is given by the component whose thing it is for.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

import pulumi
import pulumi_aws as aws


class FunctionRole(pulumi.ComponentResource):
    """Offers `arn`, and `allow`."""

    def __init__(self, name: str, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("clip:infra:FunctionRole", name, None, opts)
        self._name = name
        self._role = aws.iam.Role(
            name, assume_role_policy=trust("lambda.amazonaws.com"), opts=pulumi.ResourceOptions(parent=self)
        )
        self.arn = self._role.arn
        self.register_outputs({})

    def allow(self, what: str, statement: Mapping[str, object], parent: pulumi.Resource) -> aws.iam.RolePolicy:
        """Let the function do what `statement` says: its Action, on its Resource."""
        return allow(self._role, f"{self._name}-{what}", statement, pulumi.ResourceOptions(parent=parent))


def trust(service: str) -> str:
    """Return the policy that lets the AWS service act in the role's name."""
    statement = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": service}}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def allow(
    role: aws.iam.Role, name: str, statement: Mapping[str, object], opts: pulumi.ResourceOptions
) -> aws.iam.RolePolicy:
    """Give `role` one right, under a name of its own."""
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **statement}]}
    return aws.iam.RolePolicy(name, role=role.name, policy=pulumi.Output.json_dumps(policy), opts=opts)
