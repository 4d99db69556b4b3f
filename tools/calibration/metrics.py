"""How good probabilities are: how well they tell the kinds apart, and whether 0.9 means nine in ten."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.metrics import average_precision_score, brier_score_loss, precision_recall_curve, roc_auc_score

from tools.calibration.fit import Probabilities, Truth

_BINS = 10
# Points of a curve on a page: nobody would see more.
_MOST_POINTS = 200


@dataclass(frozen=True, kw_only=True)
class Bin:
    """Pictures with similar probabilities."""

    probability: float  # their mean
    frequency: float  # how many of them are the category's
    pictures: int


@dataclass(frozen=True, kw_only=True)
class Metrics:
    """How good one set of probabilities is."""

    auroc: float
    average_precision: float
    brier: float
    calibration_error: float  # expected: the bins' distances from the diagonal, weighted by their pictures
    bins: tuple[Bin, ...]
    curve: tuple[tuple[float, float], ...]  # (recall, precision), from the lowest recall


def measure(probabilities: Probabilities, truth: Truth) -> Metrics:
    """Measure probabilities against the truth, which has both kinds."""
    binned = bins(probabilities, truth)
    return Metrics(
        auroc=float(roc_auc_score(truth, probabilities)),
        average_precision=float(average_precision_score(truth, probabilities)),
        brier=float(brier_score_loss(truth, probabilities)),
        calibration_error=expected_calibration_error(binned),
        bins=binned,
        curve=_curve(probabilities, truth),
    )


def bins(probabilities: Probabilities, truth: Truth) -> tuple[Bin, ...]:
    """Cut the pictures, in the order of their probabilities, into up to ten bins of the same size.

    Not of the same width: nearly all scores are close to 0 or 1, and a bin of three pictures says nothing.
    """
    order = np.argsort(probabilities, kind="stable")
    return tuple(
        Bin(probability=float(probabilities[part].mean()), frequency=float(truth[part].mean()), pictures=int(part.size))
        for part in np.array_split(order, min(_BINS, len(order)))
    )


def expected_calibration_error(binned: tuple[Bin, ...]) -> float:
    """Return how far the bins' probabilities are from their frequencies, on average over pictures."""
    apart = sum(one.pictures * abs(one.probability - one.frequency) for one in binned)
    return apart / sum(one.pictures for one in binned)


def _curve(probabilities: Probabilities, truth: Truth) -> tuple[tuple[float, float], ...]:
    precision, recall, _ = precision_recall_curve(truth, probabilities)
    places = np.unique(np.linspace(0, len(recall) - 1, _MOST_POINTS).round().astype(int))
    points = zip(recall[places][::-1].tolist(), precision[places][::-1].tolist(), strict=True)
    return tuple(points)
