"""How good probabilities are: how well they tell the kinds apart, and whether 0.9 means nine in ten."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.metrics import average_precision_score, brier_score_loss, precision_recall_curve, roc_auc_score

from tools.calibration.fit import Probabilities, Truth
from tools.calibration.lookalikes import Weights

_BINS = 10
# Points of a curve on a page: nobody would see more.
_MOST_POINTS = 200


@dataclass(frozen=True, kw_only=True)
class Bin:
    """Pictures with similar probabilities."""

    probability: float  # their mean
    frequency: float  # how many of them are the category's
    pictures: int
    weight: float  # likewise, where near-duplicates weigh as much as one


@dataclass(frozen=True, kw_only=True)
class Metrics:
    """How good one set of probabilities is."""

    auroc: float
    average_precision: float
    brier: float
    calibration_error: float  # expected: the bins' distances from the diagonal, weighted by their pictures
    bins: tuple[Bin, ...]
    curve: tuple[tuple[float, float], ...]  # (recall, precision), from the lowest recall


def measure(probabilities: Probabilities, truth: Truth, weights: Weights) -> Metrics:
    """Measure probabilities against the truth, which has both kinds; near-duplicates share their weight."""
    binned = bins(probabilities, truth, weights)
    return Metrics(
        auroc=float(roc_auc_score(truth, probabilities, sample_weight=weights)),
        average_precision=float(average_precision_score(truth, probabilities, sample_weight=weights)),
        brier=float(brier_score_loss(truth, probabilities, sample_weight=weights)),
        calibration_error=expected_calibration_error(binned),
        bins=binned,
        curve=_curve(probabilities, truth, weights),
    )


def bins(probabilities: Probabilities, truth: Truth, weights: Weights) -> tuple[Bin, ...]:
    """Cut the pictures, in the order of their probabilities, into up to ten bins of the same weight.

    Not of the same width: nearly all scores are close to 0 or 1, and a bin of three pictures says nothing.
    """
    order = np.argsort(probabilities, kind="stable")
    ends = np.cumsum(weights[order])
    middles = ends - weights[order] / 2
    places = np.searchsorted(np.linspace(0.0, ends[-1], _BINS + 1)[1:-1], middles, side="right")
    parts = (order[places == place] for place in range(_BINS))
    return tuple(
        Bin(
            probability=float(np.average(probabilities[part], weights=weights[part])),
            frequency=float(np.average(truth[part], weights=weights[part])),
            pictures=int(part.size),
            weight=float(weights[part].sum()),
        )
        for part in parts
        if part.size
    )


def expected_calibration_error(binned: tuple[Bin, ...]) -> float:
    """Return how far the bins' probabilities are from their frequencies, on average over pictures."""
    apart = sum(one.weight * abs(one.probability - one.frequency) for one in binned)
    return apart / sum(one.weight for one in binned)


def _curve(probabilities: Probabilities, truth: Truth, weights: Weights) -> tuple[tuple[float, float], ...]:
    precision, recall, _ = precision_recall_curve(truth, probabilities, sample_weight=weights)
    places = np.unique(np.linspace(0, len(recall) - 1, _MOST_POINTS).round().astype(int))
    points = zip(recall[places][::-1].tolist(), precision[places][::-1].tolist(), strict=True)
    return tuple(points)
