"""What a stack's settings may be: each rule is a sentence that names the key, its value and what would be right."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from infra.account_rules import complaints_of_account
from infra.models import complaints_of_model
from infra.pair_rules import complaints_of_pairs
from infra.region_rules import complaints_of_region
from infra.secret_rules import complaints_of_secrets
from infra.settings import StackSettings, key_of

# https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html
_RETENTION_DAYS = (
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653,
)  # fmt: skip

# One of a unit, or several of them in the plural: whatever else may be refused only when the schedule is made.
# https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html
_UNIT = "(minute|hour|day)"
_SCHEDULE = rf"rate\(1 {_UNIT}\)|rate\(([2-9]|[1-9]\d+) {_UNIT}s\)|cron\((\S+ ){{5}}\S+\)"

# By the name of the field.
_POLICIES = Path(__file__).resolve().parents[1] / "lambda_src" / "policies"

_CHOICES: dict[str, tuple[object, ...]] = {
    "precision": ("auto", "fp32", "int8"),
    "log_level": ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"),
    "log_retention_days": _RETENTION_DAYS,
    "cache": ("serverless", "url", "none"),
    "flag_from": ("review", "block"),
    "auth": ("iam", "token", "jwt", "none"),
}

# Least, most, and why there is a most.
_RANGES: dict[str, tuple[int, int, str]] = {
    "memory": (512, 10240, "Lambda's own limits, in MB"),
    "timeout": (1, 29, "API Gateway gives up after 30 seconds"),
    "provisioned_concurrency": (0, 1000, "0 means none"),
    "reserved_concurrency": (0, 1000, "0 means none"),
    "canary_minutes": (0, 30, "0 means none; the up waits for so long"),
    "canary_percent": (1, 50, "in percent"),
    "cache_max_gb": (1, 5000, "ElastiCache Serverless' own limits, in GB"),
    "cache_max_ecpu_per_second": (1000, 15_000_000, "ElastiCache Serverless' own limits"),
    "cache_ttl_days": (1, 3650, "a store evicts only what has a time to live"),
    "cache_budget_ms": (1, 10_000, "a request must not spend its time waiting for the store"),
    "cache_retry_seconds": (1, 3600, "in seconds"),
    "memory_labels": (1, 1_000_000, "1,000,000 embeddings of 512 numbers are 2 GB"),
    "max_pixels": (1, 500_000_000, "500 million pixels are 1.5 GB in memory"),
    "max_body_bytes": (1024, 6_291_456, "Lambda takes 6 MB"),
    "max_labels": (1, 10_000, "a request must end in time"),
    "max_pictures": (1, 64, "a request must end in time"),
    "throttle_rate": (1, 10_000, "API Gateway's own limit for an account, a second"),
    "throttle_burst": (1, 5_000, "API Gateway's own limit for an account"),
    "job_batch": (1, 500, "a batch's input must be under 256 KiB, and be judged within two minutes"),
    "job_concurrency": (1, 1000, "a new account has 10 instances in all"),
    "job_tolerated_failures": (0, 100, "in percent of the batches"),
    "job_memory": (512, 10240, "Lambda's own limits, in MB"),
    "stream_batch": (1, 10, "SQS hands over 10 at most without a longer window"),
    "stream_concurrency": (2, 1000, "Lambda's own limits for a queue"),
    "results_days": (0, 36_500, "in days; 0 means for ever"),
    "alarm_p99_ms": (1, 30_000, "API Gateway gives up after 30 seconds"),
}


def first_complaint(settings: StackSettings, label_sets: frozenset[str], region: str) -> str | None:
    """Answer what is wrong with the settings, in one sentence, or None.

    `label_sets` are the names of the label sets that exist; `region` is empty where only the provider knows it.
    """
    return next(chain(_complaints(settings, label_sets), complaints_of_region(settings, region)), None)


def _complaints(settings: StackSettings, label_sets: frozenset[str]) -> Iterator[str]:
    yield from _of_one_value(settings)
    if not settings.image_uri:  # which model another image holds is not known here
        yield from complaints_of_model(settings)
    yield from _of_names(settings, label_sets)
    yield from complaints_of_pairs(settings)
    yield from _of_bands(settings)
    yield from complaints_of_account(settings)
    yield from complaints_of_secrets(settings)


def _of_one_value(settings: StackSettings) -> Iterator[str]:
    for field, choices in _CHOICES.items():
        value = getattr(settings, field)
        if value not in choices:
            yield f"{key_of(field)} is {value!r}: it must be one of {', '.join(map(str, choices))}."
    for field, (least, most, why) in _RANGES.items():
        value = getattr(settings, field)
        if not least <= value <= most:
            yield f"{key_of(field)} is {value}: it must be between {least:,} and {most:,} ({why})."


def _of_names(settings: StackSettings, label_sets: frozenset[str]) -> Iterator[str]:
    # The store's name has the numbers of its zones behind it, four characters at most.
    if settings.cache == "serverless" and not re.fullmatch(r"[a-z](?!.*--)[a-z0-9-]{0,34}[a-z0-9]", settings.name):
        yield (
            f"The stack's name makes {settings.name!r}: project and stack must be letters, digits and single hyphens, "
            "36 characters in all, as ElastiCache allows no other name."
        )
    elif not re.fullmatch(r"[a-z0-9_-]{1,64}", settings.name):
        yield (
            f"The stack's name makes {settings.name!r}: project and stack must be letters, digits, hyphens and "
            "underscores, 64 characters in all, as Lambda allows no other name."
        )
    if not re.fullmatch(r"[\w.-]+(:\d+)?(/[\w.-]+)*(:[\w.-]+)?(@sha256:[0-9a-f]{64})?", settings.base_image):
        yield f"baseImage is {settings.base_image!r}: it must be an image like public.ecr.aws/lambda/python:3.13."
    if not re.fullmatch(r"none|https?://\S+", settings.torch_index):
        yield f"torchIndex is {settings.torch_index!r}: it must be the URL of a package index, or none for PyPI."
    for name in settings.label_sets:
        if name not in label_sets:
            known = ", ".join(sorted(label_sets)) or "none yet"
            yield f"labelSets has {name!r}: it must be the name of a file in lambda_src/label_sets ({known})."
    if settings.default_label_set not in label_sets:
        known = ", ".join(sorted(label_sets)) or "none yet"
        yield (
            f"defaultLabelSet is {settings.default_label_set!r}: it must be the name of a file in "
            f"lambda_src/label_sets ({known})."
        )
    if settings.default_policy not in _policies():
        yield (
            f"defaultPolicy is {settings.default_policy!r}: it must be the name of a file in "
            f"lambda_src/policies ({', '.join(_policies())})."
        )
    if len(set(settings.label_sets)) < len(settings.label_sets):
        yield f"labelSets is {list(settings.label_sets)}: it must name each label set once."
    if settings.zone_ids and not (2 <= len(set(settings.zone_ids)) == len(settings.zone_ids) <= 3):
        yield f"zoneIds is {list(settings.zone_ids)}: it must be two or three different zones, or empty."
    for zone_id in settings.zone_ids:
        # A name, such as eu-central-1a, is another zone in each account.
        if not re.fullmatch(r"[a-z]+\d+-az\d", zone_id):
            yield f"zoneIds has {zone_id!r}: it must be a zone's id like euc1-az1, not its name."
    if settings.rewarm_schedule and not re.fullmatch(_SCHEDULE, settings.rewarm_schedule):
        yield f"rewarmSchedule is {settings.rewarm_schedule!r}: it must be like rate(7 days) or cron(0 6 * * ? *)."
    for origin in settings.cors_origins:
        if not re.fullmatch(r"\*|https?://[^/*\s]+", origin):
            yield f"corsOrigins has {origin!r}: it must be an origin like https://example.org, without a path."
    if settings.alarm_email and not re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+", settings.alarm_email):
        yield f"alarmEmail is {settings.alarm_email!r}: it must be an e-mail address."
    if settings.alarm_topic_arn and not re.fullmatch(r"arn:[\w-]+:sns:[\w-]+:\d{12}:\S+", settings.alarm_topic_arn):
        yield f"alarmTopicArn is {settings.alarm_topic_arn!r}: it must be the ARN of an SNS topic."
    if settings.domain_name and not re.fullmatch(
        r"([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}", settings.domain_name
    ):
        yield f"domainName is {settings.domain_name!r}: it must be a name like clip.example.org, in lower case."
    if settings.certificate_arn and not re.fullmatch(
        r"arn:[\w-]+:acm:[\w-]+:\d{12}:certificate/\S+", settings.certificate_arn
    ):
        yield f"certificateArn is {settings.certificate_arn!r}: it must be the ARN of an ACM certificate."


def _of_bands(settings: StackSettings) -> Iterator[str]:
    for policy, band in settings.alarm_block_share.items():
        if policy not in _policies():
            yield (
                f"alarmBlockShare has {policy!r}: it must be the name of a file in "
                f"lambda_src/policies ({', '.join(_policies())})."
            )
        numbers = isinstance(band, list) and all(type(one) in (int, float) for one in band)
        if not (numbers and len(band) == 2 and 0 <= band[0] < band[1] <= 100):
            yield f"alarmBlockShare has {band!r} for {policy!r}: it must be two percentages, as [1, 10]."


def _policies() -> list[str]:
    return sorted(path.stem for path in _POLICIES.glob("*.json"))
