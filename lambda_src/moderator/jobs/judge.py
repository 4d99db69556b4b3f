"""Judges the objects of jobs: bytes in, verdict lines out, as `/moderate` would answer them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image

from moderator.classifier import Classifier
from moderator.clip.model import Model, read_model
from moderator.clip.towers import ImageTower, TextTower
from moderator.cpus import usable_cpus
from moderator.errors import InvalidField, RequestError, UnknownVideo
from moderator.jobs.line import Line, Names, error_line
from moderator.jobs.object_file import ObjectFile
from moderator.jobs.sources import Source
from moderator.jobs.video import Videos, can_judge_videos
from moderator.labels.cache import LabelCache
from moderator.labels.precomputed import read_precomputed
from moderator.moderation import Moderator
from moderator.pictures.batch import Picture
from moderator.policy.file import check_calibration, read_policies
from moderator.policy.policy import Policy
from moderator.question import Embedded, ModerationQuestion
from moderator.settings import Settings
from moderator.web.answers import native
from moderator.web.requests import Asking

# What a picture is called in an error: a job has no fields.
_NAME = "The object"


@dataclass(frozen=True, kw_only=True)
class Policies:
    """The configured policies, and the model that they are used with: what a line's names are made of."""

    policies: Mapping[str, Policy]
    model: Model

    def named(self, name: str) -> Policy:
        """Return the policy.

        Raises:
            InvalidField: there is none of that name.
        """
        if name not in self.policies:
            raise InvalidField(f"There is no policy {name!r}: it must be one of {', '.join(sorted(self.policies))}.")
        return self.policies[name]

    def names(self, name: str) -> Names:
        """Return what a line calls the policy and the model."""
        return Names.of(self.named(name), self.model)


def read_configured(settings: Settings) -> Policies:
    """Read the model's manifest and the policies, without loading the model.

    Raises:
        ConfigurationError: a policy or the model folder cannot be used.
    """
    model = read_model(settings.model_dir)
    policies = read_policies(settings.policies_dir, max_labels=settings.max_labels)
    for policy in policies.values():
        check_calibration(policy, name=model.name, pretrained=model.pretrained)
    return Policies(policies=policies, model=model)


class Judge:
    """Judges with one model; `open_video` gives an object as a file."""

    def __init__(self, settings: Settings, open_video: Callable[[Source], ObjectFile]) -> None:
        """Load the model.

        Raises:
            ConfigurationError: a policy or the model folder cannot be used.
        """
        # The service's own limit is stricter, and says so in a sentence; Pillow's would only warn.
        Image.MAX_IMAGE_PIXELS = None
        self._configured = read_configured(settings)
        model = self._configured.model
        threads = settings.threads or usable_cpus()
        labels = LabelCache(
            TextTower(model, threads=threads),
            None,
            memory_labels=settings.memory_labels,
            precomputed=read_precomputed(model, logging.getLogger(__name__)),
        )
        self._moderator = Moderator(
            Classifier(
                model, ImageTower(model, threads=threads), labels, max_pixels=settings.max_pixels, threads=threads
            ),
            {},  # a candidate is compared on the requests, where its differences are logged
            logit_scale=model.logit_scale,
            candidate_failed=lambda *_: None,
        )
        self._videos = Videos(self._moderator, model) if can_judge_videos() else None
        self._open_video = open_video

    def pictures(self, policy: str, sources: Sequence[tuple[Source, bytes]]) -> list[Line]:
        """Judge pictures together; what cannot be judged gets its own error line."""
        try:
            return self._together(self._configured.named(policy), sources)
        except RequestError as error:
            if len(sources) == 1:
                return [self.error(policy, sources[0][0], error)]
        half = len(sources) // 2
        return self.pictures(policy, sources[:half]) + self.pictures(policy, sources[half:])

    def video(self, policy: str, source: Source) -> Line:
        """Judge one video, of which only ranges are read."""
        if self._videos is None:
            missing = UnknownVideo(
                "The object is a video, and this worker has no decoder for these: set `videos` to true."
            )
            return self.error(policy, source, missing)
        by = self._configured.named(policy)
        try:
            found = self._videos.judge(self._open_video(source), by)  # type: ignore[arg-type]  # a RawIOBase reads too
        except RequestError as error:
            return self.error(policy, source, error)
        question = ModerationQuestion(pictures=(Embedded(name="", frames=()),), policy=by)
        asking = Asking(question=question, many=False, return_embedding=False)
        answer = native.moderation(asking, found.moderation, self._configured.model)
        return {"source": source.as_json()} | answer | {"video": found.described()}

    def error(self, policy: str, source: Source, error: RequestError) -> Line:
        """Give the line of what could not be judged."""
        return error_line(source, error, self._configured.named(policy), self._configured.names(policy))

    def _together(self, policy: Policy, sources: Sequence[tuple[Source, bytes]]) -> list[Line]:
        question = ModerationQuestion(
            pictures=tuple(Picture(name=_NAME, data=data) for _, data in sources), policy=policy
        )
        found = self._moderator.moderate(question)
        asking = Asking(question=question, many=True, return_embedding=False)
        answer = native.moderation(asking, found, self._configured.model)
        # Each line stands alone, as the answer about one picture does.
        common: dict[str, Any] = {"policy": answer["policy"], "model": answer["model"]}
        about_all = [sentence for sentence in answer.get("warnings", []) if not sentence.startswith(_NAME)]
        lines = []
        for (source, _), result, seen in zip(sources, answer["results"], found.scores.pictures, strict=True):
            said = [sentence for sentence in answer.get("warnings", []) if sentence in (*seen.warnings, *about_all)]
            lines.append({"source": source.as_json()} | result | common | ({"warnings": said} if said else {}))
        return lines
