"""The configurations that the whole program is run with, each once."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest

from infra.tests.program import Recorded, run_program

EVERYTHING = {
    "auth": "jwt",
    "jwtIssuer": "https://issuer.example.org",
    "jwtAudience": ["clip"],
    "corsOrigins": ["https://example.org"],
    "domainName": "clip.example.org",
    "certificateArn": "arn:aws:acm:eu-central-1:111122223333:certificate/1",
    "provisionedConcurrency": 2,
    "reservedConcurrency": 5,
    "rewarmSchedule": "rate(7 days)",
    "alarmEmail": "somebody@example.org",
    "alarmTopicArn": "arn:aws:sns:eu-central-1:111122223333:ours",
    "zoneIds": ["euc1-az1", "euc1-az2", "euc1-az3"],
    "memory": 3008,
    "logLabels": True,
}

TOKENS = {"misskey": "0123456789abcdef" * 4, "pict-rs": "fedcba9876543210" * 4}
OWN_NETWORK: dict[str, object] = {
    "subnetIds": ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"],
    "securityGroupIds": ["sg-0123456789abcdef0"],
}
PASSWORD = "correct horse battery staple"
OWN_STORE: dict[str, object] = {
    "cache": "url",
    "cacheUrl": "rediss://cache.example.org:6379",
    "cacheUser": "clip",
    "cachePassword": PASSWORD,
}
DIGEST = f"sha256:{'1' * 64}"
IMAGE = f"111122223333.dkr.ecr.eu-central-1.amazonaws.com/promoted@{DIGEST}"
KEY = "arn:aws:kms:eu-central-1:111122223333:key/01234567-89ab-cdef-0123-456789abcdef"
BOUNDARY = "arn:aws:iam::111122223333:policy/boundary"
PLATFORM = {
    **OWN_STORE,
    **OWN_NETWORK,
    "secretsEndpoint": True,
    "permissionsBoundary": BOUNDARY,
    "iamPath": "/teams/moderation/",
    "kmsKeyArn": KEY,
    "tracing": True,
    "auth": "token",
    "authTokens": TOKENS,
    "domainName": "clip.example.org",
    "certificateArn": "arn:aws:acm:eu-central-1:111122223333:certificate/1",
    "hostedZoneId": "Z0123456789ABC",
    "defaultEndpoint": False,
    "canaryMinutes": 5,
    "alarmBlockShare": {"moderation": [1, 10]},
    "alarmEmail": "somebody@example.org",
    "rewarmSchedule": "rate(7 days)",
}

READ_BUCKETS: dict[str, object] = {"readBuckets": ["pictures.example", "more-pictures"]}

JOBS: dict[str, object] = {"jobs": True, "jobBuckets": ["pictures"]}
STREAM: dict[str, object] = {
    **JOBS,
    "streamBuckets": ["uploads"],
    "manageNotifications": True,
    "tagObjects": True,
    "videos": True,
}

BUCKET_KEY = "arn:aws:kms:eu-central-1:111122223333:key/fedcba98-89ab-cdef-0123-456789abcdef"

CONFIGURATIONS: dict[str, dict[str, object]] = {
    "defaults": {},
    "no cache": {"cache": "none"},
    "jwt": {"auth": "jwt", "jwtIssuer": "https://issuer.example.org", "jwtAudience": ["clip"]},
    "open with CORS": {"auth": "none", "corsOrigins": ["https://example.org"]},
    "SnapStart": {"snapStart": True},
    "everything": EVERYTHING,
    "token": {"auth": "token", "authTokens": TOKENS},
    "own network": OWN_NETWORK,
    "own CIDR": {"networkCidr": "172.20.16.0/20"},
    "cache by URL": OWN_STORE,
    "image by digest": {"imageUri": IMAGE},
    "canary": {"canaryMinutes": 5},
    "read buckets": READ_BUCKETS,
    "platform": PLATFORM,
}


# With a second function and its own things: what holds for them is promised in test_jobs.py.
WITH_JOBS: dict[str, dict[str, object]] = {
    "jobs": JOBS,
    "jobs and a stream": STREAM,
    "platform with jobs": {**PLATFORM, **STREAM, **READ_BUCKETS, "bucketKeyArns": [BUCKET_KEY]},
}


@cache
def run_configuration(name: str) -> Recorded:
    return run_program((CONFIGURATIONS | WITH_JOBS)[name])


@pytest.fixture
def defaults() -> Recorded:
    return run_configuration("defaults")


@pytest.fixture(params=list(CONFIGURATIONS))
def every(request: pytest.FixtureRequest) -> Recorded:
    """Each configuration in turn, for the promises that hold in all of them."""
    return run_configuration(str(request.param))


@pytest.fixture
def run() -> Callable[[str], Recorded]:
    return run_configuration
