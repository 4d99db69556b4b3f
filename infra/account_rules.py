"""What a stack's settings may be where they name what an account has already.

The sentences are like those of `rules.py`: the key, its value and what would be right.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import IPv4Network
from urllib.parse import urlsplit

from infra.api import ROUTES
from infra.settings import StackSettings, key_of

# https://docs.aws.amazon.com/vpc/latest/userguide/vpc-cidr-blocks.html
_PRIVATE = [IPv4Network(block) for block in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10")]

_IMAGE = r"\d{12}\.dkr\.ecr\.[\w-]+\.amazonaws\.com(\.cn)?/[a-z0-9._/-]+@sha256:[0-9a-f]{64}"
_AN_IMAGE = "an image in ECR by its digest, ACCOUNT.dkr.ecr.REGION.amazonaws.com/NAME@sha256:…"

_KEY = r"arn:[\w-]+:kms:[\w-]+:\d{12}:key/[\w-]+"
_A_KEY = "the ARN of a KMS key, ending in key/ and its id, not an alias"

# Field, form, and what it must be.
_FORMS = (
    ("image_uri", _IMAGE, _AN_IMAGE),
    ("videos_image_uri", _IMAGE, _AN_IMAGE),
    (
        "cache_password_arn",
        r"arn:[\w-]+:secretsmanager:[\w-]+:\d{12}:secret:[\w/+=.@-]+-[A-Za-z0-9]{6}",
        "the whole ARN of a secret in Secrets Manager, with the six characters at its end",
    ),
    ("hosted_zone_id", r"Z[A-Z0-9]{5,31}", "the id of a Route 53 zone, such as Z0123456789ABC"),
    ("permissions_boundary", r"arn:[\w-]+:iam::(\d{12}|aws):policy/\S+", "the ARN of an IAM policy"),
    ("iam_path", r"/([\w+=,.@-]+/)*", "a path that begins and ends with a slash, such as /teams/moderation/"),
    (
        "kms_key_arn",
        _KEY,
        _A_KEY,
    ),
)


def complaints_of_account(settings: StackSettings) -> Iterator[str]:
    """Say what is wrong with what is named of the account."""
    for field, form, what in _FORMS:
        value = getattr(settings, field)
        if value and not re.fullmatch(form, value):
            yield f"{key_of(field)} is {value!r}: it must be {what}."
    if not settings.iam_path:
        yield "iamPath is '': it must be a path that begins and ends with a slash, / alone for none."
    for bucket in settings.read_buckets:
        if not re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", bucket):
            yield f"readBuckets has {bucket!r}: it must be the name of a bucket, not an address."
    for key in settings.bucket_key_arns:
        if not re.fullmatch(_KEY, key):
            yield f"bucketKeyArns has {key!r}: it must be {_A_KEY}."
    if settings.bucket_key_arns and not (settings.read_buckets or settings.jobs):
        yield (
            f"bucketKeyArns is {list(settings.bucket_key_arns)}: readBuckets, jobBuckets or streamBuckets must name "
            "what they encrypt, or it is ignored."
        )
    yield from _of_network(settings)
    yield from _of_own_store(settings)
    yield from _of_scopes(settings)
    yield from _of_domain(settings)


def _of_network(settings: StackSettings) -> Iterator[str]:
    subnets, groups = list(settings.subnet_ids), list(settings.security_group_ids)
    for key, ids, form in (("subnetIds", subnets, "subnet"), ("securityGroupIds", groups, "sg")):
        for one in ids:
            if not re.fullmatch(rf"{form}-[0-9a-f]{{8,17}}", one):
                yield f"{key} has {one!r}: it must be an id like {form}-0123456789abcdef0."
    if bool(subnets) != bool(groups):
        yield (
            f"subnetIds is {subnets} and securityGroupIds is {groups}: "
            "they go together, so both must have ids or neither."
        )
    if len(set(groups)) != len(groups) or len(groups) > 4:
        yield (
            f"securityGroupIds is {groups}: it must be four different groups at most, as Lambda allows five, "
            "and one is the stack's own."
        )
    most = 3 if settings.cache == "serverless" else 16
    least = 2 if settings.cache == "serverless" else 1
    if subnets and not least <= len(set(subnets)) == len(subnets) <= most:
        yield (
            f"subnetIds is {subnets}: with cache {settings.cache} it must be {least} to {most} different subnets, "
            "each in another zone."
        )
    if subnets and settings.zone_ids:
        yield f"zoneIds is {list(settings.zone_ids)}: it must be empty with subnetIds, whose zones are taken."
    if subnets and settings.network_cidr != "10.0.0.0/16":
        yield f"networkCidr is {settings.network_cidr!r}: it must be left out with subnetIds, as no network is made."
    if not _is_private_block(settings.network_cidr):
        yield (
            f"networkCidr is {settings.network_cidr!r}: it must be a block of private addresses from /16 to /22, "
            "such as 10.0.0.0/16."
        )


def _is_private_block(text: str) -> bool:
    try:
        network = IPv4Network(text)
    except ValueError:
        return False
    return 16 <= network.prefixlen <= 22 and any(network.subnet_of(block) for block in _PRIVATE)


def _of_own_store(settings: StackSettings) -> Iterator[str]:
    if settings.cache != "url":
        given = {
            "cacheUrl": settings.cache_url,
            "cacheUser": settings.cache_user,
            "cachePassword": settings.cache_password.plain,
            "cachePasswordArn": settings.cache_password_arn,
            "cacheCluster": settings.cache_cluster,
        }
        for key in [key for key, value in given.items() if value]:
            yield f"cache is {settings.cache!r}: it must be url when {key} is set, or that is ignored."
        return
    # What is wrong may be that a password is in it: so the value is not told.
    try:
        url = urlsplit(settings.cache_url)
        good = url.scheme in ("redis", "rediss") and bool(url.hostname) and (url.port is None or url.port > 0)
    except ValueError:
        good = False
    if not good:
        yield "cacheUrl is not an address: with cache url it must be like rediss://cache.example.org:6379."
    elif "@" in settings.cache_url:
        yield "cacheUrl has a user or a password in it: they must be in cacheUser and cachePassword."
    elif url.query or url.fragment:
        yield f"cacheUrl is {settings.cache_url!r}: it must have nothing after the port, but for a database's number."
    elif settings.cache_cluster and url.path.strip("/") not in ("", "0"):
        yield f"cacheUrl is {settings.cache_url!r}: it must name no database, as a cluster has the one, 0."


def _of_scopes(settings: StackSettings) -> Iterator[str]:
    if settings.jwt_scopes and settings.auth != "jwt":
        yield f"auth is {settings.auth!r}: it must be jwt when jwtScopes is set, or they are ignored."
    for route, scopes in settings.jwt_scopes.items():
        if route != "*" and route not in ROUTES:
            yield f"jwtScopes has {route!r}: it must be * or one of {', '.join(ROUTES)}."
        if not isinstance(scopes, list) or not all(isinstance(one, str) and one for one in scopes) or not scopes:
            yield f"jwtScopes has {scopes!r} for {route!r}: it must be a list of scopes, such as [moderate]."


def _of_domain(settings: StackSettings) -> Iterator[str]:
    if settings.hosted_zone_id and not settings.domain_name:
        yield f"hostedZoneId is {settings.hosted_zone_id!r}: it must go with domainName, which it is to point at."
    if not settings.default_endpoint and not settings.domain_name:
        yield "defaultEndpoint is false: it must be true without domainName, or nobody could reach the API."
