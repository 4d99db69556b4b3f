"""A picture's embedding as a text: given with an answer, and taken instead of the picture later.

`FINGERPRINT:BASE64`, the embeddings of the picture's parts as little-endian float32; of an animated picture one
base64 text for each frame, with commas between them.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence

import numpy as np

from moderator.clip.model import Model
from moderator.clip.towers import Embeddings
from moderator.errors import InvalidField, MalformedBody
from moderator.web.payload import decode_base64, readable

# Embeddings are unit vectors to seven digits; one that is further off did not come from an answer.
_LENGTH_TOLERANCE = 1e-4


def write_embedding(frames: Sequence[Embeddings], model: Model) -> str:
    """Write a picture's embeddings, (parts, dim) of each frame."""
    texts = (base64.b64encode(parts.astype("<f4").tobytes()).decode() for parts in frames)
    return f"{model.fingerprint}:{','.join(texts)}"


def read_embedding(text: str, model: Model) -> tuple[Embeddings, ...]:
    """Read what `write_embedding` wrote.

    Returns:
        (parts, dim) of each frame, float32, unit length.

    Raises:
        MalformedBody: its base64 is not base64.
        InvalidField: it is another model's, or does not hold unit vectors of this model's size.
    """
    fingerprint, colon, encoded = text.partition(":")
    if not colon:
        raise InvalidField("embedding has no fingerprint: give it as an earlier answer gave it, FINGERPRINT:BASE64.")
    if fingerprint != model.fingerprint:
        raise InvalidField(
            f"embedding was made by the model {readable(fingerprint)}, but {model.fingerprint} is running: "
            "only this model's embeddings can be compared with its labels."
        )
    return tuple(_read_frame(frame, model) for frame in encoded.split(","))


def _read_frame(text: str, model: Model) -> Embeddings:
    try:
        data = decode_base64(text)
    except ValueError as error:
        raise MalformedBody(f"embedding is not base64 ({error}): give it as an earlier answer gave it.") from error
    size = 4 * model.embedding_size
    if not data or len(data) % size:
        raise InvalidField(
            f"embedding has {len(data):,} bytes: it must have a multiple of {size:,}, as answers give it."
        )
    rows = np.frombuffer(data, "<f4").reshape(-1, model.embedding_size)
    with np.errstate(over="ignore", invalid="ignore"):
        lengths = np.linalg.norm(rows.astype(np.float64), axis=1)
    if not bool(np.all(np.abs(lengths - 1.0) <= _LENGTH_TOLERANCE)):
        raise InvalidField("embedding holds a vector that is not of unit length: give it as an earlier answer gave it.")
    return rows.astype(np.float32)
