"""Turns cosines into scores, one for each category: the formula of `docs/policies.md`, safe at any logit scale."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from moderator.policy.policy import Policy

Cosines = npt.NDArray[np.floating[Any]]
Scores = npt.NDArray[np.float64]

# A score is below 1, however strong the evidence; float64 would round it up. So a threshold of 1 is never reached.
_HIGHEST = np.nextafter(1.0, 0.0)


def over_parts(cosines: Cosines) -> Cosines:
    """Return each label's similarity to a picture that was looked at in parts: (…, parts, labels) -> (…, labels)."""
    similarities: Cosines = cosines.max(axis=-2)
    return similarities


def scores(policy: Policy, similarities: Cosines, logit_scale: float) -> Scores:
    """Score each category by itself.

    Args:
        policy: the policy.
        similarities: (…, labels), the cosines of the policy's labels, in their order.
        logit_scale: the model's.

    Returns:
        (…, categories), each from 0 up to but not including 1.
    """
    # In float64, and contiguous: numpy adds up a contiguous row in the same order, whatever other rows there are.
    logits = np.ascontiguousarray(similarities, dtype=np.float64) * logit_scale
    evidences = [
        evidence(np.take(logits, category.labels, axis=-1), np.take(logits, category.against, axis=-1))
        for category in policy.categories
    ]
    return _probabilities(
        np.stack(evidences, axis=-1),
        np.array([category.scale for category in policy.categories]),
        np.array([category.offset for category in policy.categories]),
    )


def evidence(labels: Scores, against: Scores) -> Scores:
    """Return ln mean exp(labels) - ln mean exp(against), over the last axis of each: (…, labels), (…, against) -> (…).

    Means, not sums: many prompts on one side weigh no more than few.
    """
    return _log_mean_exp(labels) - _log_mean_exp(against)


def frames_that_count(over_frames: Scores, at_least: int) -> npt.NDArray[np.intp]:
    """Return, for each category, the frame whose score is its `at_least`-th highest.

    Where there are fewer frames than `at_least`, all must agree: a still picture is judged by its one frame. Of frames
    with equal scores the earlier one counts as higher.

    Args:
        over_frames: (frames, categories).
        at_least: 1 or more.

    Returns:
        (categories,), places in the first axis.
    """
    from_the_highest = np.argsort(-over_frames, axis=0, kind="stable")
    counting: npt.NDArray[np.intp] = from_the_highest[min(at_least, len(over_frames)) - 1]
    return counting


def _log_mean_exp(logits: Scores) -> Scores:
    # The maximum is taken out first, so that nothing overflows and at least one term is 1.
    highest = logits.max(axis=-1, keepdims=True)
    mean: Scores = np.log(np.exp(logits - highest).mean(axis=-1)) + highest[..., 0]
    return mean


def _probabilities(evidences: Scores, scales: Scores, offsets: Scores) -> Scores:
    with np.errstate(over="ignore"):  # an infinite argument has a probability too
        arguments = scales * evidences + offsets
    # exp of a negative number only, on either side of 0.
    exponential = np.exp(-np.abs(arguments))
    probabilities: Scores = np.minimum(np.where(arguments >= 0, 1.0, exponential) / (1.0 + exponential), _HIGHEST)
    return probabilities
