"""The process in which FFmpeg decodes a stranger's video: it has no rights and little memory, and may die of it.

`python -m moderator.jobs.video_child` is started by `video_process.py`, one for each video, and speaks `video_pipe.py`
on its standard input and output. It has no file, no key and no environment of its parent's; a video that makes the
decoder crash, run for ever or ask for all memory ends this process and nothing else.
"""

from __future__ import annotations

import json
import re
import resource
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import av

from moderator.jobs.video_file import RangeFile
from moderator.jobs.video_opening import Refused, open_video, stream_of
from moderator.jobs.video_parent import Parent, take_pipes
from moderator.jobs.video_pipe import DONE, FRAME, JOB, MOMENT, OPENED, READY, REFUSED, Limits
from moderator.jobs.video_pixels import parts_of
from moderator.jobs.video_sampling import Sampler, clock_of, moments
from moderator.pictures.preprocessing import Preprocessing
from moderator.pictures.views import View

_PAGE = resource.getpagesize()


def main() -> None:
    """Do one job."""
    parent = take_pipes()
    parent.say(READY)
    kind, payload = parent.hear()
    if kind != JOB:
        raise ValueError(f"{kind!r} is no job")
    job = json.loads(payload)
    limits = Limits(**job["limits"])
    _limit(limits)
    try:
        limited = _judge(job, limits, parent)
    except Refused as refused:
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
    container = open_video(RangeFile(job["size"], parent.ask), job["container"])
    stream = stream_of(container)
    context = stream.codec_context
    if context.width * context.height > limits.pixels:
        size = f"{context.width} x {context.height}"
        raise Refused("too much", f"it has {size} pixels a frame, more than the {limits.pixels:,} allowed")
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
