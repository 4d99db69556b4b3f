"""What several tests of the tools judge with."""

from __future__ import annotations

import pytest

from moderator.settings import Settings
from tools.core import Core, build_core


@pytest.fixture(scope="session")
def core() -> Core:
    """The demo model, loaded once."""
    return build_core(Settings())
