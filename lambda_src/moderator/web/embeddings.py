"""A picture's embedding as a text: given with an answer, and taken instead of the picture later.

`FINGERPRINT:BASE64`, the embeddings of the picture's parts as little-endian float32. Of an animated picture one base64
text for each frame, then number and second of each, and how many of how many frames could be looked at:
`FINGERPRINT:BASE64,BASE64;0@0.0,150@4.98;226/300`.
"""

from __future__ import annotations

import base64
import itertools
import re

import numpy as np

from moderator.classifier import Seen
from moderator.clip.model import Model
from moderator.clip.towers import Embeddings
from moderator.errors import InvalidField, MalformedBody, TooMuch
from moderator.pictures.views import MOST_TILES
from moderator.policy.form import MOST_FRAMES
from moderator.question import Animation, Embedded
from moderator.web.encoded_picture import decode_base64
from moderator.web.quoting import readable

_NAME = "embedding"
_MOMENT = re.compile(r"(\d{1,9})@(\d{1,20}(?:\.\d{1,20})?(?:e[+-]\d{1,3})?)", re.ASCII)
_REACHED = re.compile(r"(\d{1,9})/(\d{1,9})", re.ASCII)

# Embeddings are unit vectors to seven digits; one that is further off did not come from an answer.
_LENGTH_TOLERANCE = 1e-4


def write_embedding(seen: Seen, model: Model) -> str:
    """Write what was seen of a picture."""
    frames = ",".join(base64.b64encode(parts.astype("<f4").tobytes()).decode() for parts in seen.embeddings)
    text = f"{model.fingerprint}:{frames}"
    if seen.total_frames == 1:
        return text
    moments = ",".join(f"{number}@{second}" for number, second in zip(seen.numbers, seen.seconds, strict=True))
    return f"{text};{moments};{seen.total_frames - seen.unreached}/{seen.total_frames}"


def read_embedding(text: str, model: Model) -> Embedded:
    """Read what `write_embedding` wrote.

    Raises:
        MalformedBody: its base64 is not base64.
        InvalidField: it is another model's, or does not hold unit vectors of this model's size, or not where its frames
            belong.
        TooMuch: it has more frames than a policy may ask for, or a frame has more parts than any view.
    """
    fingerprint, colon, encoded = text.partition(":")
    if not colon:
        raise InvalidField("embedding has no fingerprint: give it as an earlier answer gave it, FINGERPRINT:BASE64.")
    if fingerprint != model.fingerprint:
        raise InvalidField(
            f"embedding was made by the model {readable(fingerprint)}, but {model.fingerprint} is running: "
            "only this model's embeddings can be compared with its labels."
        )
    frames, *animation = encoded.split(";")
    texts = frames.split(",", MOST_FRAMES)
    if len(texts) > MOST_FRAMES:
        raise TooMuch(f"embedding has more than {MOST_FRAMES} frames: no answer gives more.")
    embedded = tuple(_read_frame(frame, model) for frame in texts)
    if not animation and len(embedded) == 1:
        return Embedded(name=_NAME, frames=embedded)
    return Embedded(name=_NAME, frames=embedded, animation=_read_animation(animation, len(embedded)))


def _read_animation(parts: list[str], frames: int) -> Animation:
    whole = InvalidField(
        "embedding is of an animated picture, but does not say where its frames belong: give all of what an earlier "
        "answer gave, with what follows the semicolons."
    )
    if len(parts) != 2:
        raise whole
    moments = [_MOMENT.fullmatch(moment) for moment in parts[0].split(",", frames)]
    reached = _REACHED.fullmatch(parts[1])
    if reached is None or len(moments) != frames:
        raise whole
    read = [(int(moment[1]), float(moment[2])) for moment in moments if moment is not None]
    in_order = all(one[0] < other[0] and one[1] <= other[1] for one, other in itertools.pairwise(read))
    if (
        len(read) < frames
        or read[0][0] != 0
        or not in_order
        or int(reached[2]) < 2
        or not read[-1][0] < int(reached[1]) <= int(reached[2])
    ):
        raise whole
    return Animation(
        numbers=tuple(number for number, _ in read),
        seconds=tuple(second for _, second in read),
        total_frames=int(reached[2]),
        unreached=int(reached[2]) - int(reached[1]),
    )


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
    if len(data) > MOST_TILES * size:
        raise TooMuch(f"embedding has a frame of {len(data) // size:,} parts: no view has more than {MOST_TILES}.")
    rows = np.frombuffer(data, "<f4").reshape(-1, model.embedding_size)
    with np.errstate(over="ignore", invalid="ignore"):
        lengths = np.linalg.norm(rows.astype(np.float64), axis=1)
    if not bool(np.all(np.abs(lengths - 1.0) <= _LENGTH_TOLERANCE)):
        raise InvalidField("embedding holds a vector that is not of unit length: give it as an earlier answer gave it.")
    return rows.astype(np.float32)
