"""What a job's failed batches left out: a list of their objects that have no line for their present bytes."""

from __future__ import annotations

import hashlib
import json
import math
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Any

from moderator.jobs.desk import Desk
from moderator.jobs.line import Line, Names, count, once
from moderator.jobs.map_results import FailedBatch, failed_batches
from moderator.jobs.parts import digest, own_key, part_hash
from moderator.jobs.pile import piles_of
from moderator.jobs.results import Part
from moderator.jobs.sources import Source
from moderator.jobs.standing import Standing

_AT_ONCE = 64  # failed batches that are looked after together
_READERS = 16
# Of the time: what is left then is enough for the batches' own parts, and for writing.
_FOR_OTHER_PARTS = 0.5


@dataclass(frozen=True, kw_only=True)
class _Pile:
    """Objects of a failed batch that are of one bucket, and their own part as it was found."""

    why: str
    names: Names
    sources: Sequence[Source]
    own: str
    part: Part


class Unjudged:
    """Looks after a job's failed batches; `add` is told what those of their objects count that have a line.

    It needs `until`, a moment of the monotonic clock, so that a summary is written in any case. `done` names batches
    that have counted themselves: Step Functions takes one for failed whose worker ended after it had given it up.
    """

    def __init__(
        self,
        job: str,
        desk: Desk,
        add: Callable[[Mapping[str, Any]], None],
        *,
        done: Collection[str] = (),
        until: float,
    ) -> None:
        self._job, self._desk, self._add, self._done = job, desk, add, done
        now = time.monotonic()
        self._other_parts_until = until if until == math.inf else now + _FOR_OTHER_PARTS * (until - now)
        self._reasons: Counter[str] = Counter()
        self._batches = self._unchecked = 0
        self._seen: set[bytes] = set()

    def write(self, map_record: Mapping[str, Any] | None) -> dict[str, Any]:
        """Write the list; return how many objects are left out, of how many batches, why, and the list's key.

        `unchecked` of them may have a line in another part, or one that is about their present bytes, where the time
        did not suffice to look, or S3 did not say: a job that takes the list skips those.
        """
        failed = (batch for batch in failed_batches(self._desk.results, map_record) if batch.name not in self._done)
        with tempfile.TemporaryFile() as file:
            while some := list(islice(failed, _AT_ONCE)):
                self._batches += len(some)
                for source in self._left_out(some):
                    file.write(_item(source))
            is_empty = file.tell() == 0
            file.seek(0)
            key = None
            if is_empty:  # a redrive may have come to what an earlier end left out
                self._desk.results.forget_list(self._job, "unjudged")
            else:
                key = self._desk.results.write_list(self._job, "unjudged", file)
        return {
            "objects": self._reasons.total(),
            "batches": self._batches,
            "reasons": dict(sorted(self._reasons.items())),
            "unchecked": self._unchecked,
            "list": key,
        }

    def _left_out(self, batches: Sequence[FailedBatch]) -> Iterator[Source]:
        for batch in batches:
            if batch.nameless:
                self._reasons[batch.why] += batch.nameless
        asked = [
            (batch, self._desk.configured.names(batch.policy), pile)
            for batch in batches
            for pile in piles_of(batch.sources)
        ]
        with ThreadPoolExecutor(_READERS) as pool:
            owns = [own_key(sources, names) for _, names, sources in asked]
            found = list(pool.map(self._desk.results.part, owns))
        of_folder: dict[tuple[str, str], list[_Pile]] = defaultdict(list)
        for (batch, names, sources), own, part in zip(asked, owns, found, strict=True):
            pile = _Pile(why=batch.why, names=names, sources=sources, own=own, part=part)
            of_folder[sources[0].bucket, batch.policy].append(pile)
        for piles in of_folder.values():
            yield from self._of_one_folder(piles)

    def _of_one_folder(self, piles: Sequence[_Pile]) -> Iterator[Source]:
        """Yield the objects without a line, by the same rule as a batch: one pass through the names for all piles."""
        names, sources = piles[0].names, [source for pile in piles for source in pile.sources]
        is_time_over = time.monotonic() >= self._other_parts_until
        others: Mapping[str, Sequence[Line]] = {}
        if not is_time_over:
            # Not the names that were remembered when the job began: its own parts have come since.
            of_end = f"{self._job}/end"
            others = self._desk.results.elsewhere(of_end, sources, names, {pile.own for pile in piles})
        standing = Standing(sources, names)
        there = [line for lines in (*(pile.part.lines for pile in piles), *others.values()) for line in lines]
        e_tags = {} if is_time_over else self._desk.e_tags(standing.unsure(there), until=self._other_parts_until)
        before = _by_name(standing.among(there, e_tags=e_tags))
        in_doubt = _by_name(standing.in_doubt(there, e_tags=e_tags))
        of_job = digest([self._job])
        lines: list[Line] = []
        new = 0
        for pile in piles:
            by_job = pile.part.lines[: pile.part.new] if pile.part.job == of_job else ()
            new += len(by_job)
            tried = _by_name(Standing(pile.sources, names).of_this_job(by_job))
            for source in pile.sources:
                name = (source.key, source.version_id)
                if not self._is_new(source):
                    continue
                if line := tried.get(name) or before.get(name):
                    lines.append(line)
                else:
                    self._reasons[pile.why] += 1
                    self._unchecked += is_time_over or name in in_doubt
                    yield source
        lines = once(lines)
        parts = [part_hash(pile.own) for pile in piles if pile.part.lines]
        self._add(count(lines) | {"known": max(0, len(lines) - new), "parts": {sources[0].bucket: parts}})

    def _is_new(self, source: Source) -> bool:
        """Return whether no failed batch had this object before; remember it in 16 bytes."""
        name = json.dumps([source.bucket, source.key, source.version_id]).encode()
        print_ = hashlib.blake2b(name, digest_size=16).digest()
        is_new = print_ not in self._seen
        self._seen.add(print_)
        return is_new


def _by_name(lines: Mapping[Source, Line]) -> dict[tuple[str, str | None], Line]:
    return {(source.key, source.version_id): line for source, line in lines.items()}


def _item(source: Source) -> bytes:
    """Write an object as the lists of jobs name it; what is not known is left out."""
    item = {name: value for name, value in source.as_json().items() if value is not None}
    size = item.pop("bytes", None)
    return (
        json.dumps(item | ({} if size is None else {"size": size}), ensure_ascii=False).encode("utf-8", "surrogatepass")
        + b"\n"
    )
