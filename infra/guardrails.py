"""What an account asks of everything made in it: a permissions boundary and a path for roles, a key for data at rest.

Stack transformations, as in `tags.py`: so they also hold for what a component makes that knows nothing of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws


@dataclass(frozen=True, kw_only=True)
class Guardrails:
    """What is asked; empty texts, and / for a path, ask nothing."""

    permissions_boundary: str
    iam_path: str
    kms_key_arn: str


def keep_to(guardrails: Guardrails) -> None:
    """Hold every AWS resource that is made from here on to `guardrails`."""
    inputs: dict[str, Mapping[str, object]] = {}
    if guardrails.permissions_boundary:
        inputs["aws:iam/role:Role"] = {"permissions_boundary": guardrails.permissions_boundary}
    if guardrails.iam_path != "/":
        inputs["aws:iam/role:Role"] = {**inputs.get("aws:iam/role:Role", {}), "path": guardrails.iam_path}
    if key := guardrails.kms_key_arn:
        inputs |= {
            "aws:cloudwatch/logGroup:LogGroup": {"kms_key_id": key},
            "aws:ecr/repository:Repository": {
                "encryption_configurations": [
                    aws.ecr.RepositoryEncryptionConfigurationArgs(encryption_type="KMS", kms_key=key)
                ]
            },
            "aws:lambda/function:Function": {"kms_key_arn": key},
            "aws:secretsmanager/secret:Secret": {"kms_key_id": key},
            "aws:sns/topic:Topic": {"kms_master_key_id": key},
        }

    def add(args: pulumi.ResourceTransformationArgs) -> pulumi.ResourceTransformationResult | None:
        more = inputs.get(args.type_)
        return pulumi.ResourceTransformationResult(props={**args.props, **more}, opts=args.opts) if more else None

    pulumi.runtime.register_stack_transformation(add)
