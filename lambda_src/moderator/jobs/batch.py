"""One batch of a job, as the distributed map hands it over: objects in, a part of lines written, counts returned."""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from moderator.errors import RequestError
from moderator.jobs.desk import Desk
from moderator.jobs.line import Line, Names, count
from moderator.jobs.parts import PART_OBJECTS, batch_name, digest, part_hash
from moderator.jobs.sources import Source, of_item
from moderator.jobs.standing import Standing

# In the counts of failures: items of a list that name no object, and so can have no line.
NAMELESS = "nameless-item"

log = logging.getLogger(__name__)


class BatchUnfinished(Exception):
    """The time is over; what was judged has its lines, and another try goes on from there (`infra/job_states.py`)."""


@dataclass(frozen=True, kw_only=True)
class _Pile:
    """Objects of one bucket whose lines make one part."""

    job: str
    policy: str
    names: Names
    sources: Sequence[Source]


def is_batch(event: Mapping[str, Any]) -> bool:
    """Return whether an event is a batch of a distributed map."""
    return "Items" in event and "BatchInput" in event


def judge_batch(event: Mapping[str, Any], desk: Desk, *, until: float) -> dict[str, Any]:
    """Judge a batch; return its counts. `until` is a moment of the monotonic clock.

    Raises:
        RequestError: the batch as a whole makes no sense: no such policy, or none of its items names an object.
        BatchUnfinished: the time did not suffice for all of it.
    """
    batch = event["BatchInput"]
    began = time.monotonic()
    names = desk.configured.names(batch["policy"])
    sources, nameless = _named(event["Items"], batch)

    lines: list[Line] = []
    known = 0
    parts: dict[str, list[str]] = {}  # by bucket
    for pile in piles_of(sources):
        asked = _Pile(job=batch["job"], policy=batch["policy"], names=names, sources=pile)
        found, stood, part = _judge_pile(asked, desk, until)
        lines += found
        known += stood
        parts.setdefault(pile[0].bucket, []).extend([part_hash(part)] if part else [])
        if len(found) < len(pile):
            spent = count([]) | {"ms": _ms_since(began), "unfinished": True}
            desk.results.write_count(batch["job"], digest([batch_name(sources), str(time.time_ns())]), spent)
            raise BatchUnfinished(f"{len(lines)} of {len(sources)} objects have their lines: try again.")

    # Step Functions ends the whole map where an answer is over 256 KB: it gets numbers.
    counted = count(lines) | {"known": known, "parts": parts, "ms": _ms_since(began)}
    if nameless:
        counted["failures"] |= {NAMELESS: nameless}
    desk.results.write_count(batch["job"], batch_name(sources), counted)
    return counted


def _named(items: Sequence[Any], batch: Mapping[str, Any]) -> tuple[list[Source], int]:
    """Return the objects that items name, and how many items name none; these are logged."""
    sources: list[Source] = []
    wrong: list[RequestError] = []
    for item in items:
        try:
            sources.append(of_item(item, batch))
        except RequestError as error:
            log.warning("%s It is %.300r", error, item)
            wrong.append(error)
    if wrong and not sources:
        raise wrong[0]  # more likely a list with other columns than an item that went wrong
    return sources, len(wrong)


def _ms_since(began: float) -> int:
    return round(1000 * (time.monotonic() - began))


def piles_of(sources: Sequence[Source]) -> list[tuple[Source, ...]]:
    """Divide the objects of a batch into those whose lines make one part; one named twice is there once."""
    by_bucket: dict[str, dict[tuple[str, str], Source]] = defaultdict(dict)
    for source in sources:
        by_bucket[source.bucket][source.key, source.version_id or ""] = source
    ordered = [tuple(of[name] for name in sorted(of)) for of in by_bucket.values()]
    return [of[at : at + PART_OBJECTS] for of in ordered for at in range(0, len(of), PART_OBJECTS)]


def _judge_pile(pile: _Pile, desk: Desk, until: float) -> tuple[list[Line], int, str]:
    """Give the lines of a pile, fewer where the time is over, how many were there before, and its part, or none."""
    results, standing = desk.results, Standing(pile.sources, pile.names)

    # 1. What has a line already is not judged again: in the pile's own part, or wherever other batches had it.
    own, before = results.own_part(pile.sources, pile.names)
    others = results.elsewhere(pile.job, pile.sources, pile.names, {own})
    there = [line for lines in (before.lines, *others.values()) for line in lines]
    e_tags = desk.e_tags(standing.unsure(there))
    stand_here = standing.among(before.lines, e_tags=e_tags)
    if before.job == digest([pile.job]):
        stand_here = standing.of_this_job(before.lines)
    stand = dict(stand_here)
    place: dict[Source, str] = dict.fromkeys(stand_here, own)
    for part, lines in others.items():
        for source, line in standing.among(lines, e_tags=e_tags).items():
            stand.setdefault(source, line)
            place.setdefault(source, part)

    # 2. The others are judged, and their lines written, before older ones of the same objects are taken out.
    judged = desk.lines(pile.policy, [source for source in pile.sources if source not in stand], until=until)
    if judged:
        here = stand_here | judged
        results.write_part(own, [here[source] for source in pile.sources if source in here], pile.job)

    # 3. No object keeps a second line: neither one that is older, nor the same once more.
    # Other bytes than those that stand are older, or newer ones that another job has met since: S3 knows.
    # The pile's own part needs no such care where it was just written.
    parts = others if judged else {own: list(before.lines), **others}

    def stands_elsewhere(line: Line, part: str) -> Source | None:
        source = standing.source_of(line)
        return source if source is not None and source in stand and place[source] != part else None

    unlike = {
        found
        for part, lines in parts.items()
        for line in lines
        if (found := stands_elsewhere(line, part)) is not None and _e_tag(line) != _e_tag(stand[found])
    }
    present = desk.e_tags(unlike)

    def is_old(line: Line, part: str) -> bool:
        if standing.source_of(line) in judged:
            return True
        source = stands_elsewhere(line, part)
        if source is None:
            return False
        twice = stand[source]["source"] == line["source"]
        replaced = _e_tag(line) != _e_tag(stand[source]) and present.get(source) == _e_tag(stand[source])
        return twice or replaced

    for part, lines in parts.items():
        # None but those that were read: another job may have written a newer one since, of the same object.
        if old := [line for line in lines if is_old(line, part)]:
            results.take_out(part, old.__contains__)
    everything = stand | judged
    part = own if judged or stand_here else ""
    return [everything[source] for source in pile.sources if source in everything], len(stand), part


def _e_tag(line: Line) -> str | None:
    e_tag: str | None = line["source"]["eTag"]
    return e_tag
