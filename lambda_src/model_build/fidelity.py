"""How closely a tower in fewer bits follows itself in float32, and how closely it has to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model_build.samples import LabelSets, top_1_losses

Embeddings = NDArray[np.float32]  # (items, dim), unit length
Feed = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, kw_only=True)
class Fidelity:
    """How closely a tower follows itself in float32."""

    mean_cosine: float
    worst_cosine: float
    # How often the most probable label is the same one, or one that in float32 is within TIE of it.
    top_1_agreement: float
    # How often it is the very same.
    top_1_identical: float


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """The least that a tower has to reach."""

    mean_cosine: float = 0.999
    worst_cosine: float = 0.99
    top_1_agreement: float = 0.995

    def hold(self, fidelity: Fidelity) -> bool:
        """Whether a tower may be used."""
        return (
            fidelity.mean_cosine >= self.mean_cosine
            and fidelity.worst_cosine >= self.worst_cosine
            and fidelity.top_1_agreement >= self.top_1_agreement
        )


BOUNDS = Bounds()

# Probabilities this close are a tie, and which label wins it says nothing of the precision. A model with random weights
# finds hardly anything but ties: without this rule it would be out of bounds at a mean cosine of 0.9999.
TIE = 0.01


@dataclass(frozen=True, kw_only=True)
class Judge:
    """What a tower is judged by: what to embed, what float32 makes of it, and the other tower's embeddings."""

    feeds: Sequence[Feed]
    reference: Embeddings  # of the tower itself, in float32 and as it was exported: neither smoothed nor rewritten
    others: Embeddings  # of the other tower, in float32
    logit_scale: float
    label_sets: LabelSets
    embeds_pictures: bool

    def fidelity(self, candidate: Embeddings) -> Fidelity:
        """Compare a tower's embeddings of all feeds with those of its float32 form."""
        cosines = (self.reference.astype(np.float64) * candidate).sum(axis=1)
        if not np.isfinite(cosines).all():
            return Fidelity(mean_cosine=0.0, worst_cosine=0.0, top_1_agreement=0.0, top_1_identical=0.0)
        exact, approximate = self.reference @ self.others.T, candidate @ self.others.T
        if not self.embeds_pictures:
            exact, approximate = exact.T, approximate.T
        losses = top_1_losses(exact, approximate, self.label_sets, self.logit_scale)
        return Fidelity(
            mean_cosine=float(cosines.mean()),
            worst_cosine=float(cosines.min()),
            top_1_agreement=float((losses <= TIE).mean()),
            top_1_identical=float((losses == 0).mean()),
        )
