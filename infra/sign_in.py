"""Signs in to AWS as Pulumi's provider does, for what the program asks of AWS by itself.

What only the provider knows, such as a role that `aws:assumeRoles` names, cannot be followed here: the credentials that
are found may be another account's, which may have a function of the same name. So whoever uses these clients names a
function by its whole ARN, as the provider has it: another account's or region's Lambda refuses that.
"""

from __future__ import annotations

import os
from typing import Any

import botocore.session
import pulumi
from botocore.config import Config


def region() -> str:
    """Return the region where the provider finds it: the stack's `aws:region` or the environment; empty for neither."""
    named = (os.environ.get(name) for name in ("AWS_REGION", "AWS_DEFAULT_REGION"))
    return pulumi.Config("aws").get("region") or next(filter(None, named), "")


def lambda_client() -> Any:
    """Return a client of Lambda, by the stack's `aws:region`, `aws:profile` and keys, or else as AWS' tools sign in.

    `Any`, because botocore makes its clients when it runs.
    """
    return _client("lambda")


def cloudwatch_client() -> Any:
    """Return a client of CloudWatch, signed in the same way."""
    return _client("cloudwatch")


def _client(service: str) -> Any:
    settings = pulumi.Config("aws")
    session = botocore.session.Session(profile=settings.get("profile"))
    return session.create_client(
        service,
        region_name=region() or None,
        aws_access_key_id=settings.get("accessKey"),
        aws_secret_access_key=settings.get("secretKey"),
        aws_session_token=settings.get("token"),
        config=Config(connect_timeout=5, retries={"total_max_attempts": 4, "mode": "standard"}),
    )
