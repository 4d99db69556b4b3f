"""The evidence z of each picture for a category: the policy's own formula, with any of its labels left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from moderator.policy.policy import Category, Policy
from moderator.policy.score import evidence, frames_that_count

Evidence = npt.NDArray[np.float64]  # (pictures,)


@dataclass(frozen=True, kw_only=True)
class Similarities:
    """How similar each frame of each picture is to the policy's labels, times the logit scale."""

    logits: npt.NDArray[np.float64]  # (frames of all pictures, labels)
    frames: tuple[int, ...]  # how many of the rows are each picture's
    at_least: int  # how many frames must agree

    @classmethod
    def of(
        cls, policy: Policy, rows: npt.NDArray[np.float32], frames: Sequence[int], logit_scale: float
    ) -> Similarities:
        """Scale the cosines of the policy's labels, as its scores do."""
        return cls(
            logits=np.ascontiguousarray(rows, dtype=np.float64) * logit_scale,
            frames=tuple(frames),
            at_least=policy.frames.at_least,
        )

    def evidence(self, category: Category, without: int | None = None) -> Evidence:
        """Return each picture's evidence for `category`; `without` leaves out the label at this place."""
        labels = [place for place in category.labels if place != without]
        against = [place for place in category.against if place != without]
        by_frame = evidence(self.logits[:, labels], self.logits[:, against])
        if len(by_frame) == len(self.frames):
            return by_frame
        # A score rises with its evidence, so the same frame counts for both.
        counted = [
            of_picture[frames_that_count(of_picture[:, np.newaxis], self.at_least)[0]]
            for of_picture in np.split(by_frame, np.cumsum(self.frames)[:-1])
        ]
        return np.array(counted, np.float64)
