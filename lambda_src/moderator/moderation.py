"""Scores and a policy in, verdicts out. A candidate policy is judged too, and never changes the answer."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from moderator.classifier import Classifier, Cosines, Scores, Seen
from moderator.pictures.batch import Picture
from moderator.pictures.frames import FrameSampling
from moderator.policy.policy import Action, Policy
from moderator.policy.verdict import Moment, Verdict, judge, partly_unseen, with_sample, worst
from moderator.question import ModerationQuestion

# What a candidate's new labels may cost a request. Those done are kept, so that a later request finishes them.
_CANDIDATE_SECONDS = 1.0


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What the live policy and its candidate say of a request's pictures, before any sampling for review."""

    policy: Policy
    candidate: Policy
    verdicts: tuple[Verdict, ...]
    candidate_verdicts: tuple[Verdict, ...]


@dataclass(frozen=True, kw_only=True)
class Moderation:
    """What a policy says of each picture."""

    policy: Policy
    verdicts: tuple[Verdict, ...]
    scores: Scores
    comparison: Comparison | None  # None: the policy has no candidate, or it failed

    @property
    def worst(self) -> Action:
        """The worst verdict of any picture."""
        return worst(verdict.action for verdict in self.verdicts)


class Moderator:
    """Judges pictures by policies, with one model."""

    def __init__(
        self,
        classifier: Classifier,
        policies: Mapping[str, Policy],
        *,
        logit_scale: float,
        candidate_failed: Callable[[Policy, Exception], None],
    ) -> None:
        self._classifier = classifier
        self._policies = policies
        self._logit_scale = logit_scale
        self._candidate_failed = candidate_failed

    def moderate(self, question: ModerationQuestion, *, until: float | None = None) -> Moderation:
        """Judge each picture.

        `until` is the moment, in seconds of the monotonic clock, by which the answer is needed.

        Raises:
            RequestError: a picture cannot be read, a label cannot be used, or there is not enough time.
        """
        policy = question.policy
        scores = self._classifier.score(
            question.pictures,
            policy.labels,
            view=question.view or policy.view,
            frames=FrameSampling(most=policy.frames.most, every=policy.frames.every),
            until=until,
        )
        judged = tuple(self._judge(policy, seen, seen.cosines) for seen in scores.pictures)
        # An embedding has no bytes to draw the sample by: that was done when its picture was judged.
        verdicts = tuple(
            with_sample(verdict, policy, picture.data) if isinstance(picture, Picture) else verdict
            for verdict, picture in zip(judged, question.pictures, strict=True)
        )
        return Moderation(
            policy=policy, verdicts=verdicts, scores=scores, comparison=self._compare(policy, judged, scores, until)
        )

    def _judge(self, policy: Policy, seen: Seen, cosines: Cosines) -> Verdict:
        moments = None
        if seen.total_frames > 1:
            moments = [
                Moment(frame=number, seconds=seconds)
                for number, seconds in zip(seen.numbers, seen.seconds, strict=True)
            ]
        verdict = judge(policy, cosines[:, np.newaxis], self._logit_scale, moments)
        return partly_unseen(verdict, policy) if seen.unreached else verdict

    def _compare(
        self, policy: Policy, judged: tuple[Verdict, ...], scores: Scores, until: float | None
    ) -> Comparison | None:
        candidate = self._policies.get(policy.candidate) if policy.candidate else None
        if candidate is None:
            return None
        try:
            # From the same embeddings, and so with the live policy's view and frames.
            soon = time.monotonic() + _CANDIDATE_SECONDS
            cosines = self._classifier.compare(
                scores.pictures, candidate.labels, until=soon if until is None else min(until, soon)
            )
            other = tuple(self._judge(candidate, seen, one) for seen, one in zip(scores.pictures, cosines, strict=True))
        except Exception as error:  # noqa: BLE001 - whatever a candidate does wrong, the live policy's answer stands
            self._candidate_failed(candidate, error)
            return None
        return Comparison(policy=policy, candidate=candidate, verdicts=judged, candidate_verdicts=other)
