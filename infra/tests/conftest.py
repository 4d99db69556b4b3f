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

CONFIGURATIONS: dict[str, dict[str, object]] = {
    "defaults": {},
    "no cache": {"cache": "none"},
    "jwt": {"auth": "jwt", "jwtIssuer": "https://issuer.example.org", "jwtAudience": ["clip"]},
    "open with CORS": {"auth": "none", "corsOrigins": ["https://example.org"]},
    "SnapStart": {"snapStart": True},
    "everything": EVERYTHING,
}


@cache
def run_configuration(name: str) -> Recorded:
    return run_program(CONFIGURATIONS[name])


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
