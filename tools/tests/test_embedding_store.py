"""A file of embeddings that cannot be used is named in one sentence, and nothing in it is touched."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import numpy as np
import pytest

from moderator.settings import Settings
from tools.calibration.data import DataError
from tools.calibration.embed import EMBEDDINGS
from tools.calibration.store import EmbeddingStore, Stored
from tools.tests.desk import command, draw_into

pytestmark = pytest.mark.slow

_DAMAGED = "is damaged or no file of embeddings: delete it, or move it if it is yours, and pictures are embedded anew"
_TEXT = b"This is a list of my pictures, and no data base of any kind.\n" * 9


def opened(path: Path, model: str = "a model", code: str = "01234567") -> EmbeddingStore:
    return EmbeddingStore(path, made_by=model, code=code, embedding_size=4)


def some() -> dict[str, Stored]:
    return {f"content {number}": Stored(frames=(np.ones((2, 4), np.float32),), hash=b"1") for number in range(200)}


@pytest.mark.parametrize("tool", ["tools.calibration", "tools.calibration.compare"])
def test_the_commands_name_a_file_that_is_no_data_base(tmp_path: Path, tool: str) -> None:
    draw_into(tmp_path / "data/red circles", [("red", "circle")], seed=1)
    (tmp_path / EMBEDDINGS).parent.mkdir(parents=True)
    (tmp_path / EMBEDDINGS).write_bytes(_TEXT)
    models = ["--models", Settings().model_dir] if tool.endswith("compare") else []
    told = command(tool, "data", "--policy", "demo", *models, cwd=tmp_path)
    assert (told.returncode, told.stdout, told.stderr.strip()) == (2, "", f"{EMBEDDINGS} {_DAMAGED}.")
    assert (tmp_path / EMBEDDINGS).read_bytes() == _TEXT


def test_a_file_that_was_damaged_later_on_is_named_when_it_is_opened(tmp_path: Path) -> None:
    path = tmp_path / "embeddings.sqlite"
    store = opened(path)
    store.add(some())
    store.close()
    content = path.read_bytes()
    path.write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))  # its first page is whole
    with pytest.raises(DataError, match=_DAMAGED):
        opened(path)


@pytest.mark.parametrize("table", ["embeddings (name text)", "songs (name text)"])
def test_another_programs_data_base_is_named_and_left_as_it_is(tmp_path: Path, table: str) -> None:
    path = tmp_path / "embeddings.sqlite"
    theirs = sqlite3.connect(path)
    theirs.execute(f"create table {table}")
    theirs.close()
    before = path.read_bytes()
    with pytest.raises(DataError, match=_DAMAGED):
        opened(path)
    assert path.read_bytes() == before


def test_a_file_that_another_program_holds_is_said_to_be_held(tmp_path: Path) -> None:
    path = tmp_path / "embeddings.sqlite"
    opened(path).close()
    holder = sqlite3.connect(path)
    holder.execute("begin exclusive")
    with pytest.raises(DataError, match=r"embeddings\.sqlite is in use by another program: wait until that is done"):
        opened(path)
    holder.close()


def test_a_file_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    (tmp_path / "embeddings.sqlite").mkdir()
    with pytest.raises(DataError, match=r"embeddings\.sqlite cannot be read or written: unable to open database file"):
        opened(tmp_path / "embeddings.sqlite")


def test_what_other_code_has_made_is_forgotten_and_another_models_is_not(tmp_path: Path) -> None:
    path = tmp_path / "embeddings.sqlite"
    for model, code in (("a model", "01234567"), ("another", "01234567")):
        store = opened(path, model, code)
        store.add(some())
        store.close()
    size = path.stat().st_size
    for model in ("a model", "another"):
        store = opened(path, model)
        assert store.has("content 1")
        store.close()
    newer = opened(path, code="76543210")
    assert not newer.has("content 1")
    newer.add(some())
    newer.close()
    assert path.stat().st_size <= size, "the place of the others is used again"
    older = opened(path)
    assert not older.has("content 1")
    older.close()
