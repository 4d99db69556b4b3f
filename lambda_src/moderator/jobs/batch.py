"""One batch of a job, as the distributed map hands it over: objects in, a part of lines written, counts returned."""

from __future__ import annotations

import contextlib
import logging
import time
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from moderator.errors import RequestError
from moderator.jobs.desk import Desk
from moderator.jobs.line import Line, count
from moderator.jobs.parts import batch_name, digest, part_hash
from moderator.jobs.pile import Pile, judge_pile, piles_of
from moderator.jobs.requests import Answered
from moderator.jobs.sources import Source, is_delete_marker, of_item

# In the counts of failures: items of a list that name no object, and so can have no line; and those of an inventory
# of versions that say that an object was deleted.
NAMELESS = "nameless-item"
DELETE_MARKER = "delete-marker"

log = logging.getLogger(__name__)


class BatchStuck(Exception):
    """The time is over, and the try has come no farther than the one before: nor would another."""


def is_batch(event: Mapping[str, Any]) -> bool:
    """Return whether an event is a batch of a distributed map."""
    return "Items" in event and "BatchInput" in event


def judge_batch(event: Mapping[str, Any], desk: Desk, *, until: float) -> dict[str, Any]:
    """Judge a batch; return its counts. `until` is a moment of the monotonic clock.

    Where the time did not suffice for all of it, the counts say that it is `unfinished`: what was judged has its lines,
    and another try goes on from there (`infra/job_states.py`), which is told how far this one came. That is no error:
    nobody is to be alarmed.

    Raises:
        RequestError: the batch as a whole makes no sense: no such policy, or none of its items names an object.
        BatchStuck: as it says.
    """
    batch = event["BatchInput"]
    began = time.monotonic()
    desk.answered()  # what other batches and uploads have asked
    try:
        return _judge(event, desk, until, began)
    except Exception:
        # It is paid for like any other.
        with contextlib.suppress(Exception):
            _write_unfinished(batch["job"], _spent(began, desk), desk)
        raise


def _judge(event: Mapping[str, Any], desk: Desk, until: float, began: float) -> dict[str, Any]:
    batch = event["BatchInput"]
    names = desk.configured.names(batch["policy"])
    sources, failures = _named(event["Items"], batch)

    lines: list[Line] = []
    new = 0
    parts: dict[str, list[str]] = {}  # by bucket
    for pile in piles_of(sources):
        asked = Pile(job=batch["job"], policy=batch["policy"], names=names, sources=pile)
        done = judge_pile(asked, desk, until)
        lines += done.lines
        new += done.new
        failures += done.failures
        parts.setdefault(pile[0].bucket, []).extend([part_hash(done.part)] if done.part else [])
        if done.unreached:
            before = batch.get("before", {}).get("counts", {})
            tries = before.get("tries", 0) + 1
            # Lines that were there may be gone: then what this job has judged tells how far it came.
            is_farther = len(lines) > before.get("lines", 0) or new > before.get("judged", 0)
            if not is_farther or tries > 2 * len(sources):
                raise BatchStuck(f"{len(lines)} of {len(sources)} objects have lines: no more than after the last try.")
            far = {"lines": len(lines), "judged": new, "tries": tries}
            return _write_unfinished(batch["job"], _spent(began, desk), desk) | far

    # Step Functions ends the whole map where an answer is over 256 KB: it gets numbers.
    counted = count(lines) | {"known": len(lines) - new, "parts": parts} | _spent(began, desk) | {"unfinished": False}
    counted["failures"] = dict(sorted((failures + Counter(counted["failures"])).items()))
    desk.results.write_count(batch["job"], batch_name(sources, event["Items"]), counted)
    return counted


def _write_unfinished(job: str, spent: dict[str, Any], desk: Desk) -> dict[str, Any]:
    """Write what a try took that left something to do, beside what other tries of its batch took; return it."""
    counted = count([]) | spent | {"unfinished": True}
    desk.results.write_count(job, digest([uuid.uuid4().hex]), counted)
    return counted


def _spent(began: float, desk: Desk) -> dict[str, Any]:
    """Return what a try took, with the request that is about to write its counts."""
    answered = desk.answered()
    return {
        "ms": round(1000 * (time.monotonic() - began)),
        "requests": asdict(Answered(reads=answered.reads, writes=answered.writes + 1)),
    }


def _named(items: Sequence[Any], batch: Mapping[str, Any]) -> tuple[list[Source], Counter[str]]:
    """Return the objects that items name, and how many items name none, by the reason; these are logged."""
    sources: list[Source] = []
    wrong: list[RequestError] = []
    deleted = 0
    for item in items:
        if is_delete_marker(item):
            deleted += 1
            continue
        try:
            sources.append(of_item(item, batch))
        except RequestError as error:
            log.warning("%s It is %.300r", error, item)
            wrong.append(error)
    if wrong and not sources and not deleted:
        raise wrong[0]  # more likely a list with other columns than an item that went wrong
    return sources, +Counter({NAMELESS: len(wrong), DELETE_MARKER: deleted})
