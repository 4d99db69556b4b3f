"""Calibrates a policy on labelled pictures: similarities and truth in, curves and thresholds out. Reads no files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from moderator.policy.policy import Category, Policy
from tools.calibration.earlier import Limit
from tools.calibration.evidence import Evidence, Similarities
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
from tools.calibration.lookalikes import Groups, first_of_each, weights
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
    used: frozenset[Limit]  # the thresholds that the policy's author wants
    thresholds: Thresholds
    review_before: Threshold | None
    block_before: Threshold | None
    before: Metrics
    after: Metrics  # out of fold
    prompts: tuple[Prompt, ...]


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """A category's curve, and the thresholds on its scores."""

    curve: Curve
    thresholds: Thresholds


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
    policy: Policy,
    used: Mapping[str, frozenset[Limit]],
    similarities: Similarities,
    names: Names,
    groups: Groups,
    targets: Targets,
    method: Method,
) -> Calibration:
    """Calibrate each category by itself.

    Args:
        policy: whose prompts are kept as they are.
        used: by category, the thresholds that its author wants.
        similarities: of the pictures to the policy's labels.
        names: the categories that each picture shows.
        groups: near-duplicates share a number.
        targets: what the thresholds are for.
        method: how the curve is fitted.
    """
    return Calibration(
        categories=tuple(
            _calibrate(policy, category, used[category.name], similarities, names, groups, targets, method)
            for category in policy.categories
        )
    )


def fit_and_choose(evidence: Evidence, truth: Truth, groups: Groups, targets: Targets, method: Method) -> Fitted | None:
    """Fit a category's curve, and choose thresholds on its scores; near-duplicates count as one.

    Return None where no curve would help.
    """
    curve = fit(evidence, truth, weights(groups, truth), method)
    if curve is None:
        return None
    counted = first_of_each(groups, truth)
    return Fitted(curve=curve, thresholds=choose(curve(evidence)[counted], truth[counted], targets))


def _calibrate(
    policy: Policy,
    category: Category,
    used: frozenset[Limit],
    similarities: Similarities,
    names: Names,
    groups: Groups,
    targets: Targets,
    method: Method,
) -> Calibrated | Refused:
    truth = np.array([category.name in of_picture for of_picture in names], np.bool_)
    counted = first_of_each(groups, truth)
    positives, negatives = int(truth[counted].sum()), int((~truth[counted]).sum())
    if why := _too_few(category.name, positives, negatives, targets, method):
        return Refused(category=category, pictures=positives, why=why)

    evidence = similarities.evidence(category)
    fitted = fit_and_choose(evidence, truth, groups, targets, method)
    if fitted is None:
        why = f"Its pictures resemble its labels no more than the others do: find other labels for {category.name}."
        return Refused(category=category, pictures=positives, why=why)
    before = Curve(category.scale, category.offset)(evidence)
    held_out, weighed = out_of_fold(evidence, truth, groups, method), weights(groups, truth)
    return Calibrated(
        category=category,
        pictures=positives,
        others=negatives,
        curve=fitted.curve,
        used=used,
        thresholds=fitted.thresholds,
        review_before=_at(category.review, before[counted], truth[counted]),
        block_before=_at(category.block, before[counted], truth[counted]),
        before=measure(before, truth, weighed),
        after=measure(held_out, truth, weighed),
        prompts=contributions(policy, category, similarities, truth, groups),
    )


def reports_only(category: Category) -> bool:
    """Return whether the policy never acts on this category."""
    return all(threshold is None or threshold >= NEVER for threshold in (category.review, category.block))


def _at(threshold: float | None, scores: Probabilities, truth: Truth) -> Threshold | None:
    return None if threshold is None else at(threshold, scores, truth)


def _too_few(name: str, positives: int, negatives: int, targets: Targets, method: Method) -> str | None:
    if negatives == 0:
        return f"All pictures are {name}: put pictures that do not show it into the folder neutral."
    promises = (
        f", {needed_on_average(targets.recall)} to promise a recall of {targets.recall:g} on average, and "
        f"{needed_with_confidence(targets.precision)} to promise a precision of {targets.precision:g} with 95 % "
        "confidence"
    )
    for few, kind, more in ((positives, f"of {name}", promises), (negatives, f"without {name}", "")):
        if few < LEAST_PICTURES:
            there_are = {0: "are no pictures", 1: "is only 1 different picture"}.get(
                few, f"are only {few} different pictures"
            )
            return f"There {there_are} {kind}: it takes at least {LEAST_PICTURES}{more}."
    if method == "isotonic" and positives + negatives < LEAST_FOR_ISOTONIC:
        return (
            f"Isotonic regression needs {LEAST_FOR_ISOTONIC:,} different pictures, and there are "
            f"{positives + negatives:,}: use platt."
        )
    return None
