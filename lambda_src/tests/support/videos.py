"""What the tests of videos share: a judge of them, the demo policy with frames of one's own, and files that count."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from moderator.classifier import Classifier
from moderator.clip.model import read_model
from moderator.handler import load_towers
from moderator.jobs.video import Videos
from moderator.jobs.video_judged import JudgedVideo
from moderator.jobs.video_pipe import Limits
from moderator.jobs.video_process import DECODER
from moderator.labels.cache import LabelCache
from moderator.moderation import Moderator
from moderator.policy.file import read_policies
from moderator.policy.policy import Frames, Policy
from moderator.settings import Settings
from support.towers import CountingTower

EVERY_SECOND = {"most": 64, "at_least": 2, "every": 1.0}


class CountingFile(io.BytesIO):
    """A file that counts what is read of it."""

    bytes_read = 0

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        self.bytes_read += len(data)
        return data


@dataclass(frozen=True)
class Desk:
    """The demo model, its tower counting, and the demo policy."""

    moderator: Moderator
    tower: CountingTower
    policy: Policy

    def frames(self, **frames: float) -> Policy:
        """The demo policy, looking at other frames."""
        return replace(self.policy, frames=Frames(**frames))  # type: ignore[arg-type]  # most and at_least are whole

    def videos(self, limits: Limits | None = None, program: Sequence[str] = DECODER) -> Videos:
        return Videos(self.moderator, read_model(Settings().model_dir), limits=limits, program=program)

    def judge(self, video: Path | bytes, policy: Policy | None = None, **options: object) -> JudgedVideo:
        """Judge with 64 frames at the most, a second apart, of which two must agree."""
        data = video if isinstance(video, bytes) else video.read_bytes()
        policy = policy or self.frames(**EVERY_SECOND)
        return self.videos(**options).judge(io.BytesIO(data), policy)  # type: ignore[arg-type]  # of `videos`


def make_desk() -> Desk:
    settings = Settings()
    model = read_model(settings.model_dir)
    tower = CountingTower(model, threads=1)
    labels = LabelCache(load_towers(model, 1).text, None, memory_labels=1000)
    classifier = Classifier(model, tower, labels, max_pixels=settings.max_pixels, threads=1)
    moderator = Moderator(classifier, {}, logit_scale=model.logit_scale, candidate_failed=lambda *_: None)
    policy = read_policies(settings.policies_dir, max_labels=settings.max_labels)["demo"]
    return Desk(moderator, tower, policy)


def decoder_that(*lines: str) -> tuple[str, ...]:
    """The real decoder, with `lines` of Python run after its imports: `child` is its module."""
    program = "\n".join(["import moderator.jobs.video_child as child, os, sys, time", *lines, "child.main()"])
    return ("-c", program)
