"""What can be said of a share that was counted on n pictures, and how many pictures a promise needs."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import beta, binom

_CONFIDENCE = 0.95


@dataclass(frozen=True, kw_only=True)
class Share:
    """k of n, with the interval that holds the truth 95 times in 100."""

    hits: int
    of: int
    low: float
    high: float

    @property
    def value(self) -> float:
        """The share; of nothing it is not a number."""
        return self.hits / self.of if self.of else math.nan


def share(hits: int, of: int) -> Share:
    """Count a share, with its exact interval (Clopper and Pearson, 1934)."""
    tail = (1 - _CONFIDENCE) / 2
    low = float(beta.ppf(tail, hits, of - hits + 1)) if hits else 0.0
    high = float(beta.ppf(1 - tail, hits + 1, of - hits)) if hits < of else 1.0
    return Share(hits=hits, of=of, low=low, high=high)


def at_least(hits: int, of: int) -> float:
    """Return what the share is at least, with 95 % confidence: one side of Clopper and Pearson's interval."""
    return float(beta.ppf(1 - _CONFIDENCE, hits, of - hits + 1)) if hits else 0.0


def needed_on_average(target: float) -> int:
    """Return how many pictures it takes to promise a share of `target`, for the next picture on average.

    With n pictures and no mistake, the best promise is 1/(n+1) of mistakes: conformal risk control, arXiv 2208.02814.
    """
    # Rounded, because 1 / (1 - 0.95) is a little more than 20 in floating point.
    return math.ceil(round(1 / (1 - target), 6)) - 1


def needed_with_confidence(target: float) -> int:
    """Return how many pictures without a mistake show, with 95 % confidence, a share of at least `target`."""
    return math.ceil(round(math.log(1 - _CONFIDENCE) / math.log(target), 6))


def mistakes_with_confidence(pictures: npt.NDArray[np.int64], target: float) -> npt.NDArray[np.int64]:
    """Return how many mistakes each number of pictures may have to show a share of `target` with 95 % confidence.

    That is Clopper and Pearson's test of one side. -1 means that not even none would show it.
    """
    chance = 1 - _CONFIDENCE
    mistakes = binom.ppf(chance, pictures, 1 - target).astype(np.int64)  # the fewest with at least this chance
    allowed: npt.NDArray[np.int64] = mistakes - (binom.cdf(mistakes, pictures, 1 - target) > chance)
    return allowed


def mistakes_allowed(pictures: int, target: float) -> int:
    """Return how many of `pictures` may be missed, so that the next one is missed with probability 1 - target at most.

    -1 means that not even a threshold without a mistake can promise that.
    """
    return math.floor(round((1 - target) * (pictures + 1), 9)) - 1
