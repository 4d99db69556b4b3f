"""A Redis or Valkey that exists already, instead of a store that the stack makes, and the password for it.

The function is told where the password is, and reads it when it connects: the password is in no variable.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

import pulumi
import pulumi_aws as aws

from infra.own_network import OwnNetwork
from infra.role import FunctionRole

_PORT = 6379


@dataclass(frozen=True, kw_only=True)
class OwnStoreArgs:
    """Where it is and how to sign in: a password, or the ARN of a secret that holds one, or neither.

    `endpoint_in` is the network to make a way to Secrets Manager in, None where there is one.
    """

    url: str
    cluster: bool
    user: str
    password: pulumi.Output[str] | None
    password_arn: str
    region: pulumi.Input[str]
    endpoint_in: OwnNetwork | None
    # Of the key that the secret is encrypted with, empty for AWS' own.
    kms_key_arn: str


class OwnStore(pulumi.ComponentResource):
    """Offers `endpoint`, and `variables`, which the function needs to sign in."""

    def __init__(self, name: str, args: OwnStoreArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("clip:infra:OwnStore", name, None, opts)
        self._args = args
        # What must be there before the function reads the password.
        self._written: list[pulumi.Resource] = []
        self._secret_arn: pulumi.Input[str] | None = args.password_arn or None
        if args.password is not None:
            self._secret_arn = self._keep(name, args.password)
        address = urlsplit(args.url)
        self.endpoint: pulumi.Output[str] = pulumi.Output.from_input(f"{address.hostname}:{address.port or _PORT}")
        variables: dict[str, pulumi.Input[str]] = {"CACHE_URL": args.url, "CACHE_CLUSTER": str(args.cluster).lower()}
        if self._secret_arn is not None:
            variables |= {"CACHE_CREDENTIALS_ARN": self._secret_arn, "CACHE_USER": args.user}
            if args.endpoint_in:
                variables["CACHE_CREDENTIALS_URL"] = args.endpoint_in.secrets_endpoint(args.region, self._secret_arn)
        self.variables: Mapping[str, pulumi.Input[str]] = variables
        self.register_outputs({})

    def allow_connecting(self, role: FunctionRole) -> list[pulumi.Resource]:
        """Let `role` read the password, and return what must be there before it does."""
        if self._secret_arn is None:
            return []
        read = {"Action": "secretsmanager:GetSecretValue", "Resource": self._secret_arn}
        rights: list[pulumi.Resource] = [role.allow("read-password", read, parent=self)]
        if self._args.kms_key_arn:
            decrypt = {
                "Action": "kms:Decrypt",
                "Resource": self._args.kms_key_arn,
                "Condition": {"StringEquals": {"kms:EncryptionContext:SecretARN": self._secret_arn}},
            }
            rights.append(role.allow("decrypt-password", decrypt, parent=self))
        return [*self._written, *rights]

    def _keep(self, name: str, password: pulumi.Output[str]) -> pulumi.Output[str]:
        child = pulumi.ResourceOptions(parent=self)
        secret = aws.secretsmanager.Secret(
            f"{name}-store",
            description="The password of the label store",
            # It can be written again from the stack's file, and a name of Pulumi's own is never needed twice.
            recovery_window_in_days=0,
            opts=child,
        )
        self._written = [
            aws.secretsmanager.SecretVersion(f"{name}-store", secret_id=secret.id, secret_string=password, opts=child)
        ]
        return secret.arn
