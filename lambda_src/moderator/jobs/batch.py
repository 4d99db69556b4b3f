"""One batch of a job, as the distributed map hands it over: objects in, a part of lines written, counts returned."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from moderator.errors import RequestError
from moderator.jobs.judge import Policies
from moderator.jobs.judge_process import JudgeProcess
from moderator.jobs.line import Line, count, error_line
from moderator.jobs.objects import Objects
from moderator.jobs.reading import Read, in_groups, read_objects
from moderator.jobs.results import Results, batch_name, lines_that_stand
from moderator.jobs.sources import Source, of_item


@dataclass(frozen=True, kw_only=True)
class Desk:
    """What a worker works with."""

    objects: Objects
    judge: JudgeProcess
    results: Results
    configured: Policies
    readers: int

    def lines(self, policy: str, sources: Sequence[Source]) -> list[Line]:
        """Judge each object: one line each, in order, whatever is wrong with it."""
        lines: dict[int, Line] = {}

        def error(source: Source, what: RequestError) -> Line:
            return error_line(source, what, self.configured.named(policy), self.configured.names(policy))

        def is_picture(read: Read) -> bool:
            if read.error is not None:
                lines[read.place] = error(read.source, read.error)
            elif read.video:
                lines[read.place] = self.judge.video(policy, read.source, error)
            else:
                return True
            return False

        for group in in_groups(read_objects(self.objects, sources, threads=self.readers), is_picture):
            judged = self.judge.pictures(policy, [(read.source, read.data) for read in group], error)
            lines |= {read.place: line for read, line in zip(group, judged, strict=True)}
        return [lines[place] for place in range(len(sources))]


def is_batch(event: Mapping[str, Any]) -> bool:
    """Return whether an event is a batch of a distributed map."""
    return "Items" in event and "BatchInput" in event


def judge_batch(event: Mapping[str, Any], desk: Desk) -> dict[str, Any]:
    """Judge a batch; return its counts.

    Raises:
        RequestError: the batch as a whole makes no sense: no such policy, or an item that names no object.
    """
    batch = event["BatchInput"]
    began = time.monotonic()
    policy = batch["policy"]
    names = desk.configured.names(policy)
    sources = [of_item(item, batch) for item in event["Items"]]
    by_bucket: dict[str, dict[tuple[str, str | None], Source]] = defaultdict(dict)
    for source in sources:
        by_bucket[source.bucket][source.key, source.version_id] = source

    lines: list[Line] = []
    known = 0
    for of_bucket in by_bucket.values():
        together = sorted(of_bucket.values(), key=lambda source: source.key.encode("utf-8", "surrogatepass"))

        # 1. What has a line already is not judged again.
        parts = desk.results.known(together, names)
        stand = lines_that_stand(parts, together, names)
        new = [source for source in together if source not in stand]

        # 2. The others are judged, and their lines written, before older ones of the same objects are taken out.
        judged = desk.lines(policy, new)
        written = desk.results.write_part(judged, names)
        parts.pop(written or "", None)
        desk.results.take_out(parts, new)
        lines += [*stand.values(), *judged]
        known += len(stand)

    # 3. Step Functions ends the whole map where an answer is over 256 KB: it gets numbers.
    counted = count(lines) | {"known": known, "ms": round(1000 * (time.monotonic() - began))}
    desk.results.write_count(batch["job"], batch_name(sources), counted)
    return counted
