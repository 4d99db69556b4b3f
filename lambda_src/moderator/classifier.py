"""Pictures and labels in, their similarities and probabilities out: the classification itself, in five steps.

Knows neither HTTP nor policies.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import repeat

import numpy as np
import numpy.typing as npt

from moderator.clip.model import Model
from moderator.clip.probabilities import Probabilities, by_category, softmax
from moderator.clip.towers import Embeddings, ImageTower
from moderator.labels.cache import LabelCache, LabelSources
from moderator.pictures.batch import Picture, read_batch
from moderator.pictures.decode import Decoded
from moderator.pictures.frames import FrameSampling
from moderator.pictures.views import Coverage, View
from moderator.question import Embedded, Question

Cosines = npt.NDArray[np.float32]  # (frames, labels)

# Parts of pictures that go through the image tower at once: with more, each would be no faster, and need more memory.
_PARTS_AT_ONCE = 16


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Where a request's time went, in milliseconds."""

    decode: float
    labels: float
    image: float


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What was seen of one picture."""

    cosines: Cosines  # (frames, labels): of each label the largest over the frame's parts
    embeddings: tuple[Embeddings, ...]  # of each frame, (parts, dim)
    # The rest is not known of a picture whose embeddings were given instead of its bytes.
    coverage: Coverage | None = None
    seconds: tuple[float, ...] = ()  # of each frame, from the start
    numbers: tuple[int, ...] = ()  # of each frame, from 0
    total_frames: int = 1
    unreached: int = 0  # of the last frames, how many were not looked at
    warnings: tuple[str, ...] = ()  # sentences: what was not looked at, or hardly to be made out, and why


@dataclass(frozen=True, kw_only=True)
class Scores:
    """How similar each picture is to each label, before anything is made of it."""

    pictures: tuple[Seen, ...]
    labels: LabelSources
    timing: Timing


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One question's answer about one picture."""

    probabilities: Probabilities  # (labels,), in the order asked
    categories: dict[str, float] | None


@dataclass(frozen=True, kw_only=True)
class Classification:
    """The answers to a question: one tuple per picture, with one answer for each `Wanted` of the question."""

    answers: tuple[tuple[Answer, ...], ...]
    scores: Scores


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

    def classify(self, question: Question, *, until: float | None = None) -> Classification:
        """Say how probable each label is for each picture.

        `until` is the moment, in seconds of the monotonic clock, by which the answer is needed.

        Raises:
            RequestError: a picture cannot be read, a label cannot be used, or there is not enough time.
        """
        # The labels of all questions, each once: one round trip to the store, however many questions there are.
        labels = list(dict.fromkeys(label for wanted in question.wanted for label in wanted.labels))
        scores = self.score(question.pictures, labels, view=question.view, until=until)

        # 5. Cosines become probabilities, and labels add up to categories.
        places = {label: place for place, label in enumerate(labels)}
        logits = self._model.logit_scale * np.concatenate([seen.cosines[:1] for seen in scores.pictures])
        by_question = []
        for wanted in question.wanted:
            columns = [places[label] for label in wanted.labels]
            probabilities = softmax(logits[:, columns])
            categories = by_category(probabilities, wanted.categories) or repeat(None)
            by_question.append(
                [
                    Answer(probabilities=row, categories=sums)
                    for row, sums in zip(probabilities, categories, strict=False)
                ]
            )
        return Classification(answers=tuple(zip(*by_question, strict=True)), scores=scores)

    def score(
        self,
        pictures: Sequence[Picture | Embedded | Decoded],
        labels: Sequence[str],
        *,
        view: View,
        frames: FrameSampling | None = None,
        until: float | None = None,
    ) -> Scores:
        """Say how similar each picture is to each label.

        Args:
            pictures: at least one, and all of one kind: as they came, decoded already, or embeddings of what was seen
                before.
            labels: all different.
            view: which part of a picture is looked at.
            frames: how an animated picture is sampled; None takes its first frame.
            until: the moment, in seconds of the monotonic clock, by which the answer is needed.

        Raises:
            RequestError: a picture cannot be read, a label cannot be used, or there is not enough time.
        """
        began = time.perf_counter()

        # 1. Bytes become pixels. This comes first because it is a cheap way to find a broken picture.
        encoded = [picture for picture in pictures if isinstance(picture, Picture)]
        decoded = (
            [picture for picture in pictures if isinstance(picture, Decoded)]
            if not encoded
            else read_batch(
                encoded,
                self._model.preprocessing,
                view=view,
                frames=frames,
                max_pixels=self._max_pixels,
                threads=self._threads,
            )
        )
        read = time.perf_counter()

        # 2. Labels become embeddings, which are nearly always cached.
        known = self._labels.embed(labels, until)
        labelled = time.perf_counter()

        # 3. Pixels become embeddings: the one thing that is new in every request.
        if decoded:
            seen = self._see(decoded, known.matrix)
        else:
            seen = [self._see_again(picture, known.matrix) for picture in pictures if isinstance(picture, Embedded)]
        embedded = time.perf_counter()

        return Scores(
            pictures=tuple(seen),
            labels=known.sources,
            timing=Timing(
                decode=(read - began) * 1000, labels=(labelled - read) * 1000, image=(embedded - labelled) * 1000
            ),
        )

    def compare(self, seen: Sequence[Seen], labels: Sequence[str], *, until: float | None = None) -> list[Cosines]:
        """Compare pictures that were seen already with other labels: (frames, labels) of each.

        Nothing is awaited beyond `until`, not even the text tower: it is then loaded behind the answer.

        Raises:
            InvalidField: a label cannot be used.
            OutOfTime: there are too many new labels for the time that is left.
        """
        matrix = self._labels.embed(labels, until, awaits_loading=False).matrix
        return [self._compare(one.embeddings, matrix).cosines for one in seen]

    def _see(self, decoded: Sequence[Decoded], labels: Embeddings) -> list[Seen]:
        # Frames that share their parts, the same tuple, go through the tower once: a still stretch of a video.
        different = {id(frame.parts): frame.parts for picture in decoded for frame in picture.frames}
        parts = [part for frame in different.values() for part in frame]
        batches = [
            self._image_tower.embed(parts[start : start + _PARTS_AT_ONCE])
            for start in range(0, len(parts), _PARTS_AT_ONCE)
        ]
        rows = batches[0] if len(batches) == 1 else np.concatenate(batches)
        embedded = {}
        place = 0
        for key, frame in different.items():
            embedded[key] = rows[place : place + len(frame)]
            place += len(frame)
        return [
            replace(
                self._compare([embedded[id(frame.parts)] for frame in picture.frames], labels),
                coverage=picture.coverage,
                seconds=tuple(frame.seconds for frame in picture.frames),
                numbers=tuple(frame.number for frame in picture.frames),
                total_frames=picture.total_frames,
                unreached=picture.unreached,
                warnings=picture.warnings,
            )
            for picture in decoded
        ]

    def _see_again(self, picture: Embedded, labels: Embeddings) -> Seen:
        seen = self._compare(picture.frames, labels)
        if picture.animation is None:
            return seen
        animation = picture.animation
        return replace(
            seen,
            seconds=animation.seconds,
            numbers=animation.numbers,
            total_frames=animation.total_frames,
            unreached=animation.unreached,
            warnings=(f"{picture.name} is of an animated picture that was not looked at to its end.",)
            if animation.unreached
            else (),
        )

    def _compare(self, frames: Sequence[Embeddings], labels: Embeddings) -> Seen:
        # 4. Embeddings become cosines. Not with @: numpy's BLAS has threads of its own, which would compete with the
        # tower's for CPUs. einsum has none, and gives a picture the same cosines whatever else is in the batch.
        cosines = np.stack([np.einsum("pd,ld->pl", parts, labels).max(axis=0) for parts in frames])
        return Seen(cosines=cosines, embeddings=tuple(frames))
