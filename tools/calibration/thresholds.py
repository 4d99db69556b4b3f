"""Chooses a category's thresholds, `review` for a recall and `block` for a precision, and says what can be promised."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tools.calibration.fit import Probabilities, Truth
from tools.calibration.interval import (
    Share,
    at_least,
    mistakes_allowed,
    mistakes_with_confidence,
    needed_on_average,
    needed_with_confidence,
    share,
)

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

    `review` is the highest threshold that keeps the recall on average. How many of the category's scores lie below it
    is settled by how many there are, so looking at them does not make the promise worth less. `block` is the lowest
    threshold that is precise enough (`_precise`). Where that is below `review`, each precise one up to `review` meets
    both targets. Then the one with the fewest mistakes is taken, with the gap between scores around it: `review` begins
    just above the gap's lower end and `block` at its upper end, so that scores that nobody has seen yet are reviewed.
    """
    positives = int(truth.sum())
    review = _for_recall(scores, truth, targets.recall)
    precise, promised = _precise(scores, truth, targets.precision)
    if len(both := precise[precise <= review]):
        review, block = _gap(scores, truth, both)
    else:
        review, block = _just_below(review, scores), _just_below(float(precise.min(initial=NEVER)), scores)
    return Thresholds(
        review=_threshold(
            review,
            scores,
            truth,
            promised=mistakes_allowed(positives, targets.recall) >= 0,
            sentence=_recall_sentence(positives, targets.recall),
        ),
        block=_threshold(
            block,
            scores,
            truth,
            promised=promised,
            sentence=_precision_sentence(block, scores, truth, targets.precision, promised=promised),
        ),
    )


def at(value: float, scores: Probabilities, truth: Truth) -> Threshold:
    """Return what a threshold that somebody else chose does."""
    return _threshold(value, scores, truth, promised=False, sentence="")


def _for_recall(scores: Probabilities, truth: Truth, target: float) -> float:
    ascending = np.sort(scores[truth])
    missed = max(0, mistakes_allowed(len(ascending), target))
    return float(ascending[missed])


def _precise(scores: Probabilities, truth: Truth, target: float) -> tuple[npt.NDArray[np.float64], bool]:
    """Return the thresholds that are precise enough, and whether that is shown with 95 % confidence, for all of them.

    Fixed-sequence testing (Learn then Test, arXiv 2110.01052): which thresholds are tried, and in which order, is
    settled before any label is looked at. The first is the score above which there are just enough pictures to show the
    precision if none of them is wrong; each lower one follows. (The curve was fitted to the labels, but it keeps the
    order of the evidence, and only the order counts here.) Each is tested by itself (Clopper and Pearson, one side)
    until the first one fails. So the chance that any before it is not precise enough is 5 % in all, however many they
    are, and which of them is taken may then depend on the labels.

    Where the first one fails, nothing is shown. Then thresholds are returned that are as precise on these pictures,
    with one more mistake counted; and where there are too few pictures for that, those without a mistake.
    """
    values, places = np.unique(-scores, return_inverse=True)  # from the highest score down
    right = np.cumsum(np.bincount(places, truth, len(values))).astype(np.int64)
    wrong = np.cumsum(np.bincount(places, ~truth, len(values))).astype(np.int64)
    tried = np.flatnonzero(right + wrong >= needed_with_confidence(target))
    failed = wrong[tried] > mistakes_with_confidence((right + wrong)[tried], target)
    shown = tried[: int(np.argmax(failed))] if failed.any() else tried
    if len(shown):
        return -values[shown], True
    likely = wrong + 1 <= np.round((1 - target) * (right + wrong + 1), 9)
    unmistaken = (wrong == 0) & (right >= LEAST_PICTURES)
    return -values[likely if likely.any() else unmistaken], False


def _gap(scores: Probabilities, truth: Truth, cuts: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Return the thresholds around the one of `cuts` with the fewest mistakes; of several, the lowest."""
    cuts = np.sort(cuts)
    missed = np.searchsorted(np.sort(scores[truth]), cuts)
    flagged = int((~truth).sum()) - np.searchsorted(np.sort(scores[~truth]), cuts)
    cut = float(cuts[np.argmin(missed + flagged)])
    return _just_above(float(scores[scores < cut].max(initial=0.0)), scores), _just_below(cut, scores)


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
    if (missed := mistakes_allowed(positives, target)) >= 0:
        # Not of the pictures that are found here: between well separated kinds, more are, by luck or not.
        surely = at_least(positives - missed, positives)
        return (
            f"Of new pictures like these, at least {_percent(target)} are found on average, and with 95 % confidence "
            f"at least {_percent(surely)}."
        )
    return (
        f"A recall of {_percent(target)} cannot be promised with {_pictures(positives)}: it takes "
        f"{needed_on_average(target)} to promise it on average. With {positives} the best is "
        f"{_percent(1 - 1 / (positives + 1))}."
    )


def _precision_sentence(block: float, scores: Probabilities, truth: Truth, target: float, *, promised: bool) -> str:
    if block >= NEVER:
        return f"No threshold reaches a precision of {_percent(target)}, so nothing is blocked."
    if promised:
        return (
            f"Of new pictures mixed like these, at least {_percent(target)} of what is blocked is right, with 95 % "
            "confidence."
        )
    positives, needed = int(truth.sum()), needed_with_confidence(target)
    right, flagged = int((truth & (scores >= block)).sum()), int((scores >= block).sum())
    if positives < needed:
        why = f" with {_pictures(positives)}: it takes at least {needed}, with higher scores than all others"
    else:
        others = int((~truth[np.argsort(-scores, kind="stable")[:needed]]).sum())
        why = f": of the {needed} highest scores, {others} {'is' if others == 1 else 'are'} wrong"
    return (
        f"A precision of {_percent(target)} cannot be promised{why}. Of the {_pictures(flagged)} here that would be "
        f"blocked, {right} {'is' if right == 1 else 'are'} right."
    )


def _pictures(count: int) -> str:
    return f"{count:,} picture{'' if count == 1 else 's'}"


def _percent(part: float) -> str:
    return f"{100 * part:.3g} %"
