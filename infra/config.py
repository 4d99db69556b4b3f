"""The stack's settings, read once into a frozen value; `rules.py` says what each may be.

`Pulumi.yaml` holds every setting's type, default and description; nothing is defaulted here.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, fields
from pathlib import Path
from typing import get_type_hints

import pulumi

from infra import rules

ROOT = Path(__file__).resolve().parent.parent
CONTEXT = ROOT / "lambda_src"

# What one vCPU is worth; a process in Lambda sees more cores than it may use.
# https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html
MB_PER_VCPU = 1769


@dataclass(frozen=True, kw_only=True)
class StackSettings:
    """What can be changed without changing code; each field's key is its name in camelCase.

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

    memory: int
    timeout: int
    snap_start: bool
    provisioned_concurrency: int
    reserved_concurrency: int
    rewarm_schedule: str
    log_level: str
    log_retention_days: int

    cache: str
    cache_max_gb: int
    cache_max_ecpu_per_second: int
    cache_ttl_days: int
    cache_budget_ms: int
    cache_retry_seconds: float
    zone_ids: tuple[str, ...]

    label_sets: tuple[str, ...]
    memory_labels: int
    max_pixels: int
    max_body_bytes: int
    max_labels: int
    max_pictures: int
    log_labels: bool

    auth: str
    jwt_issuer: str
    jwt_audience: tuple[str, ...]
    cors_origins: tuple[str, ...]
    throttle_rate: int
    throttle_burst: int
    domain_name: str
    certificate_arn: str

    alarm_email: str
    alarm_topic_arn: str
    alarm_p99_ms: int

    @property
    def threads(self) -> int:
        """Threads of the towers: as many as the memory is worth vCPUs, which a process in Lambda cannot see."""
        return -(-self.memory // MB_PER_VCPU)


def read_settings(config: pulumi.Config, *, label_sets_dir: Path = CONTEXT / "label_sets") -> StackSettings:
    """Read and check the stack's settings.

    Raises:
        pulumi.RunError: a setting cannot be what it has to be; one sentence that names the key, its value and what
            would be right. Pulumi shows this error without a stack trace.
    """
    types = get_type_hints(StackSettings)
    values: dict[str, object] = {"name": f"{pulumi.get_project()}-{pulumi.get_stack()}".lower()}
    for field in fields(StackSettings):
        if field.name != "name":
            values[field.name] = _read(config, camel(field.name), types[field.name])
    settings = StackSettings(**values)  # type: ignore[arg-type]  # _read gives each field its own type
    complaint = rules.first_complaint(settings, frozenset(path.stem for path in label_sets_dir.glob("*.json")))
    if complaint:
        raise pulumi.RunError(complaint)
    return settings


def camel(field: str) -> str:
    """Give the key of a field: `snap_start` is `snapStart`."""
    return re.sub(r"_(\w)", lambda match: match[1].upper(), field)


def _read(config: pulumi.Config, key: str, kind: object) -> object:
    text = config.get(key)
    if text is None:
        raise pulumi.RunError(f"{key} is not set: Pulumi.yaml, which holds its default, must stand beside __main__.py.")
    if kind is str:
        return text.strip()
    try:
        value = json.loads(text)
    except json.JSONDecodeError:
        value = None
    if kind is bool and isinstance(value, bool):
        return value
    if kind is int and isinstance(value, int) and not isinstance(value, bool):
        return value
    if kind is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if kind == tuple[str, ...] and isinstance(value, list) and all(isinstance(item, str) for item in value):
        return tuple(value)
    expected = {bool: "true or false", int: "a whole number", float: "a number"}.get(kind, "a list of texts")  # type: ignore[call-overload]
    raise pulumi.RunError(f"{key} is {text!r}: it must be {expected}.")
