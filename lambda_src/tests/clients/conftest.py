"""What the tests of other services' clients share: the service with the demo's policy, and one whose model fails."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from moderator.handler import build_handler
from moderator.settings import Settings
from support import towers
from support.harness import Service, serving
from support.token_gateway import guarded

DEMO = Settings(default_policy="demo", default_label_set="demo")


@pytest.fixture(scope="package")
def demo() -> Iterator[Service]:
    """The demo model, judging by its own policy: red circles are blocked, blue squares go to review."""
    with serving(build_handler(DEMO)) as running:
        yield running


@pytest.fixture(scope="package")
def gated() -> Iterator[Service]:
    """The same, behind a gateway that wants a token."""
    with serving(guarded(build_handler(DEMO))) as running:
        yield running


@pytest.fixture
def failing() -> Iterator[Service]:
    """The same, but its model fails: a bug."""
    with serving(build_handler(DEMO, load=towers.failing)) as running:
        yield running
