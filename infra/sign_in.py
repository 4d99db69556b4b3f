"""Signs in to AWS as Pulumi's provider does, for what the program asks of AWS by itself.

What only the provider knows, such as a role that `aws:assumeRoles` names, cannot be followed here: the credentials that
are found may be another account's, which may have a stack of the same name. So the account is compared first.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import botocore.session
import pulumi
from botocore.config import Config
from botocore.exceptions import BotoCoreError


class OtherAccount(BotoCoreError):  # type: ignore[misc]  # botocore has no types
    """The credentials that are found here are not of the account that is deployed to."""

    fmt = (
        "these credentials are for account {found}, and the stack is in {expected}: the provider signs in by settings "
        "that the program cannot follow, such as aws:assumeRoles"
    )


def region() -> str:
    """Return the region where the provider finds it: the stack's `aws:region` or the environment; empty for neither."""
    named = (os.environ.get(name) for name in ("AWS_REGION", "AWS_DEFAULT_REGION"))
    return pulumi.Config("aws").get("region") or next(filter(None, named), "")


@dataclass(frozen=True, kw_only=True)
class SignIn:
    """Makes clients by the stack's `aws:region`, `aws:profile` and keys, or else as AWS' tools sign in.

    `account` is the provider's own. A client is `Any`, because botocore makes its clients when it runs.
    """

    account: str

    def lambda_client(self) -> Any:
        """Return a client of Lambda.

        Raises:
            OtherAccount: it would ask in another account.
            botocore.exceptions.BotoCoreError, ClientError: nobody can be signed in.
        """
        return self._client("lambda")

    def cloudwatch_client(self) -> Any:
        """Return a client of CloudWatch; as `lambda_client`."""
        return self._client("cloudwatch")

    def _client(self, service: str) -> Any:
        found = _make("sts").get_caller_identity()["Account"]
        if found != self.account:
            raise OtherAccount(found=found, expected=self.account)
        return _make(service)


def _make(service: str) -> Any:
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
