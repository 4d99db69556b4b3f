"""Verdict lines: what `/moderate` would answer about an object, and which object that is."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from moderator.clip.model import Model
from moderator.errors import RequestError
from moderator.jobs.cost import ranges_of
from moderator.jobs.sources import Source
from moderator.policy.policy import Policy
from moderator.policy.verdict import unjudged
from moderator.web.answers import native

Line = dict[str, Any]

# Another run may do better: these are about the moment, not about the bytes.
_OF_THE_MOMENT = (
    "object-gone",
    "object-refused",
    "object-unreadable",
    "out-of-time",
    "decoder-crashed",
    "judge-failed",
)


class DecoderCrashed(RequestError):
    """The object ended the process that judged it, or kept it busy for too long."""

    title = "The object cannot be judged"


class JudgeFailed(RequestError):
    """The judge raised something that no object should make it raise: a bug of ours, which the log tells of."""

    status = HTTPStatus.INTERNAL_SERVER_ERROR
    title = "The judge failed"


@dataclass(frozen=True, kw_only=True)
class Names:
    """What a verdict depends on beside the bytes."""

    policy: Mapping[str, Any]
    model: Mapping[str, Any]

    @classmethod
    def of(cls, policy: Policy, model: Model) -> Names:
        """Name them as `/moderate` does."""
        return cls(policy=native.policy_name(policy), model=native.model_name(model))

    def belongs(self, line: Line) -> bool:
        """Return whether the same policy and model gave this line."""
        ours = (self.policy["version"], self.model["fingerprint"])
        return ours == (line["policy"]["version"], line["model"]["fingerprint"])


def error_line(source: Source, error: RequestError, policy: Policy, names: Names) -> Line:
    """Give the line of what could not be judged: the problem, and what the policy says is to be done then."""
    verdict = unjudged(policy)
    return {
        "source": source.as_json(),
        "verdict": verdict.action,
        "reasons": native.reasons(verdict),
        "categories": {},
        "error": error.problem(),
        "policy": dict(names.policy),
        "model": dict(names.model),
    }


def is_final(line: Line) -> bool:
    """Return whether the same bytes would give the same line again."""
    return "error" not in line or str(line["error"]["type"]).rpartition(":")[2] not in _OF_THE_MOMENT


def write_lines(lines: Iterable[Line]) -> bytes:
    """Write lines as JSONL."""
    return b"".join(
        json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass") + b"\n"
        for line in lines
    )


def read_lines(data: bytes) -> list[Line]:
    """Read what `write_lines` wrote."""
    return [json.loads(line) for line in data.split(b"\n") if line]


def count(lines: Iterable[Line]) -> dict[str, Any]:
    """Count objects, verdicts, the categories that acted, failures by reason, bytes, and ranges of videos, if any."""
    verdicts: Counter[str] = Counter()
    categories: Counter[str] = Counter()
    failures: Counter[str] = Counter()
    size = ranges = 0
    for line in lines:
        if "video" in line:
            ranges += ranges_of(line["source"]["bytes"] or 0)
        verdicts[line["verdict"]] += 1
        categories.update({reason["category"] for reason in line["reasons"]} - {"error"})
        size += line["source"]["bytes"] or 0
        if "error" in line:
            failures[str(line["error"]["type"]).rpartition(":")[2]] += 1
    return {
        "objects": verdicts.total(),
        "bytes": size,
        "verdicts": dict(sorted(verdicts.items())),
        "categories": dict(sorted(categories.items())),
        "failures": dict(sorted(failures.items())),
    } | ({"ranges": ranges} if ranges else {})
