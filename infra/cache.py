"""The label store: a serverless ElastiCache for Valkey that only the function may call, with a signed IAM token."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from infra.network import Network
from infra.own_network import OwnNetwork
from infra.role import FunctionRole

# The commands that are sent and no more: the service's own, and those of a cluster client that signs in.
STORE_RIGHTS = (
    "on ~clip:* resetchannels -@all +mget +set +expire +auth +hello +readonly +command +cluster|slots +cluster|shards"
)
# The port that writes and reads.
_PORT = 6379


@dataclass(frozen=True, kw_only=True)
class LabelStoreArgs:
    """What the store is made from; `max_gb` and `max_ecpu_per_second` are limits, not a size that is paid for."""

    # At most 36 characters, lower case: the signature is over the cache's name as it is.
    name: str
    network: Network | OwnNetwork
    max_gb: int
    max_ecpu_per_second: int


class LabelStore(pulumi.ComponentResource):
    """Offers `endpoint`, and `variables`, which the function needs to sign in."""

    def __init__(self, name: str, args: LabelStoreArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("clip:infra:LabelStore", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)

        self._user = aws.elasticache.User(
            name,
            # IAM users must have one name for both.
            # https://docs.aws.amazon.com/AmazonElastiCache/latest/dg/auth-iam.html
            user_id=args.name,
            user_name=args.name,
            engine="valkey",
            access_string=STORE_RIGHTS,
            authentication_mode={"type": "iam"},
            opts=child,
        )
        group = aws.elasticache.UserGroup(
            name, user_group_id=args.name, engine="valkey", user_ids=[self._user.user_id], opts=child
        )
        self._cache = aws.elasticache.ServerlessCache(
            name,
            # Another place is another cache, which is made before this one is deleted: the two need different names.
            name=f"{args.name}-{args.network.place}",
            description="CLIP label embeddings",
            engine="valkey",
            major_engine_version="8",
            user_group_id=group.user_group_id,
            subnet_ids=args.network.subnet_ids,
            security_group_ids=[args.network.store_group_id],
            # Maxima only: a minimum is billed whether it is used or not.
            cache_usage_limits={
                "data_storage": {"maximum": args.max_gb, "unit": "GB"},
                "ecpu_per_seconds": [{"maximum": args.max_ecpu_per_second}],
            },
            opts=child,
        )
        self.endpoint: pulumi.Output[str] = pulumi.Output.format("{0}:{1}", self._cache.endpoints[0].address, _PORT)
        self.variables: Mapping[str, pulumi.Input[str]] = {
            "CACHE_URL": pulumi.Output.format("rediss://{0}", self.endpoint),
            "CACHE_CLUSTER": "true",
            "CACHE_IAM_USER": self._user.user_id,
            "CACHE_IAM_NAME": self._cache.name,
        }
        self.register_outputs({})

    def allow_connecting(self, role: FunctionRole) -> list[pulumi.Resource]:
        """Let `role` sign in to this store as this store's user."""
        statement = {"Action": "elasticache:Connect", "Resource": [self._cache.arn, self._user.arn]}
        return [role.allow("connect-to-store", statement, parent=self)]
