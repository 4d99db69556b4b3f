"""What the decoder's process says of a video, each message checked: it is not trusted, and may send anything.

What it sends is taken for numbers and pixels of the size that was asked for, or not at all.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field

import numpy as np

from moderator.errors import BrokenVideo, RequestError, TooMuch, UnknownVideo
from moderator.jobs.video_pipe import FRAME, MOMENT, OPENED, REFUSED
from moderator.jobs.video_process import Gone
from moderator.pictures.decode import Frame
from moderator.pictures.preprocessing import Preprocessing

_MOST_PARTS = 4

NO_PROTOCOL = "its decoder did not keep to the protocol"
_LIMITED = "its key frames are far apart, and of the frames between them no more are decoded"
_REFUSALS: dict[str, type[RequestError]] = {"unknown": UnknownVideo, "too much": TooMuch, "broken": BrokenVideo}


@dataclass(frozen=True, kw_only=True)
class Film:
    """What a video says of itself."""

    asked: int  # moments
    seconds: float
    frames: int  # that it has, as far as the file says
    width: int
    height: int
    codec: str


@dataclass(kw_only=True)
class Said:
    """What the child has said so far, each of it checked."""

    most: int  # moments that were asked for
    to: Preprocessing  # the size that frames must have
    film: Film | None = None
    frames: dict[int, Frame] = field(default_factory=dict)  # by moment
    unseen: float = 0.0
    stopped: str | None = None
    memory: int | None = None

    def take(self, kind: bytes, payload: bytes) -> None:
        """Take a message.

        Raises:
            RequestError: the child refuses the video.
            Gone: that is no message.
        """
        if kind == OPENED and self.film is None:
            self.film = _film(payload, self.most)
        elif kind == FRAME and self.film is not None:
            number, frame, self.unseen = _frame(payload, self.to, self.film)
            self.frames.setdefault(number, frame)
        elif kind == REFUSED:
            self._refuse(payload)
        else:
            raise Gone(NO_PROTOCOL)

    def end(self, payload: bytes) -> None:
        """Take the child's last message: its memory at its peak, and whether not all was looked at."""
        try:
            said = json.loads(payload)
            self.memory, limited = int(said["memory"]), bool(said["limited"])
        except (ValueError, TypeError, KeyError) as error:
            raise Gone(NO_PROTOCOL) from error
        self.stopped = _LIMITED if limited else None

    def _refuse(self, payload: bytes) -> None:
        """Raise what the child says of the whole video; where frames were found before it, they are judged."""
        try:
            said = json.loads(payload)
            kind, detail = _REFUSALS[said["kind"]], str(said["detail"])[:300]
        except (ValueError, TypeError, KeyError) as error:
            raise Gone(NO_PROTOCOL) from error
        if self.frames:
            raise Gone(detail)
        raise kind(f"The video cannot be judged: {detail}.")


def _film(payload: bytes, most: int) -> Film:
    try:
        said = json.loads(payload)
        width, height = map(int, said["size"])
        film = Film(
            asked=int(said["asked"]),
            seconds=float(said["seconds"]),
            frames=int(said["frames"]),
            width=width,
            height=height,
            codec=str(said["codec"])[:40],
        )
    except (ValueError, TypeError, KeyError) as error:
        raise Gone(NO_PROTOCOL) from error
    if not 1 <= film.asked <= most or not math.isfinite(film.seconds):
        raise Gone(NO_PROTOCOL)
    return film


def _frame(payload: bytes, to: Preprocessing, film: Film) -> tuple[int, Frame, float]:
    """Read a frame: which moment, what is seen, and the share of it that is not."""
    if len(payload) < MOMENT.size:
        raise Gone(NO_PROTOCOL)
    number, place, second, unseen, parts = MOMENT.unpack_from(payload)
    pixels = np.frombuffer(payload, np.uint8, offset=MOMENT.size)
    is_sound = number < film.asked and math.isfinite(second) and second >= 0 and 0 <= unseen <= 1
    if not is_sound or not 1 <= parts <= _MOST_PARTS or pixels.size != parts * to.height * to.width * 3:
        raise Gone(NO_PROTOCOL)
    shaped = pixels.reshape(parts, to.height, to.width, 3)
    return number, Frame(parts=tuple(shaped), number=place, seconds=second), unseen
