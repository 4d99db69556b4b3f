"""Objects are read by as many threads as there are, and never hold more memory than is said, whatever a list knows."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moderator.errors import TooMuch
from moderator.jobs.desk import Desk
from moderator.jobs.judge import read_configured
from moderator.jobs.judge_process import JudgeProcess
from moderator.jobs.objects import HEAD_BYTES, Objects
from moderator.jobs.reading import AHEAD_BYTES, Read, read_objects
from moderator.jobs.results import Results
from moderator.jobs.sources import Source
from moderator.settings import Settings
from support.object_store import ObjectStore

THREADS = 8
LARGEST = 25_000_000
FILM = b"\0\0\0\x18ftypisom"


class Held:
    """S3 with objects of certain sizes; knows how many of their bytes have been read, and are not given back yet."""

    def __init__(self, sizes: Mapping[str, int], *, film: bool = False, at_read: Callable[[], object] = int) -> None:
        self._sizes, self._start, self._at_read = sizes, FILM if film else b"", at_read
        self._lock = threading.Lock()
        self.now = self.most = self.requests = 0

    def get_object(self, **given: str) -> dict[str, Any]:
        size = self._sizes[given["Key"]]
        asked = min(size, int(given["Range"].partition("-")[2]) + 1)
        with self._lock:
            self.requests += 1
        return {
            "ETag": '"x"',
            "ContentRange": f"bytes 0-{asked - 1}/{size}",
            "ContentLength": asked,
            "Body": Body(asked, self),
        }

    def read(self, place: int, length: int) -> bytes:
        self._at_read()
        with self._lock:
            self.now += length
            self.most = max(self.most, self.now)
        start = self._start[place : place + length]
        return start + bytes(length - len(start))

    def give_back(self, read: Read) -> None:
        with self._lock:
            self.now -= self._sizes[read.source.key]


class Body:
    """What botocore answers with: it can be closed before all of it was read."""

    def __init__(self, length: int, held: Held) -> None:
        self._length, self._held, self._place = length, held, 0

    def read(self, amount: int | None = None) -> bytes:
        left = self._length - self._place
        data = self._held.read(self._place, left if amount is None else min(amount, left))
        self._place += len(data)
        return data

    def close(self) -> None:
        pass


def sources(sizes: Mapping[str, int], listed: Mapping[str, int | None]) -> list[Source]:
    return [Source(bucket="b", key=key, size=listed.get(key)) for key in sizes]


def consumed(held: Held, listed: Sequence[Source], *, threads: int = THREADS, still: float = 0.0) -> list[str]:
    """Take all objects, one after the other, and give each back when the next one is asked for."""
    keys = []
    for read in read_objects(Objects(held, max_bytes=LARGEST), listed, threads=threads):
        assert read.error is None
        keys.append(read.source.key)
        time.sleep(still)  # the others read as far ahead as they may
        held.give_back(read)
    return keys


@pytest.mark.parametrize("is_listed", [True, False])
def test_as_many_are_read_at_once_as_there_are_threads(is_listed: bool) -> None:
    together = threading.Barrier(THREADS)
    sizes = {f"{number:02}": 100_000 for number in range(2 * THREADS)}
    held = Held(sizes, at_read=lambda: together.wait(timeout=10))
    assert consumed(held, sources(sizes, sizes if is_listed else {})) == list(sizes)
    assert held.requests == len(sizes), "one request each"


@pytest.mark.parametrize("listed", [None, 1000, 20_000_000], ids=["size unknown", "listed when it was small", "listed"])
def test_large_objects_take_no_more_memory_than_is_said(listed: int | None) -> None:
    sizes = {f"{number:02}": 20_000_000 for number in range(16)}
    held = Held(sizes)
    assert consumed(held, sources(sizes, dict.fromkeys(sizes, listed)), still=0.02) == list(sizes)
    assert 2 * 20_000_000 <= held.most <= AHEAD_BYTES, "more than one, and no more than that"


@settings(max_examples=40, deadline=None)
@given(
    objects=st.lists(
        st.tuples(st.sampled_from([0, 1, 100_000, 5_000_000, 20_000_000, LARGEST]), st.booleans(), st.booleans()),
        max_size=20,
    ),
    threads=st.integers(1, 8),
)
def test_whatever_the_sizes_all_come_in_order_within_the_memory(
    objects: list[tuple[int, bool, bool]], threads: int
) -> None:
    """Where a list knows some sizes only, or old ones, one object may come on top."""
    sizes = {f"{number:02}": size for number, (size, _, _) in enumerate(objects)}
    known = {
        key: size // 2 if is_old else size
        for key, (size, is_old, is_known) in zip(sizes, objects, strict=True)
        if is_known
    }
    held = Held(sizes)
    assert consumed(held, sources(sizes, known), threads=threads, still=0.002) == list(sizes)
    assert held.most <= AHEAD_BYTES + (0 if known in (sizes, {}) else LARGEST)


@pytest.mark.parametrize("is_listed", [True, False])
@pytest.mark.parametrize("size", [100, 20_000_000, 500_000_000])
def test_of_a_video_the_first_bytes_are_read_whatever_its_size(size: int, is_listed: bool) -> None:
    """Its decoder asks for ranges: what it is given here, it would have twice."""
    sizes = {f"{number}": size for number in range(3)}
    held = Held(sizes, film=True)
    listed = sources(sizes, sizes if is_listed else {})
    reads = list(read_objects(Objects(held, max_bytes=LARGEST), listed, threads=THREADS))
    assert [(read.video, read.source.size) for read in reads] == [(True, size)] * 3
    assert (held.now, held.requests) == (3 * HEAD_BYTES, 3)


def test_of_a_large_video_every_piece_is_whole() -> None:
    """The limit is of pictures; what is read ahead of a video says nothing of what its decoder asks for."""
    data = FILM + bytes(range(256)) * 10_000
    store = ObjectStore({"b": {"film.mp4": data}})
    objects = Objects(store, max_bytes=1000)
    (read,) = read_objects(objects, [Source(bucket="b", key="film.mp4")], threads=1)
    assert read.video
    assert io.BufferedReader(objects.open(read.source, max_bytes=10_000_000)).read() == data


def test_an_object_that_was_large_when_it_was_listed_is_read_as_it_is_now() -> None:
    sizes = {"a": 100_000}
    held = Held(sizes)
    (read,) = read_objects(Objects(held, max_bytes=LARGEST), sources(sizes, {"a": 30_000_000}), threads=1)
    assert (len(read.data), read.video, read.source.size) == (100_000, False, 100_000)


def test_the_error_of_an_object_that_is_too_large_is_about_the_bytes_that_are_there() -> None:
    """A list may know nothing of them: by their ETag a rerun knows that there is nothing to be done."""
    sizes = {"a": 30_000_000}
    (read,) = read_objects(Objects(Held(sizes), max_bytes=LARGEST), sources(sizes, {}), threads=1)
    assert isinstance(read.error, TooMuch)
    assert (read.source.e_tag, read.source.size) == ("x", 30_000_000)


def has_ended(before: set[threading.Thread]) -> bool:
    ends = time.monotonic() + 10
    while set(threading.enumerate()) - before and time.monotonic() < ends:
        time.sleep(0.01)
    return set(threading.enumerate()) <= before


def test_reads_that_wait_for_room_end_with_the_time() -> None:
    """A thread that waited for ever would keep a process from ending."""
    before = set(threading.enumerate())
    sizes = {f"{number:02}": 20_000_000 for number in range(16)}
    reads = read_objects(Objects(Held(sizes), max_bytes=LARGEST), sources(sizes, {}), threads=THREADS)
    next(reads)
    reads.close()
    assert has_ended(before)


def test_reads_end_when_judging_fails() -> None:
    """Also while somebody looks at the exception, which holds all that was there when it was raised."""

    class Judge:
        def pictures(self, *_: object, **__: object) -> None:
            raise RuntimeError("no judge")

    before = set(threading.enumerate())
    sizes = {f"{number:02}": 20_000_000 for number in range(16)}
    desk = Desk(
        objects=Objects(Held(sizes), max_bytes=LARGEST),
        judge=cast("JudgeProcess", Judge()),
        results=Results(None, "results"),
        configured=read_configured(Settings()),
        readers=THREADS,
    )
    with pytest.raises(RuntimeError, match="no judge") as raised:
        desk.lines("demo", sources(sizes, {}))
    assert has_ended(before)
    assert raised.traceback
