"""What a decision costs over a classification: `/moderate` with five times as many labels as `/classify`."""

from __future__ import annotations

from collections.abc import Callable

from bench import pictures
from bench.ours import Ours
from moderator.policy.file import read_policies
from moderator.settings import Settings

POLICY = "moderation"
_TIMES_AS_MANY = 5


def actions(ours: Ours) -> dict[str, Callable[[], object]]:
    """Return requests about a square picture and about one of 16:9, which is looked at in two tiles."""
    settings = Settings()
    policy = read_policies(settings.policies_dir, max_labels=settings.max_labels)[POLICY]
    labels = policy.labels[: len(policy.labels) // _TIMES_AS_MANY]
    square, wide = pictures.square(), pictures.thumbnail()
    return {
        "classify_square_ms": ours.request([square], labels),
        "moderate_square_ms": ours.moderation(square, POLICY),
        "classify_wide_ms": ours.request([wide], labels),
        "moderate_wide_ms": ours.moderation(wide, POLICY),
    }
