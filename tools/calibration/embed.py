"""Embeds labelled pictures once, and compares them with a policy's labels. Holds embeddings, never pictures."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from moderator.classifier import Cosines
from moderator.clip.model import Model
from moderator.errors import RequestError
from moderator.pictures.batch import Picture
from moderator.pictures.frames import FrameSampling
from moderator.policy.policy import Policy
from moderator.question import Embedded
from tools.calibration.data import DataError, Labelled
from tools.calibration.lookalikes import Groups, groups, look_hash
from tools.calibration.store import EmbeddingStore, Stored
from tools.code import SERVICE, TOOLS, code_version
from tools.core import Core
from tools.files import printable, read_file
from tools.halving import in_halves

EMBEDDINGS = Path("build/calibration/embeddings.sqlite")

_TOGETHER = 16
# Pictures whose embeddings are compared with the labels at once.
_COMPARED = 256


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """Labelled pictures that could be read, each content once, by their first path."""

    paths: tuple[str, ...]
    contents: tuple[str, ...]  # SHA-256
    categories: tuple[frozenset[str], ...]
    looks: tuple[bytes, ...]  # what each looks like: `lookalikes.py`
    groups: Groups
    rows: Cosines  # (frames of all pictures, labels), in the order of the policy's labels
    frames: tuple[int, ...]  # how many of the rows are each picture's
    parts: int  # of all pictures: how many went through the image tower
    unreadable: tuple[tuple[str, str], ...]  # path, why
    copies: int  # files with the same content as another


@dataclass(frozen=True, kw_only=True)
class _Waiting:
    path: str
    content: str
    data: bytes


def open_store(path: Path, model: Model, policy: Policy, *, max_pixels: int) -> EmbeddingStore:
    """Open the embeddings that depend, besides the picture, on this model, what is looked at, the limit and this code.

    Without the limit, what it refuses would count or not by whether an earlier run knew it.

    Raises:
        DataError: the file cannot be used.
    """
    code = code_version(
        SERVICE / "pictures",
        SERVICE / "clip",
        SERVICE / "classifier.py",
        TOOLS / "calibration/embed.py",
        TOOLS / "calibration/lookalikes.py",
        TOOLS / "calibration/store.py",
    )
    return EmbeddingStore(
        path,
        made_by=f"{model.fingerprint}:{policy.view}:{policy.frames.most}:{policy.frames.every}:{max_pixels}",
        code=code,
        embedding_size=model.embedding_size,
    )


class Embedder:
    """Embeds pictures with one model, as one policy looks at them."""

    def __init__(self, core: Core, policy: Policy, store: Path) -> None:
        self._core = core
        self._policy = policy
        self._sampling = FrameSampling(most=policy.frames.most, every=policy.frames.every)
        self._store = open_store(store, core.model, policy, max_pixels=core.settings.max_pixels)
        self._unreadable: list[tuple[str, str]] = []
        # Before the first picture: a label that cannot be used must not be blamed on a picture.
        core.labels.embed(policy.labels)

    def embed(self, labelled: Labelled, advance: Callable[[], None]) -> Pictures:
        """Embed what the store lacks, then compare all; `advance` is called after each file.

        Raises:
            DataError: no picture can be read.
        """
        paths: dict[str, str] = {}  # by content, the first
        categories: dict[str, frozenset[str]] = {}
        for path, content in self._contents(labelled, advance):
            paths.setdefault(content, path)
            categories[content] = categories.get(content, frozenset()) | labelled.categories[path]
        lost = {path for path, _ in self._unreadable}
        contents = [content for content, path in paths.items() if path not in lost]
        if not contents:
            path, why = min(self._unreadable)
            raise DataError(f"None of the {len(labelled.categories):,} pictures can be read. {printable(path)}: {why}")
        rows, frames, hashes, parts = self._compared(contents)
        return Pictures(
            paths=tuple(paths[content] for content in contents),
            contents=tuple(contents),
            categories=tuple(categories[content] for content in contents),
            looks=tuple(hashes),
            groups=groups(hashes),
            rows=rows,
            frames=tuple(frames),
            parts=parts,
            unreadable=tuple(sorted(self._unreadable)),
            copies=len(labelled.categories) - len(contents) - len(self._unreadable),
        )

    def _contents(self, labelled: Labelled, advance: Callable[[], None]) -> Iterator[tuple[str, str]]:
        waiting: dict[str, _Waiting] = {}
        for path in labelled.categories:
            try:
                data = read_file(labelled.folder / path, max_bytes=self._core.settings.max_body_bytes)
            except RequestError as error:
                self._unreadable.append((path, error.detail))
            except OSError as error:
                self._unreadable.append((path, f"It cannot be read: {error.strerror}."))
            else:
                content = hashlib.sha256(data).hexdigest()
                if content not in waiting and not self._store.has(content):
                    waiting[content] = _Waiting(path=path, content=content, data=data)
                if len(waiting) == _TOGETHER:
                    self._embed(list(waiting.values()))
                    waiting = {}
                yield path, content
            advance()
        if waiting:
            self._embed(list(waiting.values()))

    def _embed(self, waiting: Sequence[_Waiting]) -> None:
        done = in_halves(waiting, self._embedded, self._refused)
        self._store.add({one.content: stored for one, stored in zip(waiting, done, strict=True) if stored})

    def _embedded(self, waiting: Sequence[_Waiting]) -> list[Stored | None]:
        pictures = [Picture(name="The file", data=one.data) for one in waiting]
        scores = self._core.classifier.score(
            pictures, self._policy.labels, view=self._policy.view, frames=self._sampling
        )
        looks = [look_hash(picture, max_pixels=self._core.settings.max_pixels) for picture in pictures]
        return [Stored(frames=seen.embeddings, hash=look) for seen, look in zip(scores.pictures, looks, strict=True)]

    def _refused(self, one: _Waiting, error: RequestError) -> None:
        self._unreadable.append((one.path, error.detail))

    def _compared(self, contents: Sequence[str]) -> tuple[Cosines, list[int], list[bytes], int]:
        rows: list[Cosines] = [np.empty((0, len(self._policy.labels)), np.float32)]
        frames, hashes, parts = [], [], 0
        stored = iter(self._store.read(contents))
        while some := list(islice(stored, _COMPARED)):
            given = [Embedded(name="a picture", frames=one.frames) for one in some]
            scores = self._core.classifier.score(given, self._policy.labels, view=self._policy.view)
            rows += [seen.cosines for seen in scores.pictures]
            frames += [len(seen.cosines) for seen in scores.pictures]
            hashes += [one.hash for one in some]
            parts += sum(len(embeddings) for one in some for embeddings in one.frames)
        return np.concatenate(rows), frames, hashes, parts
