"""Chooses a category's thresholds, `review` for a recall and `block` for a precision, and says what can be promised."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tools.calibration.fit import Probabilities, Truth
from tools.calibration.interval import Share, mistakes_allowed, needed_on_average, needed_with_confidence, share

# Thresholds are written with as few digits as tell the pictures on either side apart; but not with fewer than these.
_LEAST_DIGITS = 2
_MOST_DIGITS = 17
# With fewer pictures, nothing can be concluded.
LEAST_PICTURES = 5
# No score is this high: a category with this threshold only reports.
NEVER = 1.0


@dataclass(frozen=True, kw_only=True)
class Targets:
    """What the thresholds are for."""

    precision: float = 0.95  # of `block`
    recall: float = 0.95  # of `review`


@dataclass(frozen=True, kw_only=True)
class Threshold:
    """One threshold, and what it does on the pictures that it was chosen on."""

    value: float
    recall: Share  # of the category's pictures, those at or above it
    precision: Share  # of those at or above it, the category's
    false_positives: Share  # of all other pictures, those at or above it
    promised: bool
    sentence: str


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    """A category's two thresholds; a policy may use only one of them."""

    review: Threshold
    block: Threshold


def choose(scores: Probabilities, truth: Truth, targets: Targets) -> Thresholds:
    """Choose thresholds; the caller must have counted near-duplicates once.

    The two limits are the highest threshold that keeps the recall and the lowest that keeps the precision. Where the
    kinds are so far apart that the second is below the first, any threshold between them meets both targets. Then the
    one with the fewest mistakes is taken, with the gap between scores around it: `review` begins just above the gap's
    lower end and `block` at its upper end, so that scores that nobody has seen yet are reviewed.
    """
    positives = int(truth.sum())
    review = _for_recall(scores, truth, targets.recall)
    lowest = _for_precision(scores, truth, targets.precision)
    block = NEVER if lowest is None else lowest
    if block <= review:
        review, block = _gap(scores, truth, block, review)
    else:
        review, block = _just_below(review, scores), _just_below(block, scores)
    recall_promised = mistakes_allowed(positives, targets.recall) >= 0
    flagged_right = int((truth & (scores >= block)).sum())
    flagged_wrong = int((~truth & (scores >= block)).sum())
    precision_promised = flagged_wrong <= mistakes_allowed(flagged_right + flagged_wrong, targets.precision)
    return Thresholds(
        review=_threshold(review, scores, truth, recall_promised, _recall_sentence(positives, targets.recall)),
        block=_threshold(
            block,
            scores,
            truth,
            precision_promised and block < NEVER,
            _precision_sentence(block, flagged_right, flagged_wrong, targets.precision),
        ),
    )


def at(value: float, scores: Probabilities, truth: Truth) -> Threshold:
    """Return what a threshold that somebody else chose does."""
    return _threshold(value, scores, truth, promised=False, sentence="")


def _for_recall(scores: Probabilities, truth: Truth, target: float) -> float:
    ascending = np.sort(scores[truth])
    missed = max(0, mistakes_allowed(len(ascending), target))
    return float(ascending[missed])


def _for_precision(scores: Probabilities, truth: Truth, target: float) -> float | None:
    values, places = np.unique(-scores, return_inverse=True)  # from the highest score down
    right = np.cumsum(np.bincount(places, truth, len(values)))
    wrong = np.cumsum(np.bincount(places, ~truth, len(values)))
    promised = [
        wrong[place] <= mistakes_allowed(int(right[place] + wrong[place]), target) for place in range(len(values))
    ]
    # With too few pictures nothing can be promised; then the threshold is the lowest one without a mistake.
    unmistaken = (wrong == 0) & (right >= LEAST_PICTURES)
    met = np.flatnonzero(promised) if any(promised) else np.flatnonzero(unmistaken)
    return float(-values[met[-1]]) if len(met) else None


def _gap(scores: Probabilities, truth: Truth, low: float, high: float) -> tuple[float, float]:
    values = np.unique(scores)
    cuts = values[(low <= values) & (values <= high)]
    missed = np.searchsorted(np.sort(scores[truth]), cuts)
    flagged = int((~truth).sum()) - np.searchsorted(np.sort(scores[~truth]), cuts)
    cut = float(cuts[np.argmin(missed + flagged)])
    return _just_above(float(values[values < cut].max(initial=0.0)), scores), _just_below(cut, scores)


def _just_above(score: float, scores: Probabilities) -> float:
    """Round a score up to as few digits as possible, without passing another score."""
    higher = scores[scores > score].min(initial=NEVER)
    for digits in range(_LEAST_DIGITS, _MOST_DIGITS):
        rounded = float((np.floor(score * 10**digits) + 1) / 10**digits)
        if score < rounded <= higher:
            return rounded
    return float(higher)


def _just_below(score: float, scores: Probabilities) -> float:
    """Round a score down to as few digits as possible, without reaching another score."""
    if score >= NEVER:
        return score
    lower = scores[scores < score].max(initial=0.0)
    for digits in range(_LEAST_DIGITS, _MOST_DIGITS):
        rounded = float(np.floor(score * 10**digits) / 10**digits)
        if lower < rounded <= score:
            return rounded
    return score


def _threshold(value: float, scores: Probabilities, truth: Truth, promised: bool, sentence: str) -> Threshold:
    above = scores >= value
    hits = int((truth & above).sum())
    return Threshold(
        value=value,
        recall=share(hits, int(truth.sum())),
        precision=share(hits, int(above.sum())),
        false_positives=share(int((~truth & above).sum()), int((~truth).sum())),
        promised=promised,
        sentence=sentence,
    )


def _recall_sentence(positives: int, target: float) -> str:
    if mistakes_allowed(positives, target) >= 0:
        return f"Of new pictures like these, at least {_percent(target)} are found on average."
    return (
        f"A recall of {_percent(target)} cannot be promised with {positives} pictures: {needed_on_average(target)} "
        f"are needed for it on average, and {needed_with_confidence(target)} without a miss for 95 % confidence. "
        f"With {positives} the best is {_percent(1 - 1 / (positives + 1))}."
    )


def _precision_sentence(block: float, right: int, wrong: int, target: float) -> str:
    if block >= NEVER:
        return f"No threshold reaches a precision of {_percent(target)}, so nothing is blocked."
    if wrong <= mistakes_allowed(right + wrong, target):
        return f"Of new pictures mixed like these, at least {_percent(target)} of what is blocked is right on average."
    return (
        f"A precision of {_percent(target)} cannot be promised with the {right + wrong} pictures that score so high: "
        f"{needed_on_average(target)} without a mistake are needed for it on average, and "
        f"{needed_with_confidence(target)} for 95 % confidence."
    )


def _percent(part: float) -> str:
    return f"{100 * part:.3g} %"
