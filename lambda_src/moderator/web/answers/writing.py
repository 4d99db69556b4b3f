"""Writes what adapters have in common of an answer: a yes or a no, and JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from moderator.errors import PartlyUnseen, RequestError
from moderator.policy.form import RESERVED_NAMES
from moderator.policy.policy import ACTIONS, Action
from moderator.policy.verdict import Verdict
from moderator.web.answers.adapter import Outcome
from moderator.web.http_event import Response


def verdict_of(outcome: Outcome, least: Action = "review") -> Verdict:
    """Return what a policy says of a picture, of which a form says only whether it is flagged (`is_flagged`).

    Raises:
        RequestError: the picture could not be judged, or is not flagged by what could be seen of it.
    """
    if isinstance(outcome, RequestError):
        raise outcome
    if not isinstance(outcome, Verdict):
        raise TypeError("A label set was asked for.")
    if any(reason.category == "error" for reason in outcome.reasons) and not is_flagged(outcome, least):
        raise PartlyUnseen(
            "The picture is animated, and not all of its frames could be looked at, so it cannot be called safe: send "
            "a whole one that is shorter or smaller, or let the policy's on_error allow it."
        )
    return outcome


def is_flagged(verdict: Verdict, least: Action) -> bool:
    """Return whether a verdict is a yes where there is only yes and no.

    Only what was found in it counts: not that the sample sends it to review, or that not all of it could be seen.
    """
    return any(
        ACTIONS.index(reason.action) >= ACTIONS.index(least)
        for reason in verdict.reasons
        if reason.category not in RESERVED_NAMES
    )


def as_json(content: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Write a JSON answer."""
    body = json.dumps(content, ensure_ascii=False, allow_nan=False)
    return Response(status=status, body=body, content_type="application/json", headers=headers or {})
