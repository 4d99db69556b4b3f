"""The warm-up event: puts label embeddings into the store before traffic comes.

It raises when it could not do its work, so that a deployment fails rather than going live cold.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from moderator.errors import WarmUpError
from moderator.labels.cache import LabelCache
from moderator.labels.label_sets import LabelSet
from moderator.policy.policy import Policy

_FORM = 'send {"warm": {"label_sets": ["NAME"], "policies": ["NAME"]}} or {"warm": {"labels": ["..."]}}'


def is_warm_up(event: Mapping[str, Any]) -> bool:
    """Return whether `event` asks for a warm-up."""
    return "warm" in event


def warm_up(
    event: Mapping[str, Any],
    cache: LabelCache,
    label_sets: Mapping[str, LabelSet],
    policies: Mapping[str, Policy],
) -> dict[str, Any]:
    """Do what the event asks.

    Returns:
        The numbers of labels, of those already stored and of those computed, and the milliseconds it took.

    Raises:
        WarmUpError: the event is not of its form, names an unknown label set or policy, or the store did not take the
            embeddings.
        InvalidField: a label cannot be computed.
    """
    return asdict(cache.warm(_labels(event["warm"], label_sets, policies)))


def _labels(asked: object, label_sets: Mapping[str, LabelSet], policies: Mapping[str, Policy]) -> list[str]:
    match asked:
        case {"labels": [*labels], **rest} if labels and not rest:
            if not all(isinstance(label, str) and label.strip() for label in labels):
                raise WarmUpError("Every label of a warm-up must be a text that is not empty.")
            return labels
        case {**fields} if fields and fields.keys() <= {"label_sets", "policies"}:
            return [
                *(_of_names(fields["label_sets"], label_sets, "label set") if "label_sets" in fields else ()),
                *(_of_names(fields["policies"], policies, "policy") if "policies" in fields else ()),
            ]
    raise WarmUpError(f"The warm-up event is not of its form: {_FORM}.")


def _of_names(names: object, known: Mapping[str, LabelSet] | Mapping[str, Policy], kind: str) -> list[str]:
    if not isinstance(names, list) or not names:
        raise WarmUpError(f"The warm-up event is not of its form: {_FORM}.")
    unknown = [name for name in names if not isinstance(name, str) or name not in known]
    if unknown:
        listed = ", ".join(known) or "none"
        raise WarmUpError(f"The {kind} {unknown[0]!r} is not configured: those that are: {listed}.")
    return [label for name in names for label in known[name].labels]
