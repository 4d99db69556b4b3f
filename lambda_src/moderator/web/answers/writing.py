"""Writes what adapters have in common of an answer: a yes or a no, and JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from moderator.errors import RequestError
from moderator.policy.policy import ACTIONS, Action
from moderator.policy.verdict import Verdict
from moderator.web.answers.adapter import Outcome
from moderator.web.http_event import Response


def verdict_of(outcome: Outcome) -> Verdict:
    """Return what a policy says of a picture.

    Raises:
        RequestError: the picture could not be judged.
    """
    if isinstance(outcome, RequestError):
        raise outcome
    if not isinstance(outcome, Verdict):
        raise TypeError("A label set was asked for.")
    return outcome


def is_flagged(verdict: Verdict, least: Action) -> bool:
    """Return whether a verdict is a yes where there is only yes and no.

    A picture that only the sample sends to review is not: nothing was found in it.
    """
    return any(
        ACTIONS.index(reason.action) >= ACTIONS.index(least)
        for reason in verdict.reasons
        if reason.category != "sample"
    )


def as_json(content: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Write a JSON answer."""
    body = json.dumps(content, ensure_ascii=False, allow_nan=False)
    return Response(status=status, body=body, content_type="application/json", headers=headers or {})
