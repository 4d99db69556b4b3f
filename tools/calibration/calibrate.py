"""Calibrates a policy on labelled pictures: similarities and truth in, curves and thresholds out. Reads no files."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from moderator.policy.policy import Category, Policy
from moderator.policy.score import Scores
from tools.calibration.evidence import Similarities
from tools.calibration.fit import (
    LEAST_FOR_ISOTONIC,
    Curve,
    Method,
    Probabilities,
    Truth,
    fit,
    out_of_fold,
)
from tools.calibration.interval import needed_on_average, needed_with_confidence
from tools.calibration.lookalikes import Groups
from tools.calibration.metrics import Metrics, measure
from tools.calibration.prompts import Prompt, contributions
from tools.calibration.thresholds import LEAST_PICTURES, NEVER, Targets, Threshold, Thresholds, at, choose

Names = tuple[frozenset[str], ...]


@dataclass(frozen=True, kw_only=True)
class Calibrated:
    """What was found out about one category."""

    category: Category
    pictures: int  # of the category; near-duplicates count once
    others: int  # likewise
    curve: Curve
    scores: Probabilities  # (pictures,), by the curve
    thresholds: Thresholds
    review_before: Threshold | None
    block_before: Threshold | None
    before: Metrics
    after: Metrics  # out of fold
    prompts: tuple[Prompt, ...]


@dataclass(frozen=True, kw_only=True)
class Refused:
    """A category that could not be calibrated."""

    category: Category
    pictures: int
    why: str


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """What was found out about a policy."""

    categories: tuple[Calibrated | Refused, ...]

    @property
    def done(self) -> tuple[Calibrated, ...]:
        """The categories that could be calibrated."""
        return tuple(one for one in self.categories if isinstance(one, Calibrated))

    @property
    def refused(self) -> tuple[Refused, ...]:
        """The others."""
        return tuple(one for one in self.categories if isinstance(one, Refused))


def calibrate(
    policy: Policy, similarities: Similarities, names: Names, groups: Groups, targets: Targets, method: Method
) -> Calibration:
    """Calibrate each category by itself.

    Args:
        policy: whose prompts are kept as they are.
        similarities: of the pictures to the policy's labels.
        names: the categories that each picture shows.
        groups: near-duplicates share a number.
        targets: what the thresholds are for.
        method: how the curve is fitted.
    """
    return Calibration(
        categories=tuple(
            _calibrate(policy, category, similarities, names, groups, targets, method) for category in policy.categories
        )
    )


def _calibrate(
    policy: Policy,
    category: Category,
    similarities: Similarities,
    names: Names,
    groups: Groups,
    targets: Targets,
    method: Method,
) -> Calibrated | Refused:
    truth = np.array([category.name in of_picture for of_picture in names], np.bool_)
    distinct = _first_of_each(groups, truth)
    positives, negatives = int(truth[distinct].sum()), int((~truth[distinct]).sum())
    if why := _too_few(category.name, positives, negatives, len(truth), targets, method):
        return Refused(category=category, pictures=positives, why=why)

    evidence = similarities.evidence(category)
    curve = fit(evidence, truth, method)
    if curve is None:
        why = f"Its pictures resemble its labels no more than the others do: find other labels for {category.name}."
        return Refused(category=category, pictures=positives, why=why)
    scores = curve(evidence)
    before = Curve(category.scale, category.offset)(evidence)
    held_out = out_of_fold(evidence, truth, groups, method)
    return Calibrated(
        category=category,
        pictures=positives,
        others=negatives,
        curve=curve,
        scores=scores,
        thresholds=choose(scores[distinct], truth[distinct], targets),
        review_before=_at(category.review, before[distinct], truth[distinct]),
        block_before=_at(category.block, before[distinct], truth[distinct]),
        before=measure(before, truth),
        after=measure(held_out, truth),
        prompts=contributions(policy, category, similarities, truth, groups),
    )


def reports_only(category: Category) -> bool:
    """Return whether the policy never acts on this category; then its thresholds are left alone."""
    return all(threshold is None or threshold >= NEVER for threshold in (category.review, category.block))


def _at(threshold: float | None, scores: Scores, truth: Truth) -> Threshold | None:
    return None if threshold is None else at(threshold, scores, truth)


def _first_of_each(groups: Groups, truth: Truth) -> npt.NDArray[np.intp]:
    """Return the first picture of each group of near-duplicates; where a group has both kinds, of each kind."""
    _, first = np.unique(np.stack([groups, truth.astype(np.int64)]), axis=1, return_index=True)
    return np.sort(first)


def _too_few(name: str, positives: int, negatives: int, pictures: int, targets: Targets, method: Method) -> str | None:
    if negatives == 0:
        return f"All pictures are {name}: put pictures that do not show it into the folder neutral."
    if min(positives, negatives) < LEAST_PICTURES:
        kind = f"of {name}" if positives < LEAST_PICTURES else f"without {name}"
        few = min(positives, negatives)
        return (
            f"There {'is' if few == 1 else 'are'} only {few} different {'picture' if few == 1 else 'pictures'} {kind}: "
            f"it takes at least {LEAST_PICTURES}, {needed_on_average(targets.recall)} to promise a recall of "
            f"{targets.recall:g} on average, and {needed_with_confidence(targets.recall)} without a miss for 95 % "
            "confidence."
        )
    if method == "isotonic" and pictures < LEAST_FOR_ISOTONIC:
        return f"Isotonic regression needs {LEAST_FOR_ISOTONIC:,} pictures, and there are {pictures:,}: use platt."
    return None
