"""The stack's settings, as one frozen value; `config.py` reads them and `rules.py` says what each may be."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pulumi

# What one vCPU is worth; a process in Lambda sees more cores than it may use.
# https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html
MB_PER_VCPU = 1769


@dataclass(frozen=True, kw_only=True)
class Secret:
    """A setting that is a secret: `output` is encrypted wherever Pulumi keeps it, `plain` is for the rules alone."""

    output: pulumi.Output[Any] = field(repr=False)
    plain: Any = field(repr=False)
    # Whether the stack's own file keeps it encrypted.
    encrypted: bool


@dataclass(frozen=True, kw_only=True)
class StackSettings:
    """What can be changed without changing code; each field's key, in `Pulumi.yaml`, is its name in camelCase.

    Memory is in MB, times are in the unit that the name ends with, and 0 or empty means "not asked for" where
    `Pulumi.yaml` says so.
    """

    # Project and stack: the first part of every name that has to be chosen here.
    name: str

    model: str
    pretrained: str
    precision: str
    base_image: str
    torch_index: str
    image_uri: str

    memory: int
    timeout: int
    snap_start: bool
    provisioned_concurrency: int
    reserved_concurrency: int
    rewarm_schedule: str
    log_level: str
    log_retention_days: int
    tracing: bool
    canary_minutes: int
    canary_percent: int

    cache: str
    cache_max_gb: int
    cache_max_ecpu_per_second: int
    cache_ttl_days: int
    cache_budget_ms: int
    cache_retry_seconds: int
    cache_url: str
    cache_cluster: bool
    cache_user: str
    cache_password: Secret
    cache_password_arn: str
    secrets_endpoint: bool
    zone_ids: tuple[str, ...]
    network_cidr: str
    subnet_ids: tuple[str, ...]
    security_group_ids: tuple[str, ...]

    label_sets: tuple[str, ...]
    memory_labels: int
    max_pixels: int
    max_body_bytes: int
    max_labels: int
    max_pictures: int
    default_policy: str
    default_label_set: str
    flag_from: str
    read_buckets: tuple[str, ...]
    bucket_key_arns: tuple[str, ...]
    log_labels: bool

    auth: str
    auth_tokens: Secret
    jwt_issuer: str
    jwt_audience: tuple[str, ...]
    jwt_scopes: Mapping[str, Any]
    cors_origins: tuple[str, ...]
    throttle_rate: int
    throttle_burst: int
    domain_name: str
    certificate_arn: str
    hosted_zone_id: str
    default_endpoint: bool

    jobs: bool
    job_buckets: tuple[str, ...]
    job_batch: int
    job_concurrency: int
    job_tolerated_failures: int
    job_memory: int
    stream_buckets: tuple[str, ...]
    stream_batch: int
    stream_concurrency: int
    manage_notifications: bool
    tag_objects: bool
    stream_lines: bool
    videos: bool
    videos_image_uri: str
    results_days: int

    alarm_email: str
    alarm_topic_arn: str
    alarm_p99_ms: int
    alarm_block_share: Mapping[str, Any]

    permissions_boundary: str
    iam_path: str
    kms_key_arn: str

    @property
    def has_password(self) -> bool:
        """Whether the store of one's own asks for a password."""
        return bool(self.cache_password.plain or self.cache_password_arn)

    @property
    def threads(self) -> int:
        """Threads of the towers: as many as the memory is worth vCPUs, which a process in Lambda cannot see."""
        return -(-self.memory // MB_PER_VCPU)


def key_of(field: str) -> str:
    """Return the key of a field: that of `snap_start` is `snapStart`."""
    return re.sub(r"_(\w)", lambda match: match[1].upper(), field)
