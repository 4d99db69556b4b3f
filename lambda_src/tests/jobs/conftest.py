"""Films, drawn once and encoded when they are first asked for; and what judges them."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.films import Studio
from support.videos import Desk, make_desk


@pytest.fixture(scope="session")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Studio:
    return Studio(tmp_path_factory.mktemp("films"))


@pytest.fixture(scope="session")
def desk() -> Desk:
    return make_desk()


@pytest.fixture(scope="session")
def h264(studio: Studio) -> Path:
    return studio.film("h264.mp4")
