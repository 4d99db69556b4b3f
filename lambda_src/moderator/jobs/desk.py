"""What a worker works with, and its work: objects in, a line for each, whatever is wrong with it."""

from __future__ import annotations

import math
import time
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field

from moderator.errors import RequestError
from moderator.jobs.judge import Policies
from moderator.jobs.judge_process import JudgeProcess, Suspicious
from moderator.jobs.line import Line, error_line
from moderator.jobs.object_errors import ObjectGone
from moderator.jobs.objects import Objects
from moderator.jobs.reading import GROUP, Read, in_groups, read_objects
from moderator.jobs.requests import Answered, Requests
from moderator.jobs.results import Results
from moderator.jobs.sources import Source

# Of the time that an object may take, before it is known to be one that hangs: the others should not wait for it.
_AFTER_A_HANG = 1 / 3  # groups that follow a suspicious one
_ALONE = 1 / 10  # each object of suspicious groups, before it gets the whole time


@dataclass(frozen=True, kw_only=True)
class Desk:
    """What a worker works with; `requests` are those of its own process to S3."""

    objects: Objects
    judge: JudgeProcess
    results: Results
    configured: Policies
    readers: int
    requests: Requests = field(default_factory=Requests)

    def answered(self) -> Answered:
        """Return how many requests S3 has answered since this was last asked, the judge's among them."""
        self.requests.add(self.judge.requests.take())
        return self.requests.take()

    def lines(self, policy: str, sources: Sequence[Source], *, until: float = math.inf) -> dict[Source, Line]:
        """Judge each object; one that is not done by `until`, a moment of the monotonic clock, has no line.

        What is in a group with an object that hangs, crashes or fails is judged alone after all others, and what hangs
        when it is alone comes last: the time of a batch belongs to the sound ones first.

        Raises:
            JudgeNotStarted: no object can be judged.
        """
        lines: dict[Source, Line] = {}
        suspicious = self._round(policy, sources, lines, until=until)
        slow = self._round(policy, suspicious, lines, until=until, size=1, share=_ALONE)
        self._round(policy, slow, lines, until=until, size=1)
        return lines

    def e_tags(self, sources: Collection[Source], *, until: float = math.inf) -> dict[Source, str | None]:
        """Ask S3 which bytes are there: None for none, and an empty text where it does not say by `until`."""

        def e_tag(source: Source) -> str | None:
            if time.monotonic() >= until:
                return ""
            try:
                return self.objects.e_tag(source)
            except ObjectGone:
                return None
            except RequestError:
                return ""

        with ThreadPoolExecutor(self.readers) as pool:
            return dict(zip(sources, pool.map(e_tag, sources), strict=True))

    def _round(
        self,
        policy: str,
        sources: Sequence[Source],
        lines: dict[Source, Line],
        *,
        until: float,
        size: int = GROUP,
        share: float = 1.0,
    ) -> list[Source]:
        """Add the lines of objects, judged in groups of `size`; return those of suspicious groups.

        Only their names are kept, and they are read again: a batch's bytes together may be more than the memory.
        """
        suspicious: list[Source] = []

        def error(source: Source, what: RequestError) -> Line:
            return error_line(source, what, self.configured.named(policy), self.configured.names(policy))

        def is_picture(read: Read) -> bool:
            source = sources[read.place]
            if read.error is not None:
                lines[source] = error(read.source, read.error)
            elif read.video:
                line = self.judge.video(policy, read.source, error, until=until)
                if line is not None:
                    lines[source] = line
            else:
                return True
            return False

        with closing(read_objects(self.objects, sources, threads=self.readers, until=until)) as reads:
            for group in in_groups(reads, is_picture, size=size):
                pictures = [(read.source, read.data) for read in group]
                try:
                    judged = self.judge.pictures(policy, pictures, error, until=until, share=share)
                except Suspicious:
                    suspicious += [sources[read.place] for read in group]
                    share = min(share, _AFTER_A_HANG)
                    continue
                # None, where the time is over.
                lines |= {sources[read.place]: line for read, line in zip(group, judged, strict=False)}
        return suspicious
