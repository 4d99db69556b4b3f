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
from moderator.jobs.sources import Source
from moderator.policy.policy import Policy
from moderator.policy.verdict import unjudged
from moderator.web.answers import native

Line = dict[str, Any]

# The kinds of error of an object that is not there, and of one that was replaced while it was read.
GONE, CHANGED = "object-gone", "object-changed"
# Another run may do better: these are about the moment, not about the bytes.
_OF_THE_MOMENT = (
    GONE,
    "object-refused",
    "object-unreadable",
    "object-archived",
    CHANGED,
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


def error_kind(line: Line) -> str:
    """Return the name of a line's error, or an empty text."""
    return str(line["error"]["type"]).rpartition(":")[2] if "error" in line else ""


def is_final(line: Line) -> bool:
    """Return whether the same bytes would give the same line again."""
    return error_kind(line) not in _OF_THE_MOMENT


def alike(one: Line, other: Line) -> bool:
    """Return whether two lines about an object are about the same bytes, as far as they tell."""
    versions = {line["source"]["versionId"] for line in (one, other)} - {None}
    same_bytes = e_tag_of(one) is not None and e_tag_of(one) == e_tag_of(other) and len(versions) < 2
    return same_bytes or bool(one["source"] == other["source"])


def is_about_bytes(line: Line) -> bool:
    """Return whether a line says which bytes there are, or that there are none, or that they have changed."""
    return not is_of_moment(line) or e_tag_of(line) is not None


def is_of_moment(line: Line) -> bool:
    """Return whether a line says nothing about the object, but that it could not be judged now."""
    return not is_final(line) and error_kind(line) not in (GONE, CHANGED)


def e_tag_of(line: Line) -> str | None:
    """Return the ETag of the bytes that a line is about, or None where it tells none."""
    e_tag: str | None = line["source"]["eTag"]
    return e_tag


def once(lines: Iterable[Line]) -> list[Line]:
    """Return lines of one bucket, in order, each about something else.

    A list may name an object with its version, and once more without.
    """
    return list({(line["source"]["key"], line["source"]["versionId"]): line for line in lines}.values())


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
    """Count objects, verdicts, the categories that acted, failures by reason, and bytes."""
    verdicts: Counter[str] = Counter()
    categories: Counter[str] = Counter()
    failures: Counter[str] = Counter()
    size = 0
    for line in lines:
        verdicts[line["verdict"]] += 1
        categories.update({reason["category"] for reason in line["reasons"]} - {"error"})
        size += line["source"]["bytes"] or 0
        if kind := error_kind(line):
            failures[kind] += 1
    return {
        "objects": verdicts.total(),
        "bytes": size,
        "verdicts": dict(sorted(verdicts.items())),
        "categories": dict(sorted(categories.items())),
        "failures": dict(sorted(failures.items())),
    }
