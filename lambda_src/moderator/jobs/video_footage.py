"""The frames of a video, from the process that decodes it; it is served the ranges of the file that it asks for.

Whatever the child does, this returns by the deadline; `video_said.py` checks what it sends.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import BinaryIO

from moderator.errors import BrokenVideo
from moderator.jobs.video_pipe import BYTES, DONE, JOB, NO_MORE, READ, REQUEST, Container, Limits, message
from moderator.jobs.video_process import DECODER, DecoderProcess, Gone
from moderator.jobs.video_said import NO_PROTOCOL, Film, Said
from moderator.pictures.decode import Frame
from moderator.pictures.preprocessing import Preprocessing
from moderator.pictures.views import View
from moderator.policy.policy import Frames

_MOST_AT_ONCE = 1 << 22  # bytes of the file


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What is to be seen of a video."""

    container: Container
    frames: Frames  # how many moments, and how far apart
    preprocessing: Preprocessing  # the model's input
    view: View


@dataclass(frozen=True, kw_only=True)
class Spent:
    """What decoding a video took."""

    bytes_read: int
    requests: int
    cpu_seconds: float  # of the child's process, its start included
    memory: int | None  # bytes of the child at its peak; None where it did not come to its end


@dataclass(frozen=True, kw_only=True)
class Footage:
    """What was seen of a video."""

    film: Film
    frames: tuple[Frame, ...]  # in order of time, at most one for each moment
    unseen: float  # the share of a frame that no part covered
    stopped: str | None  # half a sentence: why it was not looked at to its end
    spent: Spent


def footage(file: BinaryIO, asked: Asked, limits: Limits, *, until: float, program: Sequence[str] = DECODER) -> Footage:
    """Look at a video's moments.

    Args:
        file: seekable; only ranges of it are read.
        asked: what is to be seen.
        limits: what it may cost.
        until: the moment, in seconds of the monotonic clock, by which this returns.
        program: what decodes; a test puts one of its own there.

    Raises:
        UnknownVideo: it has no video that is read here.
        TooMuch: its frames have too many pixels.
        BrokenVideo: no frame could be decoded.
        RuntimeError: the decoder does not start.
        Exception: whatever reading `file` raises.
    """
    source = _Source(file, limits.bytes_read)
    found = Said(most=asked.frames.most, to=asked.preprocessing)
    process = DecoderProcess(program, until=until)
    try:
        with process:
            process.write(message(JOB, _job(source.size, asked, limits)))
            for kind, payload in process.messages():
                if kind == READ:
                    process.write(source.answer(payload))
                elif kind == DONE:
                    found.end(payload)
                    break
                else:
                    found.take(kind, payload)
    except Gone as gone:
        found.stopped = str(gone)
    if source.exhausted:
        found.stopped = f"no more than {limits.bytes_read:,} bytes of it are read"
    if found.film is None or not found.frames:
        why = found.stopped or "it is truncated or damaged"
        raise BrokenVideo(f"The video has no frame that can be decoded: {why}.")
    return Footage(
        film=found.film,
        frames=tuple(sorted(found.frames.values(), key=lambda frame: frame.seconds)),
        unseen=found.unseen,
        stopped=found.stopped,
        spent=Spent(
            bytes_read=source.bytes_read,
            requests=source.requests,
            cpu_seconds=process.cpu_seconds,
            memory=found.memory,
        ),
    )


class _Source:
    """Answers the child's requests for ranges, up to a sum."""

    def __init__(self, file: BinaryIO, most: int) -> None:
        self._file = file
        self._most = most
        self.size = file.seek(0, os.SEEK_END)
        self.bytes_read = 0
        self.requests = 0
        self.exhausted = False

    def answer(self, payload: bytes) -> bytes:
        if len(payload) != REQUEST.size:
            raise Gone(NO_PROTOCOL)
        start, length = REQUEST.unpack(payload)
        if length > _MOST_AT_ONCE or self.bytes_read + length > self._most:
            self.exhausted = True
            return message(NO_MORE)
        self._file.seek(start)
        data = self._file.read(length)
        self.requests += 1
        self.bytes_read += len(data)
        return message(BYTES, data)


def _job(size: int, asked: Asked, limits: Limits) -> bytes:
    return json.dumps(
        {
            "size": size,
            "container": asked.container,
            "most": asked.frames.most,
            "every": asked.frames.every,
            "preprocessing": asdict(asked.preprocessing),
            "view": asked.view,
            "limits": asdict(limits),
        }
    ).encode()
