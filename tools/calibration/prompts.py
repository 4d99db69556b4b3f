"""Measures what each prompt contributes: what is lost when it alone is left out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.stats import t as students_t
from sklearn.metrics import roc_auc_score

from moderator.policy.policy import Category, Policy
from tools.calibration.evidence import Evidence, Similarities
from tools.calibration.fit import Truth, fit
from tools.calibration.lookalikes import Groups, Weights, weights

Side = Literal["labels", "against", "neutral"]
Effect = Literal["helps", "hurts", "unclear"]

# Of all prompts of a category together, one in twenty may be called helpful or harmful by chance (Bonferroni).
_CHANCE = 0.05
# In nats per picture. A smaller effect is not worth changing a prompt for, however certain it is.
_LEAST_EFFECT = 0.001


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """One prompt, and what it contributes to its category."""

    text: str
    side: Side
    contribution: float  # nats per picture by which the fit is worse without it; below 0 it is better without it
    margin: float  # half the width of the contribution's interval
    auroc: float  # without it
    effect: Effect


def contributions(
    policy: Policy, category: Category, similarities: Similarities, truth: Truth, groups: Groups
) -> tuple[Prompt, ...]:
    """Leave each prompt of `category` out in turn, the most harmful first.

    A side's last prompt cannot be left out.
    """
    weighed = weights(groups, truth)
    everything = _losses(similarities.evidence(category), truth, weighed)
    neutral = _neutral(policy)
    wanted = [(place, _side(place, category, neutral)) for place in (*category.labels, *category.against)]
    chance = _CHANCE / len(wanted)
    prompts = []
    for place, side in wanted:
        if len(category.labels if side == "labels" else category.against) == 1:
            continue
        evidence = similarities.evidence(category, without=place)
        difference, margin = _mean_and_margin(_losses(evidence, truth, weighed) - everything, groups, weighed, chance)
        prompts.append(
            Prompt(
                text=policy.labels[place],
                side=side,
                contribution=difference,
                margin=margin,
                auroc=float(roc_auc_score(truth, evidence, sample_weight=weighed)),
                effect=_effect(difference, margin),
            )
        )
    return tuple(sorted(prompts, key=lambda prompt: (prompt.contribution, prompt.text)))


def harmful_neutral(by_category: Sequence[Sequence[Prompt]]) -> tuple[str, ...]:
    """Return the neutral prompts without which all categories together would be recognised better.

    One that hurts a category may help another more, and it can only be left out for both.
    """
    found: dict[str, list[Prompt]] = {}
    for prompt in (prompt for prompts in by_category for prompt in prompts if prompt.side == "neutral"):
        found.setdefault(prompt.text, []).append(prompt)
    return tuple(
        text
        for text, prompts in sorted(found.items())
        if _effect(sum(one.contribution for one in prompts), math.hypot(*(one.margin for one in prompts))) == "hurts"
    )


def _side(place: int, category: Category, neutral: frozenset[int]) -> Side:
    if place in category.labels:
        return "labels"
    return "neutral" if place in neutral else "against"


def _neutral(policy: Policy) -> frozenset[int]:
    """Return the places of the policy's own `neutral`, whichever of them a category's `against` holds, too."""
    written = frozenset(policy.written.get("neutral", ()))
    return frozenset(place for place, label in enumerate(policy.labels) if label in written)


def _losses(evidence: Evidence, truth: Truth, weighed: Weights) -> npt.NDArray[np.float64]:
    """Return each picture's surprise, in nats, at the best curve for this evidence."""
    curve = fit(evidence, truth, weighed)
    probabilities = curve(evidence) if curve else np.full(len(truth), np.average(truth, weights=weighed))
    kept = np.clip(probabilities, 1e-15, 1 - 1e-15)
    losses: npt.NDArray[np.float64] = -np.log(np.where(truth, kept, 1 - kept))
    return losses


def _mean_and_margin(
    differences: npt.NDArray[np.float64], groups: Groups, weighed: Weights, chance: float
) -> tuple[float, float]:
    # Near-duplicates tell the same twice: their group counts once.
    _, places = np.unique(groups, return_inverse=True)
    sums = np.bincount(places.reshape(-1), weighed * differences)
    spread = float(np.sqrt(((sums - sums.mean()) ** 2).sum() * len(sums) / max(1, len(sums) - 1)))
    width = float(students_t.ppf(1 - chance / 2, max(1, len(sums) - 1)))
    total = float(weighed.sum())
    return float((weighed * differences).sum()) / total, width * spread / total


def _effect(difference: float, margin: float) -> Effect:
    if abs(difference) <= max(margin, _LEAST_EFFECT):
        return "unclear"
    return "helps" if difference > 0 else "hurts"
