"""Scores whose truth is known: two normal distributions, for which the true probability is logistic in the evidence."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tools.calibration.fit import Truth


def evidence_and_truth(
    rng: np.random.Generator, pictures: int, *, share_of_it: float = 0.3, apart: float = 2.0
) -> tuple[npt.NDArray[np.float64], Truth]:
    """Draw which pictures are the category's, and their evidence."""
    truth = rng.random(pictures) < share_of_it
    return rng.normal(np.where(truth, apart, 0.0), 1.0), truth


def alone(truth: Truth) -> npt.NDArray[np.float64]:
    """Return the weights of pictures none of which is a near-duplicate: ones."""
    return np.ones(len(truth))
