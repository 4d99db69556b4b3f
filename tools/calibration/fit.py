"""Fits a category's scale and offset: the logistic curve that turns evidence into probability."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy.optimize import least_squares
from scipy.special import expit, logit
from sklearn.isotonic import IsotonicRegression
from sklearn.model_selection import StratifiedGroupKFold

from tools.calibration.evidence import Evidence
from tools.calibration.lookalikes import Groups, Weights, weights

Method = Literal["platt", "isotonic"]
Truth = npt.NDArray[np.bool_]  # (pictures,)
Probabilities = npt.NDArray[np.float64]  # (pictures,)

# https://scikit-learn.org/stable/modules/calibration.html: with fewer, isotonic regression follows the noise.
LEAST_FOR_ISOTONIC = 1000
_FOLDS = 5
_MOST_STEPS, _RIDGE, _PRECISION = 100, 1e-12, 1e-9
# A score's own digits: more would only look exact.
_DIGITS = 6


class Curve:
    """Probability of evidence: 1 / (1 + exp(-(scale * z + offset)))."""

    def __init__(self, scale: float, offset: float) -> None:
        # Rounded first, so that what is measured is what the policy's file says.
        self.scale = float(f"{scale:.{_DIGITS}g}")
        self.offset = float(f"{offset:.{_DIGITS}g}")

    def __call__(self, evidence: Evidence) -> Probabilities:
        """Return the probability of each."""
        # The service's scores are never quite 1 either.
        probabilities: Probabilities = np.minimum(expit(self.scale * evidence + self.offset), np.nextafter(1.0, 0.0))
        return probabilities


def fit(evidence: Evidence, truth: Truth, weighed: Weights, method: Method = "platt") -> Curve | None:
    """Fit the curve; return None where the evidence does not rise with the truth: no curve would help.

    Args:
        evidence: (pictures,).
        truth: (pictures,), with both kinds in it.
        weighed: (pictures,), how much each counts: near-duplicates together as much as one.
        method: `platt` maximises the likelihood, with Platt's targets that are not quite 0 and 1
            (https://www.researchgate.net/publication/2594015). `isotonic` fits the curve to the best rising steps, by
            least squares: a few wrong labels far out then pull it less.
    """
    curve = _platt(evidence, truth, weighed)
    if curve is None or method == "platt":
        return curve
    steps = IsotonicRegression(out_of_bounds="clip").fit(evidence, truth, weighed).predict(evidence)

    def distances(parameters: npt.NDArray[np.float64]) -> Any:
        return np.sqrt(weighed) * (expit(np.exp(parameters[0]) * evidence + parameters[1]) - steps)

    found = least_squares(distances, [np.log(curve.scale), curve.offset], xtol=1e-10, ftol=1e-10)
    return Curve(float(np.exp(found.x[0])), float(found.x[1]))


def out_of_fold(evidence: Evidence, truth: Truth, groups: Groups, method: Method) -> Probabilities:
    """Return each picture's probability, by a curve fitted without it and without its near-duplicates."""
    probabilities = np.empty(len(evidence), np.float64)
    weighed = weights(groups, truth)
    for learned, held_out in folds(truth, groups):
        curve = fit(evidence[learned], truth[learned], weighed[learned], method)
        if curve is None:
            curve = Curve(1.0, float(logit(np.average(truth[learned], weights=weighed[learned]))))
        probabilities[held_out] = curve(evidence[held_out])
    return probabilities


def folds(truth: Truth, groups: Groups) -> list[tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]]:
    """Split pictures into those to learn from and those held out; near-duplicates stay together."""
    least = min(len(np.unique(groups[truth])), len(np.unique(groups[~truth])))
    splitter = StratifiedGroupKFold(n_splits=min(_FOLDS, least), shuffle=True, random_state=0)
    return list(splitter.split(truth, truth, groups))


def _platt(evidence: Evidence, truth: Truth, weighed: Weights) -> Curve | None:
    positives, negatives = float(weighed[truth].sum()), float(weighed[~truth].sum())
    target = np.where(truth, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    middle, spread = float(evidence.mean()), float(evidence.std()) or 1.0
    slope, intercept = _most_likely((evidence - middle) / spread, target, weighed)
    if not slope > 0:
        return None
    return Curve(slope / spread, intercept - slope * middle / spread)


def _most_likely(x: Evidence, target: Probabilities, weighed: Weights) -> tuple[float, float]:
    """Find slope and intercept by Newton's method, with steps halved until they help.

    Lin, Lin and Weng, A note on Platt's probabilistic outputs: https://doi.org/10.1007/s10994-007-5018-6. The targets
    are not classes, so a classifier's fit would need every picture twice.
    """
    line = np.stack([x, np.ones_like(x)])  # (2, pictures)
    at = np.array([0.0, logit(np.average(target, weights=weighed))])

    def loss(parameters: npt.NDArray[np.float64]) -> float:
        arguments = parameters @ line
        return float((weighed * (np.logaddexp(0.0, arguments) - target * arguments)).sum())

    best = loss(at)
    for _ in range(_MOST_STEPS):
        probabilities = expit(at @ line)
        gradient = line @ (weighed * (probabilities - target))
        hessian = (line * (weighed * probabilities * (1 - probabilities))) @ line.T + _RIDGE * np.eye(2)
        step = np.linalg.solve(hessian, gradient)
        while (tried := loss(at - step)) > best and np.abs(step).max() > _PRECISION:
            step /= 2
        if np.abs(step).max() <= _PRECISION:
            break
        at, best = at - step, tried
    return float(at[0]), float(at[1])
