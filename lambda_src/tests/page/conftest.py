"""The page in a real browser, over the real service."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from support.browser import Visit, chromium, elsewhere, visiting
from support.harness import Service

# A busy machine may be slow.
expect.set_options(timeout=15_000)


# Not for the whole session: Playwright keeps an event loop running, and then the stack's tests could not start theirs.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser for a file's tests; each has a context of its own."""
    with chromium() as running:
        yield running


@pytest.fixture
def visit(browser: Browser, service: Service) -> Iterator[Visit]:
    """The page at 1280 pixels; afterwards nobody else was asked, and nothing was complained about."""
    with visiting(browser, viewport={"width": 1280, "height": 900}) as visit:
        visit.open(f"http://127.0.0.1:{service.port}/")
        yield visit
        assert not elsewhere(visit, f"http://127.0.0.1:{service.port}")
        assert not visit.complaints
