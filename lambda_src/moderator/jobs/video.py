"""Judges videos by policies: single frames, evenly spread over the time, and k of n of them make a verdict.

FFmpeg runs in a process of its own (`video_process.py`) and nowhere else: this file never imports it. A verdict is
about the frames that were looked at; `VideoCoverage` says how many that was.
"""

from __future__ import annotations

import hashlib
import importlib.util
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, BinaryIO

from moderator.clip.model import Model
from moderator.errors import UnknownVideo
from moderator.jobs.video_footage import Asked, Film, Footage, Spent, footage
from moderator.jobs.video_likeness import Likeness, likeness
from moderator.jobs.video_pipe import Container, Limits
from moderator.jobs.video_process import DECODER
from moderator.moderation import Moderation, Moderator
from moderator.pictures.decode import Decoded, Frame
from moderator.pictures.views import Coverage
from moderator.policy.policy import Policy
from moderator.policy.score import scores
from moderator.policy.verdict import Verdict, partly_unseen, with_sample
from moderator.question import ModerationQuestion

HEAD_BYTES = 32  # of a file: enough for `is_video`

_MATROSKA = b"\x1a\x45\xdf\xa3"  # and WebM: https://www.rfc-editor.org/rfc/rfc8794#section-11.2.1
# The first box of an MP4 or MOV. Old cameras write no `ftyp`. https://developer.apple.com/documentation/quicktime-file-format
_FIRST_BOXES = (b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")
# What is a picture although it begins as an MP4 does: AVIF, HEIF, and Canon's raw files. https://mp4ra.org/registered-types/brands
_PICTURE_BRANDS = (
    b"avif",
    b"avis",
    b"mif1",
    b"mif2",
    b"msf1",
    b"heic",
    b"heix",
    b"heim",
    b"heis",
    b"hevc",
    b"hevx",
    b"crx ",
)

# What the sample is drawn by: a video's bytes are never read whole.
_SAMPLED_BYTES = 1 << 16
# Under so many frames, or half of those asked for, a verdict is worth little.
_FEW = 3


def is_video(head: bytes) -> bool:
    """Return whether a file that begins with `head`, of 12 bytes or more, is an MP4, MOV, WebM or MKV."""
    return _container(head) is not None


def can_judge_videos() -> bool:
    """Return whether PyAV is installed: it is in the worker's image with videos, and at a desk, and nowhere else."""
    return importlib.util.find_spec("av") is not None


@dataclass(frozen=True, kw_only=True)
class VideoCoverage:
    """How much of a video was looked at, in frames."""

    asked: int  # moments, by the policy's `frames`
    seen: int  # of these, those for which a frame was decoded
    dark: int  # of those seen, nearly black ones, which were dropped
    alike: int  # of those seen, ones so like their neighbour that they share its scores
    stopped: str | None  # half a sentence: why the video was not looked at to its end

    @property
    def failed(self) -> int:
        """The number of moments without a frame."""
        return self.asked - self.seen

    @property
    def low_confidence(self) -> bool:
        """Whether the verdict rests on too little: under three frames, or half of those asked for."""
        return self.seen - self.dark < _FEW or self.mostly_unseen

    @property
    def mostly_unseen(self) -> bool:
        """Whether less than half was seen."""
        return 2 * self.seen < self.asked


@dataclass(frozen=True, kw_only=True)
class JudgedVideo:
    """What a policy says of a video."""

    moderation: Moderation  # of one picture, whose frames are the video's
    coverage: VideoCoverage
    fired: Mapping[str, tuple[float, ...]]  # of each category that is a reason, the seconds that reach its threshold
    film: Film
    spent: Spent

    @property
    def verdict(self) -> Verdict:
        """The verdict."""
        return self.moderation.verdicts[0]

    def described(self) -> dict[str, Any]:
        """Return what a verdict line says of a video besides what it says of any picture."""
        coverage = self.coverage
        return {
            "seconds": round(self.film.seconds, 3),
            "codec": self.film.codec,
            "size": [self.film.width, self.film.height],
            "asked": coverage.asked,
            "seen": coverage.seen,
            "failed": coverage.failed,
            "dark": coverage.dark,
            "alike": coverage.alike,
            "low_confidence": coverage.low_confidence,
            "fired": {category: [round(second, 3) for second in seconds] for category, seconds in self.fired.items()},
        } | ({"stopped": coverage.stopped} if coverage.stopped else {})


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
        container = _container(head)
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


def _container(head: bytes) -> Container | None:
    if head.startswith(_MATROSKA):
        return "matroska"
    kind, brand = head[4:8], head[8:12]
    if kind in _FIRST_BOXES or (kind == b"ftyp" and brand not in _PICTURE_BRANDS):
        return "mov"
    return None


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
