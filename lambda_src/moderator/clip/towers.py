"""The image tower and the text tower: one ONNX Runtime session each; unit vectors out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from moderator.clip.model import Model
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
        self._session = _session(model.folder / "image.onnx", threads)

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


class TextTower:
    """Embeds labels. Its session and its tokenizer are loaded when they are first needed, and often never are."""

    def __init__(self, model: Model, *, threads: int) -> None:
        self._model = model
        self._threads = threads
        self._session: Any = None
        self._tokenizer: Tokenizer | None = None

    @property
    def loaded(self) -> bool:
        """Whether a label had to be computed yet."""
        return self._session is not None

    def embed(self, labels: Sequence[str]) -> Embeddings:
        """Embed labels, the longest first so that labels of like length share a batch and little is padded.

        Returns:
            float32 (labels, dim), unit length, in the order given.

        Raises:
            InvalidField: a label cannot be tokenised or is longer than the model's context.
        """
        if self._tokenizer is None:
            self._tokenizer = Tokenizer(
                self._model.folder / "tokenizer.json",
                context_length=self._model.context_length,
                label_template=self._model.label_template,
            )
        tokens = self._tokenizer.encode(labels)
        # Only after every label is known to be valid is it worth loading the session.
        if self._session is None:
            self._session = _session(self._model.folder / "text.onnx", self._threads)

        embeddings = np.empty((len(labels), self._model.embedding_size), np.float32)
        order = sorted(range(len(labels)), key=lambda index: len(tokens[index]), reverse=True)
        while order:
            # A causal tower never looks past a label's end token, so the longest label's length is enough.
            length = len(tokens[order[0]]) if self._model.causal_text else self._model.context_length
            count = max(1, _TOKENS_AT_ONCE // length)
            chosen, order = order[:count], order[count:]
            batch = np.zeros((len(chosen), length), np.int64)
            for row, index in enumerate(chosen):
                batch[row, : len(tokens[index])] = tokens[index]
            (embeddings[chosen],) = self._session.run(["embeddings"], {"tokens": batch})
        return embeddings


def _session(path: Path, threads: int) -> Any:
    # Imported here, so that a process which only needs one tower's types does not pay for it.
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Idle threads that go on spinning would take the CPU from what runs next: the other tower, and the process itself.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise ConfigurationError(f"{path} cannot be loaded ({error}): export the model again.") from error
