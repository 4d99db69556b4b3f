"""What a build of lambda_src/ is sent, as `.dockerignore` says it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from infra.config import CONTEXT
from tools.image_tree.context import context_files


@pytest.fixture
def context(tmp_path: Path) -> Path:
    """A small context with our own `.dockerignore`."""
    shutil.copy(CONTEXT / ".dockerignore", tmp_path)
    for name in ("Dockerfile", "requirements.txt", "moderator/handler.py", "label_sets/moderation.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    return tmp_path


@pytest.mark.parametrize(
    "name",
    [
        "moderator/__pycache__/handler.cpython-313.pyc",
        "moderator/deep/__pycache__/x.py",
        "moderator/handler.pyc",
        ".mypy_cache/3.11/x.json",
        "moderator/.ruff_cache/x",
        "tests/test_handler.py",
        "moderator/.DS_Store",
        "moderator/.env",
        "model_build/.env.local",
        "notes.txt",
    ],
)
def test_caches_and_tests_are_not_sent(context: Path, name: str) -> None:
    (context / name).parent.mkdir(parents=True, exist_ok=True)
    (context / name).write_text("left over")
    assert Path("moderator/handler.py") in context_files(context)
    assert Path(name) not in context_files(context)


def test_a_pattern_that_is_not_understood_is_refused(context: Path) -> None:
    (context / ".dockerignore").write_text("moderator/[a-z].py\n")
    with pytest.raises(ValueError, match="only names"):
        context_files(context)
