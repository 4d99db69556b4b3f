"""Probabilities: of labels, and of the categories that labels belong to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Probabilities = npt.NDArray[np.float64]  # (pictures, labels), each row sums to 1


def softmax(logits: npt.NDArray[np.floating[Any]]) -> Probabilities:
    """Turn each row of logits into probabilities.

    The row's maximum is subtracted first: exp overflows float32 above 88.7, and CLIP's logits reach 100.
    """
    # Contiguous: numpy adds up a contiguous row in the same order, whatever other rows there are.
    shifted = np.ascontiguousarray(logits, dtype=np.float64)
    shifted = shifted - shifted.max(axis=1, keepdims=True)
    exponentials = np.exp(shifted)
    result: Probabilities = exponentials / exponentials.sum(axis=1, keepdims=True)
    return result


def by_category(probabilities: Probabilities, categories: Sequence[str] | None) -> list[dict[str, float]] | None:
    """Add up the probabilities of the labels that share a category, for each picture; None without categories."""
    if categories is None:
        return None
    answer = []
    for row in probabilities.tolist():
        sums: dict[str, float] = {}
        for category, probability in zip(categories, row, strict=True):
            sums[category] = sums.get(category, 0.0) + probability
        answer.append(sums)
    return answer
