"""The label store: a serverless ElastiCache for Valkey that only the function may call, with a signed IAM token."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from infra.network import STORE_PORTS, Network

# What the service does and no more: read and write its own keys, and ask where they are. @write holds FLUSHALL and its
# like, which the last rule takes away again.
STORE_RIGHTS = "on ~clip:* resetchannels -@all +@read +@write +@connection +cluster|slots +cluster|shards -@dangerous"


@dataclass(frozen=True, kw_only=True)
class LabelStoreArgs:
    """What the store is made from; `max_gb` and `max_ecpu_per_second` are limits, not a size that is paid for."""

    # At most 40 characters, lower case: the signature is over the cache's name as it is.
    name: str
    network: Network
    max_gb: int
    max_ecpu_per_second: int


class LabelStore(pulumi.ComponentResource):
    """Offers `url`, `cache_name` and `user_id`, which the function needs to sign in."""

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
            name=args.name,
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
        self.cache_name = self._cache.name
        self.user_id = self._user.user_id
        self.endpoint = pulumi.Output.format("{0}:{1}", self._cache.endpoints[0].address, STORE_PORTS[0])
        self.url = pulumi.Output.format("rediss://{0}", self.endpoint)
        self.register_outputs({})

    def allow_connecting(self, role: aws.iam.Role) -> aws.iam.RolePolicy:
        """Let `role` sign in to this store as this store's user."""
        policy = {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Action": "elasticache:Connect",
                    "Resource": [self._cache.arn, self._user.arn],
                }
            ],
        }
        return aws.iam.RolePolicy(
            "connect-to-store",
            role=role.name,
            policy=pulumi.Output.json_dumps(policy),
            opts=pulumi.ResourceOptions(parent=self),
        )
