"""Verdicts and probabilities as lists of labels with parents, as Amazon Rekognition has them."""

from __future__ import annotations

from typing import Any

from moderator.classifier import Answer
from moderator.labels.label_sets import LabelSet
from moderator.policy.policy import Policy
from moderator.policy.verdict import Verdict
from moderator.web.answers import native

_MOST_LEVELS = 3  # of Rekognition's own taxonomy


def moderation_labels(verdict: Verdict, policy: Policy) -> list[dict[str, Any]]:
    """List the levels of each category that is not allowed; a parent has the highest confidence of its children."""
    names = {category.name: category.rekognition or category.name for category in policy.categories}
    found: dict[tuple[str, ...], float] = {}
    for reason in verdict.reasons:
        if reason.score is None or reason.label is None:
            continue  # the sample, or frames that were not seen: nothing was found
        # A category without Rekognition's name is one level, even with slashes in its own.
        mapped = names[reason.category]
        levels = (*(mapped.split("/") if mapped != reason.category else [mapped]), reason.label)[:_MOST_LEVELS]
        for depth in range(1, len(levels) + 1):
            found[levels[:depth]] = max(found.get(levels[:depth], 0.0), _percent(reason.score))
    return [
        {
            "Confidence": confidence,
            "Name": levels[-1],
            "ParentName": levels[-2] if len(levels) > 1 else "",
            "TaxonomyLevel": len(levels),
        }
        for levels, confidence in sorted(found.items(), key=lambda one: (len(one[0]), -one[1]))
    ]


def labels_of(answer: Answer, label_set: LabelSet) -> list[dict[str, Any]]:
    """List a label set's labels, and its categories as their parents."""
    parents = label_set.categories or (None,) * len(label_set.labels)
    named = zip(label_set.labels, answer.probabilities.tolist(), parents, strict=True)
    rows = [(label, share, [{"Name": parent}] if parent else []) for label, share, parent in named]
    rows += [(name, share, []) for name, share in (answer.categories or {}).items()]
    return [
        {"Name": name, "Confidence": _percent(share), "Instances": [], "Parents": above} for name, share, above in rows
    ]


def _percent(share: float) -> float:
    return min(100.0, native.six_digits(share * 100))
