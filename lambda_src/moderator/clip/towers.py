"""The image tower and the text tower: one ONNX Runtime session each; unit vectors out."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from moderator.clip.model import Model
from moderator.clip.session import cpu_session
from moderator.clip.tokenizer import Tokenizer
from moderator.errors import ConfigurationError
from moderator.pictures.preprocessing import Pixels

Embeddings = npt.NDArray[np.float32]  # (items, dim), each row of unit length

# Tokens, padding included, that go through the text tower at once. More would not be faster per label, but 1000 labels
# of 77 tokens would need 600 MB for their activations alone.
_TOKENS_AT_ONCE = 4096


class ImageTower:
    """Embeds pictures."""

    def __init__(self, model: Model, *, threads: int) -> None:
        self._session = _session(model.folder / "image.onnx", threads, optimise=model.convolutions)

    def embed(self, pictures: Sequence[Pixels]) -> Embeddings:
        """Embed pictures of the model's input size in one batch.

        Args:
            pictures: uint8 (height, width, 3) each.

        Returns:
            float32 (pictures, dim), unit length.
        """
        batch = pictures[0][np.newaxis] if len(pictures) == 1 else np.stack(pictures)
        (embeddings,) = self._session.run(["embeddings"], {"pixels": batch})
        return embeddings  # type: ignore[no-any-return]  # ONNX Runtime ships no types


@dataclass(frozen=True, kw_only=True)
class TextBatch:
    """Labels that go through the text tower at once."""

    places: Sequence[int]  # of its labels among all that were asked for
    tokens: npt.NDArray[np.int64]  # (labels, length), zero after each label's end


class TextTower:
    """Embeds labels. Its session and its tokenizer are loaded when they are first needed, and often never are."""

    def __init__(self, model: Model, *, threads: int) -> None:
        self._model = model
        self._threads = threads
        self._session: Any = None
        self._tokenizer: Tokenizer | None = None
        self._lock = threading.Lock()  # held while loading
        self._loading: threading.Thread | None = None

    @property
    def loaded(self) -> bool:
        """Whether a label had to be computed yet."""
        return self._session is not None

    def load(self, seconds: float) -> bool:
        """Load what is not loaded yet; return whether that was done within so many seconds. If not, it goes on."""
        loading = self._loading
        if self._session is None and (loading is None or not loading.is_alive()):
            loading = self._loading = threading.Thread(
                target=self._load_behind, name="load the text tower", daemon=True
            )
            loading.start()
        if self._session is None and loading is not None:
            loading.join(max(0.0, seconds))
        return self._session is not None

    def _load_behind(self) -> None:
        # What is wrong with the files is told by whoever needs them at once.
        with contextlib.suppress(ConfigurationError):
            self._load_tokenizer()
            self._load_session()

    def _load_tokenizer(self) -> Tokenizer:
        with self._lock:
            if self._tokenizer is None:
                self._tokenizer = Tokenizer(
                    self._model.folder / "tokenizer.json",
                    context_length=self._model.context_length,
                    label_template=self._model.label_template,
                )
            return self._tokenizer

    def _load_session(self) -> Any:
        with self._lock:
            if self._session is None:
                self._session = self.open_session()
            return self._session

    def embed(self, labels: Sequence[str]) -> Embeddings:
        """Embed labels.

        Returns:
            float32 (labels, dim), unit length, in the order given.

        Raises:
            InvalidField: a label cannot be tokenised or is longer than the model's context.
        """
        embeddings = np.empty((len(labels), self._model.embedding_size), np.float32)
        for batch in self.batches(labels):
            embeddings[batch.places] = self.embed_batch(batch)
        return embeddings

    def batches(self, labels: Sequence[str]) -> list[TextBatch]:
        """Cut labels into batches, the longest first, so that labels of similar length share one and little is padded.

        Raises:
            InvalidField: a label cannot be tokenised or is longer than the model's context.
        """
        tokens = self._load_tokenizer().encode(labels)
        batches = []
        order = sorted(range(len(labels)), key=lambda index: len(tokens[index]), reverse=True)
        while order:
            # A causal tower never looks past a label's end token, so the longest label's length is enough.
            length = len(tokens[order[0]]) if self._model.causal_text else self._model.context_length
            count = max(1, _TOKENS_AT_ONCE // length)
            chosen, order = order[:count], order[count:]
            padded = np.zeros((len(chosen), length), np.int64)
            for row, index in enumerate(chosen):
                padded[row, : len(tokens[index])] = tokens[index]
            batches.append(TextBatch(places=chosen, tokens=padded))
        return batches

    def embed_batch(self, batch: TextBatch) -> Embeddings:
        """Embed the labels of one batch: float32 (labels, dim), unit length."""
        # Loaded only now, when every label is known to be valid.
        (embeddings,) = self._load_session().run(["embeddings"], {"tokens": batch.tokens})
        return embeddings  # type: ignore[no-any-return]  # ONNX Runtime ships no types

    def open_session(self) -> Any:
        """Load the tower."""
        return _session(self._model.folder / "text.onnx", self._threads, optimise=False)


def _session(path: Path, threads: int, *, optimise: bool) -> Any:
    try:
        return cpu_session(path, threads=threads, optimise=optimise)
    except Exception as error:
        raise ConfigurationError(f"{path} cannot be loaded ({error}): export the model again.") from error
