"""What a stack's settings may be beside each other: sentences like those of `rules.py`."""

from __future__ import annotations

import re
from collections.abc import Iterator

from infra.settings import StackSettings, key_of


def complaints_of_pairs(settings: StackSettings) -> Iterator[str]:
    """Say what is wrong with settings that are each right by themselves."""
    if settings.auth == "jwt":
        if not re.fullmatch(r"https://[\w-]+(\.[\w-]+)+(:\d+)?(/\S*)?", settings.jwt_issuer):
            yield f"jwtIssuer is {settings.jwt_issuer!r}: with auth jwt it must be the https:// URL of the issuer."
        if not settings.jwt_audience:
            yield "jwtAudience is []: with auth jwt it must name at least one audience."
    elif settings.jwt_issuer or settings.jwt_audience:
        yield f"auth is {settings.auth!r}: it must be jwt when jwtIssuer or jwtAudience is set, or they are ignored."
    if settings.snap_start and settings.provisioned_concurrency:
        yield (
            f"snapStart is true and provisionedConcurrency is {settings.provisioned_concurrency}: "
            "Lambda allows one or the other, so one must be off."
        )
    if settings.canary_minutes and settings.provisioned_concurrency:
        yield (
            f"canaryMinutes is {settings.canary_minutes} and provisionedConcurrency is "
            f"{settings.provisioned_concurrency}: one must be 0, as Lambda moves an alias whose instances are kept "
            "warm by weights of its own."
        )
    if 0 < settings.canary_minutes < 5:
        yield (
            f"canaryMinutes is {settings.canary_minutes}: it must be 0 or from 5 to 30, as errors are counted by the "
            "minute and seen one or two minutes later."
        )
    if settings.canary_percent != 10 and not settings.canary_minutes:
        yield f"canaryPercent is {settings.canary_percent}: canaryMinutes must be set, or it is ignored."
    if 0 < settings.reserved_concurrency < settings.provisioned_concurrency:
        yield (
            f"provisionedConcurrency is {settings.provisioned_concurrency}: "
            f"it must be at most reservedConcurrency, which is {settings.reserved_concurrency}."
        )
    yield from _of_jobs(settings)
    if bool(settings.domain_name) != bool(settings.certificate_arn):
        yield (
            f"domainName is {settings.domain_name!r} and certificateArn is {settings.certificate_arn!r}: "
            "they go together, so both must be set or neither."
        )


def _of_jobs(settings: StackSettings) -> Iterator[str]:
    for field in ("job_buckets", "stream_buckets"):
        names = getattr(settings, field)
        for bucket in names:
            if not re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", bucket):
                yield f"{key_of(field)} has {bucket!r}: it must be the name of a bucket, without s3:// and prefix."
        if len(set(names)) < len(names):
            yield f"{key_of(field)} is {list(names)}: it must name each bucket once."
        if names and not settings.jobs:
            yield f"{key_of(field)} is {list(names)}: jobs must be true, or it is ignored."
    for field in ("videos", "manage_notifications", "tag_objects"):
        if getattr(settings, field) and not settings.jobs:
            yield f"{key_of(field)} is true: jobs must be true, or it is ignored."
    if settings.jobs and not (settings.job_buckets or settings.stream_buckets):
        yield "jobs is true: jobBuckets or streamBuckets must name the buckets that it may read."
    if settings.videos and settings.image_uri and not settings.videos_image_uri:
        yield (
            "videosImageUri is '': with imageUri and videos it must be the worker's image, as nothing is built and "
            "another model than the service's must not judge videos."
        )
    if settings.videos_image_uri and not (settings.videos and settings.image_uri):
        yield f"videosImageUri is {settings.videos_image_uri!r}: it must go with videos and imageUri, or it is ignored."
    if settings.jobs and len(settings.name) > 59:
        yield (
            f"The stack's name makes {settings.name!r}: with jobs it must have 59 characters at most, "
            "as the worker's name is longer by five, and Lambda allows 64."
        )
