"""A judge without a model, for what is about lines and not about verdicts: it knows who was judged, and how often."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from moderator.jobs.judge import Policies
from moderator.jobs.line import JudgeFailed, Line, error_line
from moderator.jobs.requests import Answered, Requests
from moderator.jobs.sources import Source


@dataclass
class LightJudge:
    """Answers as `JudgeProcess` does; its verdict is `block` where the bytes say so, and it fails likewise.

    For each object it says that it has sent a request, as for a video's range.
    """

    configured: Policies
    judged: Counter[str] = field(default_factory=Counter)
    requests: Requests = field(default_factory=Requests)

    def pictures(self, policy: str, group: Sequence[tuple[Source, bytes]], *_: Any, **__: Any) -> list[Line]:
        self.judged.update(source.key for source, _ in group)
        self.requests.add(Answered(reads=len(group)))
        return [self._line(policy, source, data) for source, data in group]

    def _line(self, policy: str, source: Source, data: bytes) -> Line:
        names = self.configured.names(policy)
        if b"fails" in data:
            return error_line(source, JudgeFailed("It fails."), self.configured.named(policy), names)
        return {
            "source": source.as_json(),
            "verdict": "block" if b"block" in data else "allow",
            "reasons": [],
            "categories": {},
            "policy": dict(names.policy),
            "model": dict(names.model),
        }
