"""Turns a picture's cosines and a policy into what to do with the picture, and why."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from moderator.policy.policy import ACTIONS, Action, Category, Policy
from moderator.policy.score import Cosines, frames_that_count, over_parts, scores


@dataclass(frozen=True, kw_only=True)
class Moment:
    """A frame's place in its animation."""

    frame: int
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Reason:
    """Why a picture is not simply allowed."""

    category: str  # or `sample`, or `error`: those have neither score nor threshold nor label
    action: Action
    score: float | None = None
    threshold: float | None = None  # the one that the score passed
    label: str | None = None  # the one that fired most
    moment: Moment | None = None  # of an animated picture


@dataclass(frozen=True, kw_only=True)
class CategoryVerdict:
    """What one category says."""

    score: float
    action: Action


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What to do with a picture."""

    action: Action
    reasons: tuple[Reason, ...]  # the worst first
    categories: Mapping[str, CategoryVerdict]
    judged: bool = True  # False: there was nothing to judge, and the action is the policy's `on_error`


def judge(policy: Policy, cosines: Cosines, logit_scale: float, moments: Sequence[Moment] | None = None) -> Verdict:
    """Judge one picture.

    Args:
        policy: the policy.
        cosines: (frames, parts, labels), of the policy's labels in their order; a still picture has one frame.
        logit_scale: the model's.
        moments: of an animated picture, where each of its frames belongs.
    """
    # 1. What any part of a frame resembles, the frame resembles.
    similarities = over_parts(cosines)

    # 2. Each category is scored by itself, in each frame, and the frame that counts is found.
    by_frame = scores(policy, similarities, logit_scale)
    frames = frames_that_count(by_frame, policy.frames.at_least)

    # 3. A score and two thresholds make an action.
    categories: dict[str, CategoryVerdict] = {}
    reasons: list[Reason] = []
    for number, (category, frame) in enumerate(zip(policy.categories, frames.tolist(), strict=True)):
        score = float(by_frame[frame, number])
        action = action_of(category, score)
        categories[category.name] = CategoryVerdict(score=score, action=action)
        if action == "allow":
            continue
        fired = category.labels[int(np.take(similarities[frame], category.labels).argmax())]
        reasons.append(
            Reason(
                category=category.name,
                action=action,
                score=score,
                threshold=category.block if action == "block" else category.review,
                label=policy.labels[fired],
                moment=moments[frame] if moments is not None else None,
            )
        )

    # 4. The worst action of any category is the picture's.
    reasons.sort(key=lambda reason: (-ACTIONS.index(reason.action), -(reason.score or 0.0)))
    return Verdict(
        action=worst(verdict.action for verdict in categories.values()), reasons=tuple(reasons), categories=categories
    )


def action_of(category: Category, score: float) -> Action:
    """Return what a category's thresholds make of a score."""
    if category.block is not None and score >= category.block:
        return "block"
    if category.review is not None and score >= category.review:
        return "review"
    return "allow"


def worst(actions: Iterable[Action]) -> Action:
    """Return the worst of `actions`, of which there is at least one."""
    return max(actions, key=ACTIONS.index)


def with_sample(verdict: Verdict, policy: Policy, picture: bytes) -> Verdict:
    """Send a share of the allowed pictures to review: always the same pictures, whichever policy asks.

    A larger share holds every picture that a smaller one holds. What was not judged is left alone.
    """
    if verdict.action != "allow" or not verdict.judged or not _is_sampled(picture, policy.sample):
        return verdict
    return replace(verdict, action="review", reasons=(Reason(category="sample", action="review"),))


def unjudged(policy: Policy) -> Verdict:
    """Return the policy's verdict on what cannot be judged, with `judged` false."""
    reasons = () if policy.on_error == "allow" else (Reason(category="error", action=policy.on_error),)
    return Verdict(action=policy.on_error, reasons=reasons, categories={}, judged=False)


def partly_unseen(verdict: Verdict, policy: Policy) -> Verdict:
    """Return a verdict no milder than the policy's `on_error`, on what could be seen in part only.

    Who wants a picture to be allowed could otherwise put what matters where nobody looks.
    """
    if policy.on_error == "allow":
        return verdict
    reasons = sorted(
        (*verdict.reasons, Reason(category="error", action=policy.on_error)),
        key=lambda reason: -ACTIONS.index(reason.action),
    )
    return replace(verdict, action=worst((verdict.action, policy.on_error)), reasons=tuple(reasons))


def _is_sampled(picture: bytes, share: float) -> bool:
    if share <= 0:
        return False  # hashing megabytes for nothing takes milliseconds
    # 53 bits are all that a float64 between 0 and 1 has.
    return (int.from_bytes(hashlib.sha256(picture).digest()[:8]) >> 11) / 2**53 < share
