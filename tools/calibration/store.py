"""Embeddings on disk, by a picture's content, the model and the view: nothing is embedded twice."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from moderator.clip.towers import Embeddings
from tools.calibration.data import DataError

_TABLE = """create table if not exists embeddings (
  content text, made_by text, parts text, vectors blob, hash blob, primary key (content, made_by)
) without rowid"""
_COLUMNS = ["content", "made_by", "parts", "vectors", "hash"]


@dataclass(frozen=True, kw_only=True)
class Stored:
    """What is kept of one picture."""

    frames: tuple[Embeddings, ...]  # of each frame, (parts, dim)
    hash: bytes  # what it looks like: `lookalikes.py`


class EmbeddingStore:
    """One file of embeddings, of one model and view at a time."""

    def __init__(self, path: Path, *, made_by: str, code: str, embedding_size: int) -> None:
        """Open the file; what other code has made is forgotten, for nobody would ever ask for it.

        Args:
            path: made where it does not exist yet.
            made_by: the model's fingerprint, and how pictures were looked at.
            code: the version of the code that embeds: `code.py`.
            embedding_size: the model's.

        Raises:
            DataError: the file is damaged, another program's, in use, or cannot be written; so does each method.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        with self._explained():
            self._connection = sqlite3.connect(path)
            try:
                self._make_table()
                with self._connection:
                    self._connection.execute("delete from embeddings where made_by not like ?", (f"%:{code}",))
            except BaseException:
                self._connection.close()
                raise
        self._made_by = f"{made_by}:{code}"
        self._size = embedding_size

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def has(self, content: str) -> bool:
        """Return whether the picture with this SHA-256 was embedded."""
        query = "select 1 from embeddings where content = ? and made_by = ?"
        with self._explained():
            return self._connection.execute(query, (content, self._made_by)).fetchone() is not None

    def add(self, pictures: Mapping[str, Stored]) -> None:
        """Keep pictures, by their SHA-256."""
        rows = [
            (
                content,
                self._made_by,
                json.dumps([len(parts) for parts in stored.frames]),
                np.concatenate(stored.frames).astype("<f4").tobytes(),
                stored.hash,
            )
            for content, stored in pictures.items()
        ]
        with self._explained(), self._connection:
            self._connection.executemany("insert or replace into embeddings values (?, ?, ?, ?, ?)", rows)

    def read(self, contents: Sequence[str]) -> Iterable[Stored]:
        """Yield pictures one by one, in the order asked; all of them were added before."""
        query = "select parts, vectors, hash from embeddings where content = ? and made_by = ?"
        for content in contents:
            with self._explained():
                parts, vectors, looks = self._connection.execute(query, (content, self._made_by)).fetchone()
            rows = np.frombuffer(vectors, "<f4").reshape(-1, self._size).astype(np.float32)
            ends = np.cumsum(json.loads(parts))[:-1]
            yield Stored(frames=tuple(np.split(rows, ends)), hash=looks)

    def _make_table(self) -> None:
        """Make the table in a file of our own; another program's is left as it is."""
        tables = self._connection.execute("select name from sqlite_master where type = 'table'").fetchall()
        if not tables:
            self._connection.execute(_TABLE)
        columns = [row[1] for row in self._connection.execute("pragma table_info(embeddings)")]
        if columns != _COLUMNS:
            raise DataError(self._foreign())

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise DataError(self._sentence(error)) from error

    def _sentence(self, error: sqlite3.Error) -> str:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the rest says more: https://www.sqlite.org/rescode.html
        if code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
            return self._foreign()
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return f"{self._path} is in use by another program: wait until that is done, and run this again."
        return f"{self._path} cannot be read or written: {error}."

    def _foreign(self) -> str:
        return (
            f"{self._path} is damaged or no file of embeddings: "
            "delete it, or move it if it is yours, and pictures are embedded anew."
        )
