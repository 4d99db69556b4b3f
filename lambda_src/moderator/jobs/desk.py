"""What a worker works with, and its work: objects in, a line for each, whatever is wrong with it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from moderator.errors import RequestError
from moderator.jobs.judge import Policies
from moderator.jobs.judge_process import JudgeProcess
from moderator.jobs.line import Line, error_line
from moderator.jobs.objects import Objects
from moderator.jobs.reading import Read, in_groups, read_objects
from moderator.jobs.results import Results
from moderator.jobs.sources import Source


@dataclass(frozen=True, kw_only=True)
class Desk:
    """What a worker works with."""

    objects: Objects
    judge: JudgeProcess
    results: Results
    configured: Policies
    readers: int

    def lines(self, policy: str, sources: Sequence[Source], *, until: float = math.inf) -> dict[Source, Line]:
        """Judge each object; one that is not done by `until`, a moment of the monotonic clock, has no line."""
        lines: dict[Source, Line] = {}

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

        for group in in_groups(read_objects(self.objects, sources, threads=self.readers, until=until), is_picture):
            judged = self.judge.pictures(policy, [(read.source, read.data) for read in group], error, until=until)
            # Fewer than there are, where the time is over.
            lines |= {sources[read.place]: line for read, line in zip(group, judged, strict=False)}
        return lines
