"""Films, drawn once and encoded when they are first asked for; and what judges them, and pictures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from moderator.jobs.judge_process import JudgeProcess
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


@pytest.fixture(scope="module")
def judge() -> Iterator[JudgeProcess]:
    """One child for all tests of a file: it starts as long as a model takes to load."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
        patch.setenv("JOBS_RESULTS_BUCKET", "results")
        running = JudgeProcess(seconds=30, video_seconds=60)
        running.start()
        yield running
        running.stop()
