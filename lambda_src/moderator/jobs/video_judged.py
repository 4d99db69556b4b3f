"""What a policy says of a video, and how much of the video that rests on: values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from moderator.jobs.video_footage import Spent
from moderator.jobs.video_said import Film
from moderator.moderation import Moderation
from moderator.policy.verdict import Verdict

# Under so many frames, or half of those asked for, a verdict is worth little.
_FEW = 3


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
