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

_FORM = 'send {"warm": {"label_sets": ["NAME"]}} or {"warm": {"labels": ["..."]}}'


def is_warm_up(event: Mapping[str, Any]) -> bool:
    """Whether `event` asks for a warm-up. An HTTP request never does, whatever its body holds."""
    return "warm" in event and "requestContext" not in event


def warm_up(event: Mapping[str, Any], cache: LabelCache, label_sets: Mapping[str, LabelSet]) -> dict[str, Any]:
    """Do what the event asks.

    Returns:
        The numbers of labels, of those already stored and of those computed, and the milliseconds it took.

    Raises:
        WarmUpError: the event is not of its form, names an unknown set, or the store did not take the embeddings.
        InvalidField: a label cannot be computed.
    """
    return asdict(cache.warm(_labels(event["warm"], label_sets)))


def _labels(asked: object, label_sets: Mapping[str, LabelSet]) -> list[str]:
    match asked:
        case {"label_sets": [*names], **rest} if names and not rest:
            unknown = [name for name in names if not isinstance(name, str) or name not in label_sets]
            if unknown:
                known = ", ".join(label_sets) or "none"
                raise WarmUpError(f"The label set {unknown[0]!r} is not configured: the label sets are {known}.")
            return [label for name in names for label in label_sets[name].labels]
        case {"labels": [*labels], **rest} if labels and not rest:
            if not all(isinstance(label, str) and label.strip() for label in labels):
                raise WarmUpError("Every label of a warm-up must be a text that is not empty.")
            return labels
    raise WarmUpError(f"The warm-up event is not of its form: {_FORM}.")
