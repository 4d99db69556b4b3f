"""The process in which FFmpeg decodes a stranger's video: it has no rights and little memory, and may die of it.

`python -m moderator.jobs.video_child` is started by `video_process.py`, one for each video, and speaks `video_pipe.py`
on its standard input and output. It has no file, no key and no environment of its parent's; a video that makes the
decoder crash, run for ever or ask for all memory ends this process and nothing else.
"""

from __future__ import annotations

import json
import os
import re
import resource
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from moderator.jobs.video_file import RangeFile
from moderator.jobs.video_pipe import (
    BYTES,
    DONE,
    FRAME,
    HEAD,
    JOB,
    MOMENT,
    OPENED,
    READ,
    READY,
    REFUSED,
    REQUEST,
    Limits,
    message,
)
from moderator.jobs.video_pixels import parts_of
from moderator.jobs.video_sampling import DECODERS, Sampler, clock_of, moments
from moderator.pictures.preprocessing import Preprocessing
from moderator.pictures.views import View

_PAGE = resource.getpagesize()


class _Refused(Exception):
    """The video cannot be judged: of a kind that is not read (unknown), too large (too much), or damaged (broken)."""

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(detail)
        self.kind = kind


class Parent:
    """The other end of the two pipes."""

    def __init__(self, incoming: BinaryIO, outgoing: BinaryIO) -> None:
        self._incoming = incoming
        self._outgoing = outgoing

    def say(self, kind: bytes, *payload: bytes | memoryview) -> None:
        """Send one message."""
        self._outgoing.write(message(kind, *payload))
        self._outgoing.flush()

    def hear(self) -> tuple[bytes, bytes]:
        """Wait for one message.

        Raises:
            EOFError: the parent is gone.
        """
        head = self._incoming.read(HEAD.size)
        if len(head) < HEAD.size:
            raise EOFError
        kind, length = HEAD.unpack(head)
        return kind, self._incoming.read(length)

    def ask(self, start: int, length: int) -> bytes:
        """Return a range of the file.

        Raises:
            OSError: no more of it is given.
        """
        self.say(READ, REQUEST.pack(start, length))
        kind, data = self.hear()
        if kind != BYTES:
            raise OSError("no more is read of this file")
        return data


def main() -> None:
    """Do one job."""
    parent = _take_pipes()
    parent.say(READY)
    kind, payload = parent.hear()
    if kind != JOB:
        raise ValueError(f"{kind!r} is no job")
    job = json.loads(payload)
    limits = Limits(**job["limits"])
    _limit(limits)
    try:
        limited = _judge(job, limits, parent)
    except _Refused as refused:
        parent.say(REFUSED, json.dumps({"kind": refused.kind, "detail": str(refused)}).encode())
    except MemoryError:
        parent.say(REFUSED, json.dumps({"kind": "too much", "detail": "it needs more memory than allowed"}).encode())
    except EOFError:
        return
    except Exception as error:  # noqa: BLE001 - decoders raise whatever their format makes them stumble over
        parent.say(REFUSED, json.dumps({"kind": "broken", "detail": f"{type(error).__name__}: {error}"}).encode())
    else:
        parent.say(DONE, json.dumps({"memory": _memory_at_its_peak(), "limited": limited}).encode())


def _judge(job: Mapping[str, Any], limits: Limits, parent: Parent) -> bool:
    """Show the video's moments; return whether the limits were too small for all of them."""
    container = _open(RangeFile(job["size"], parent.ask), job["container"])
    stream = _stream(container)
    context = stream.codec_context
    if context.width * context.height > limits.pixels:
        size = f"{context.width} x {context.height}"
        raise _Refused("too much", f"it has {size} pixels a frame, more than the {limits.pixels:,} allowed")
    context.thread_count = 1  # as many threads as videos: the same memory, and the same answer, on every machine
    context.options = {"max_pixels": str(limits.pixels)}  # FFmpeg's own: the size may change within a stream
    clock = clock_of(container, stream)
    asked = moments(clock.duration, clock.rate, most=job["most"], every=job["every"])
    parent.say(
        OPENED,
        json.dumps(
            {
                "asked": len(asked),
                "seconds": clock.duration,
                "frames": max(len(asked), stream.frames or round(clock.duration * clock.rate)),
                "size": [context.width, context.height],
                "codec": context.codec.canonical_name,
            }
        ).encode(),
    )
    to, view = Preprocessing(**job["preprocessing"]), job["view"]
    pixel_aspect = float(stream.sample_aspect_ratio or 1) or 1.0

    def show(number: int, frame: av.VideoFrame, second: float) -> None:
        _show(number, frame, second, round(second * clock.rate), pixel_aspect, to, view, parent)

    sampler = Sampler(container, stream, clock, limits)
    sampler.sample(asked, show)
    return sampler.limited


def _show(
    number: int,
    frame: av.VideoFrame,
    second: float,
    place: int,
    pixel_aspect: float,
    to: Preprocessing,
    view: View,
    parent: Parent,
) -> None:
    parts, coverage = parts_of(frame, pixel_aspect, to, view)
    parent.say(
        FRAME,
        MOMENT.pack(number, place, second, coverage.unseen, len(parts)),
        *(part.tobytes() for part in parts),
    )


def _open(file: RangeFile, container: str) -> InputContainer:
    """Open a file as what its first bytes say: none of FFmpeg's three hundred other formats is tried.

    Playlists and references to other files would have FFmpeg open what they name: they are among the formats that are
    not tried, and no protocol is allowed.
    """
    options = {
        "protocol_whitelist": "none",
        "codec_whitelist": ",".join(DECODERS),
        "enable_drefs": "0",
        "probesize": "2000000",
        "analyzeduration": "2000000",
    }
    try:
        return av.open(file, "r", format=container, container_options=options, buffer_size=1 << 16)
    except (av.FFmpegError, ValueError) as error:
        raise _Refused("broken", "it cannot be opened: it is truncated or damaged, or no video") from error


def _stream(container: InputContainer) -> VideoStream:
    """Return the first track that is a video and no cover picture; all others are not read."""
    videos = [stream for stream in container.streams.video if not int(stream.disposition) & _COVER]
    if not videos:
        raise _Refused("unknown", "it has no track with a moving picture")
    for stream in container.streams:
        if stream is not videos[0]:
            stream.discard = av.stream.Discard.all
    name = videos[0].codec_context.name if videos[0].codec_context else "unknown"
    if name not in DECODERS:
        raise _Refused("unknown", f"its codec is {name}: those read are {', '.join(DECODERS)}")
    return videos[0]


_COVER = int(av.stream.Disposition.attached_pic)


def _take_pipes() -> Parent:
    """Keep the pipes for messages, and give native code that writes or reads nothing but nothing."""
    incoming, outgoing = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nothing, standard)
    return Parent(os.fdopen(incoming, "rb"), os.fdopen(outgoing, "wb"))


def _memory_at_its_peak() -> int:
    """Count in bytes, as Linux does; 0 elsewhere. What wait4 says is never less than the parent's."""
    status = Path("/proc/self/status")
    found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text()) if status.exists() else None
    return int(found[1]) * 1024 if found else 0


def _limit(limits: Limits) -> None:
    """Let the system end this process where it takes too much."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * _PAGE if sys.platform == "linux" else 0
    if used:
        resource.setrlimit(resource.RLIMIT_AS, (used + limits.memory,) * 2)
    resource.setrlimit(resource.RLIMIT_CPU, (limits.cpu_seconds, limits.cpu_seconds + 1))
    for nothing in (resource.RLIMIT_CORE, resource.RLIMIT_FSIZE):
        resource.setrlimit(nothing, (0, 0))


if __name__ == "__main__":
    av.logging.set_level(None)
    main()
