"""The fixtures of the service's tests."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from moderator.clip.model import Model
from moderator.handler import Towers, build_handler, load_towers
from moderator.settings import Settings
from support.harness import RedisServer, Service, StartService, free_port, serving
from support.tally import Tally


@pytest.fixture
def start_service() -> Iterator[StartService]:
    """Start services with the settings given, each with its own memory, like a new process."""
    with ExitStack() as stack:

        def start(*, load: Callable[[Model, int], Towers] = load_towers, **settings: Any) -> Service:
            return stack.enter_context(serving(build_handler(replace(Settings(), **settings), load=load)))

        yield start


@pytest.fixture(scope="session")
def service() -> Iterator[Service]:
    """The demo model without a store, for tests that do not look at the cache."""
    with serving(build_handler(Settings())) as running:
        yield running


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    """An empty server for one test."""
    server = RedisServer(tmp_path, free_port())
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def tally() -> Iterator[Tally]:
    """The counts of the whole run."""
    counts = Tally()
    yield counts
    if path := os.environ.get("RELIABILITY_JSON"):
        counts.write(Path(path))
