"""The classification itself, in five steps."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from moderator.clip.model import Model
from moderator.clip.probabilities import Probabilities, by_category, softmax
from moderator.clip.towers import ImageTower
from moderator.labels.cache import LabelCache, LabelEmbeddings
from moderator.pictures.batch import read_batch
from moderator.web.payload import Question


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Where a request's time went, in milliseconds."""

    decode: float
    labels: float
    image: float


@dataclass(frozen=True, kw_only=True)
class Classification:
    """The answer to a question."""

    probabilities: Probabilities
    categories: Sequence[dict[str, float]] | None  # one a picture
    labels: LabelEmbeddings
    timing: Timing


class Classifier:
    """Answers questions with one model."""

    def __init__(
        self, model: Model, image_tower: ImageTower, labels: LabelCache, *, max_pixels: int, threads: int
    ) -> None:
        self._model = model
        self._image_tower = image_tower
        self._labels = labels
        self._max_pixels = max_pixels
        self._threads = threads

    def classify(self, question: Question) -> Classification:
        """Say how probable each label is for each picture.

        Raises:
            RequestError: a picture cannot be read or a label cannot be used.
        """
        began = time.perf_counter()

        # 1. Bytes become pixels. First, because a broken picture is found cheaply.
        seen = read_batch(
            question.pictures, self._model.preprocessing, max_pixels=self._max_pixels, threads=self._threads
        )
        pixels = [picture.frames[0].parts[0] for picture in seen]
        decoded = time.perf_counter()

        # 2. Labels become embeddings, which nearly always are at hand.
        labels = self._labels.embed(question.labels)
        labelled = time.perf_counter()

        # 3. Pixels become embeddings: the one thing that is new in every request.
        pictures = self._image_tower.embed(pixels)

        # 4. Their cosines become probabilities. Not with @: numpy's BLAS has threads of its own, which would wait for a
        # CPU beside the tower's; einsum has none, and answers a picture the same whatever its company.
        cosines = np.einsum("pd,ld->pl", pictures, labels.matrix)
        probabilities = softmax(self._model.logit_scale * cosines)

        # 5. Labels add up to categories.
        categories = by_category(probabilities, question.categories)
        embedded = time.perf_counter()

        return Classification(
            probabilities=probabilities,
            categories=categories,
            labels=labels,
            timing=Timing(
                decode=(decoded - began) * 1000,
                labels=(labelled - decoded) * 1000,
                image=(embedded - labelled) * 1000,
            ),
        )
