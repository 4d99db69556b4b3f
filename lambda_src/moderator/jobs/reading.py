"""Reads objects with a few threads while the tower works: sources in, groups that are judged together out."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass

from moderator.errors import RequestError
from moderator.jobs.objects import HEAD_BYTES, Objects
from moderator.jobs.room import Room
from moderator.jobs.sources import Source
from moderator.jobs.video_kind import is_video

# Judged together, where they are small: as many parts as the image tower takes at once. The first are fewer, so that
# the tower waits for one round of reading and not for two.
GROUP = 16
_FIRST_GROUP = 4
# Read ahead of the tower, at most: what bounds the memory.
AHEAD_BYTES = 64_000_000


@dataclass(frozen=True, kw_only=True)
class Read:
    """What was read of one object: a picture's bytes, or that it is a video, or why neither."""

    place: int  # in the batch
    source: Source
    data: bytes = b""
    video: bool = False
    error: RequestError | None = None


def read_objects(
    objects: Objects, sources: Sequence[Source], *, threads: int, until: float = math.inf
) -> Generator[Read, None, None]:
    """Read each object, in order, and some of those that come next at the same time.

    It ends early where `until`, a moment of the monotonic clock, comes first. Who does not take all of them closes it.
    """
    pool = ThreadPoolExecutor(threads)
    room = Room(AHEAD_BYTES, largest=objects.max_bytes)
    try:
        waiting: deque[tuple[int, Future[Read]]] = deque()
        place = 0
        while waiting or place < len(sources):
            while place < len(sources) and room.has(_likely(objects, sources[place])):
                room.enter(place, _likely(objects, sources[place]))
                waiting.append((place, pool.submit(_read, objects, place, sources[place], room)))
                place += 1
            next_place, future = waiting.popleft()
            try:
                read = future.result(None if until == math.inf else max(0.0, until - time.monotonic()))
            except FutureTimeout:
                return
            yield read
            room.leave(next_place)
    finally:
        room.close()
        pool.shutdown(wait=False, cancel_futures=True)  # a request that hangs is not waited for


def in_groups(reads: Iterator[Read], take: Callable[[Read], bool], *, size: int = GROUP) -> Iterator[list[Read]]:
    """Gather those that `take` accepts, up to `size` or a quarter of what is read ahead; yield each group."""
    group: list[Read] = []
    most = min(size, _FIRST_GROUP)
    for read in reads:
        if not take(read):
            continue
        group.append(read)
        if len(group) == most or sum(len(one.data) for one in group) > AHEAD_BYTES // 4:
            yield group
            group, most = [], size
    if group:
        yield group


def _likely(objects: Objects, source: Source) -> int:
    # What is larger is not read, but for its first bytes. A list may not know the size: S3's answer does.
    return min(source.size or 0, objects.max_bytes)


def _read(objects: Objects, place: int, source: Source, room: Room) -> Read:
    found = source
    try:
        found, data = objects.read_start(source, before=lambda size: room.settle(place, size))
        if is_video(data[:HEAD_BYTES]):
            return Read(place=place, source=found, video=True)
        objects.check(found)
    except RequestError as error:
        return Read(place=place, source=found, error=error)
    return Read(place=place, source=found, data=data)
