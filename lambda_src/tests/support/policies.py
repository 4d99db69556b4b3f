"""Small policies to test with."""

from __future__ import annotations

from typing import Any

from moderator.policy.file import read_inline
from moderator.policy.policy import Policy


def content(**fields: Any) -> dict[str, Any]:
    """Return the JSON of a valid policy, with `fields` in place of its own."""
    return {
        "neutral": ["a street", "a room"],
        "categories": {
            "weapons": {"labels": ["a gun", "a knife"], "against": ["a camera"], "review": 0.6, "block": 0.9}
        },
    } | fields


def category(**fields: Any) -> dict[str, Any]:
    """Return the JSON of a policy whose one category, `weapons`, has `fields` in place of its own."""
    weapons = content()["categories"]["weapons"] | fields
    return content(categories={"weapons": {name: value for name, value in weapons.items() if value is not ...}})


def policy(given: dict[str, Any] | None = None) -> Policy:
    """Read a policy as a request's is read."""
    return read_inline(content() if given is None else given, known=["live", "next"], max_labels=1000)


def judged_by(labels: int, against: int, *, scale: float = 1.0, offset: float = 0.0, **thresholds: float) -> Policy:
    """Return a policy of one category; its labels come first among the policy's, those against after them."""
    return policy(
        {
            "categories": {
                "it": {
                    "labels": [f"a {number:03}" for number in range(labels)],
                    "against": [f"b {number:03}" for number in range(against)],
                    **(thresholds or {"review": 0.5}),
                }
            },
            "calibration": {
                "model": {"name": "a", "pretrained": "b"},
                "categories": {"it": {"scale": scale, "offset": offset}},
            },
        }
    )
