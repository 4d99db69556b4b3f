"""Judges videos by policies: single frames, evenly spread over the time, and k of n of them make a verdict.

FFmpeg runs in a process of its own (`video_process.py`) and nowhere else: this file never imports it. A verdict is
about the frames that were looked at; `VideoCoverage` says how many that was.
"""

from __future__ import annotations

import hashlib
import importlib.util
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import BinaryIO

from moderator.clip.model import Model
from moderator.errors import UnknownVideo
from moderator.jobs.video_footage import Asked, Footage, footage
from moderator.jobs.video_judged import JudgedVideo, VideoCoverage
from moderator.jobs.video_kind import HEAD_BYTES, container_of
from moderator.jobs.video_likeness import Likeness, likeness
from moderator.jobs.video_pipe import Limits
from moderator.jobs.video_process import DECODER
from moderator.moderation import Moderation, Moderator
from moderator.pictures.decode import Decoded, Frame
from moderator.pictures.views import Coverage
from moderator.policy.policy import Policy
from moderator.policy.score import scores
from moderator.policy.verdict import Verdict, partly_unseen, with_sample
from moderator.question import ModerationQuestion

# What the sample is drawn by: a video's bytes are never read whole.
_SAMPLED_BYTES = 1 << 16


def can_judge_videos() -> bool:
    """Return whether PyAV is installed: it is in the worker's image with videos, and at a desk, and nowhere else."""
    return importlib.util.find_spec("av") is not None


class Videos:
    """Judges videos, one at a time and each in a process of its own."""

    def __init__(
        self,
        moderator: Moderator,
        model: Model,
        *,
        limits: Limits | None = None,
        program: Sequence[str] = DECODER,
    ) -> None:
        """Judge with `moderator`, whose model is `model`; `program` is where a test puts a decoder of its own."""
        self._moderator = moderator
        self._model = model
        self._limits = limits or Limits()
        self._program = program

    def judge(self, file: BinaryIO, policy: Policy, *, until: float | None = None) -> JudgedVideo:
        """Judge one video.

        Args:
            file: seekable; only ranges of it are read.
            policy: the policy.
            until: the moment, in seconds of the monotonic clock, by which the answer is needed.

        Raises:
            UnknownVideo: it is no video, or of a codec that is not read.
            TooMuch: its frames have too many pixels.
            BrokenVideo: no frame of it could be decoded, within the limits.
            OutOfTime: the policy's labels cannot be embedded in the time that is left.
            Exception: whatever reading `file` raises.
        """
        # 1. Which kind, by its first bytes.
        file.seek(0)
        head = file.read(HEAD_BYTES)
        container = container_of(head)
        if container is None:
            raise UnknownVideo("The file does not begin like a video: MP4, MOV, WebM and MKV are read.")

        # 2. Frames, from the process that may die of them.
        ends = time.monotonic() + self._limits.seconds
        seen = footage(
            file,
            Asked(
                container=container,
                frames=policy.frames,
                preprocessing=self._model.preprocessing,
                view=policy.view,
            ),
            self._limits,
            until=ends if until is None else min(ends, until),
            program=self._program,
        )

        # 3. Black ones are dropped, and of those that are alike one is looked at.
        found = likeness(seen.frames)

        # 4. A verdict on all of them together, as on an animated picture.
        decoded = _decoded(seen, found, policy)
        moderation = self._moderator.moderate(ModerationQuestion(pictures=(decoded,), policy=policy), until=until)
        coverage = VideoCoverage(
            asked=seen.film.asked,
            seen=len(seen.frames),
            dark=found.dark,
            alike=found.alike,
            stopped=seen.stopped,
        )
        verdict = self._cautious(moderation.verdicts[0], coverage, policy)
        if policy.sample > 0:
            verdict = with_sample(verdict, policy, _identity(file))
        return JudgedVideo(
            moderation=replace(moderation, verdicts=(verdict,)),
            coverage=coverage,
            fired=self._fired(moderation, policy),
            film=seen.film,
            spent=seen.spent,
        )

    def _cautious(self, verdict: Verdict, coverage: VideoCoverage, policy: Policy) -> Verdict:
        """Where most of a video could not be seen, it is no better than one that cannot be read."""
        return partly_unseen(verdict, policy) if coverage.mostly_unseen else verdict

    def _fired(self, moderation: Moderation, policy: Policy) -> dict[str, tuple[float, ...]]:
        (seen,) = moderation.scores.pictures
        by_frame = scores(policy, seen.cosines, self._model.logit_scale)  # (frames, categories)
        columns = {category.name: column for column, category in enumerate(policy.categories)}
        return {
            reason.category: tuple(
                second
                for second, score in zip(seen.seconds, by_frame[:, columns[reason.category]].tolist(), strict=True)
                if score >= reason.threshold
            )
            for reason in moderation.verdicts[0].reasons
            if reason.threshold is not None
        }


def _decoded(seen: Footage, found: Likeness, policy: Policy) -> Decoded:
    frames: tuple[Frame, ...] = found.frames
    return Decoded(
        frames=frames,
        total_frames=max(seen.film.frames, len(frames)),
        coverage=Coverage(kind=policy.view, parts=len(frames[0].parts), unseen=seen.unseen),
    )


def _identity(file: BinaryIO) -> bytes:
    """Return what tells videos apart: the beginning and the length."""
    length = file.seek(0, 2)
    file.seek(0)
    return hashlib.sha256(file.read(_SAMPLED_BYTES)).digest() + length.to_bytes(8)
