"""Judges pictures in batches, and videos one by one: files in, lines out, as `/moderate` would answer them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from moderator.errors import RequestError, UnknownVideo
from moderator.jobs.video import Videos, can_judge_videos
from moderator.jobs.video_kind import HEAD_BYTES, is_video
from moderator.moderation import Moderation, Moderator
from moderator.pictures.batch import Picture
from moderator.policy.policy import Policy
from moderator.policy.verdict import unjudged
from moderator.question import Embedded, ModerationQuestion
from moderator.web.answers import native
from moderator.web.requests import Asking
from tools.core import Core
from tools.files import read_file
from tools.folder.ledger import Ledger, Line
from tools.halving import in_halves

# Pictures that are judged together: as many as the image tower takes at once.
_TOGETHER = 16


@dataclass(frozen=True, kw_only=True)
class Judged:
    """One picture's line."""

    line: Line
    new: bool  # False: an earlier run judged it


@dataclass(frozen=True, kw_only=True)
class _Waiting:
    source: dict[str, Any]
    data: bytes


class FolderJudge:
    """Judges the pictures and videos below one folder by one policy."""

    def __init__(self, core: Core, policy: Policy, folder: Path) -> None:
        """Embed the policy's labels.

        Raises:
            InvalidField: a label is longer than the model's context.
        """
        core.labels.embed(policy.labels)
        self._core = core
        self._policy = policy
        self._folder = folder
        self._moderator = Moderator(
            core.classifier,
            {},  # no policies, so that no candidate is judged: nobody is answered here
            logit_scale=core.model.logit_scale,
            candidate_failed=lambda *_: None,
        )
        self._videos = Videos(self._moderator, core.model) if can_judge_videos() else None
        self._names = {"policy": native.policy_name(policy), "model": native.model_name(core.model)}
        self.decode_ms = 0.0  # what decoding took, for all that was judged

    def belongs(self, line: Line) -> bool:
        """Return whether the same policy and model gave this line."""
        return all(line.get(field) == name for field, name in self._names.items())

    def judge(self, paths: Sequence[str], ledger: Ledger) -> Iterator[list[Judged]]:
        """Judge each picture that the ledger does not know, and add its line; yield all lines, a batch at a time."""
        waiting: list[_Waiting] = []
        for path in paths:
            source: dict[str, Any] = {"path": path}
            try:
                if self._is_video(path):
                    yield [self._video(path, ledger)]
                    continue
                data = read_file(self._folder / path, max_bytes=self._core.settings.max_body_bytes)
            except RequestError as error:
                yield [self._added(ledger, self._error(source, error.problem()))]
                continue
            except OSError as error:
                problem = {"type": "about:blank", "title": "The file cannot be read", "detail": error.strerror}
                yield [self._added(ledger, self._error(source, problem))]
                continue
            source |= {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            if known := ledger.known(path, source["sha256"]):
                yield [Judged(line=known, new=False)]
                continue
            waiting.append(_Waiting(source=source, data=data))
            if len(waiting) == _TOGETHER:
                yield self._judge_and_add(waiting, ledger)
                waiting = []
        if waiting:
            yield self._judge_and_add(waiting, ledger)

    def _is_video(self, path: str) -> bool:
        with (self._folder / path).open("rb") as file:
            return is_video(file.read(HEAD_BYTES))

    def _video(self, path: str, ledger: Ledger) -> Judged:
        """Judge one video. All of it is read once, to know it again; the decoder reads little of it."""
        if self._videos is None:
            missing = UnknownVideo(
                "The file is a video, and PyAV, which decodes these, is not installed: pip install av."
            )
            # Without its hash, so that it is judged when PyAV is there.
            return self._added(ledger, self._error({"path": path}, missing.problem()))
        with (self._folder / path).open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            source = {"path": path, "bytes": file.tell(), "sha256": digest}
            if known := ledger.known(path, digest):
                return Judged(line=known, new=False)
            try:
                line = self._judge_video(self._videos, file, source)
            except RequestError as error:
                line = self._error(source, error.problem())
        return self._added(ledger, line)

    def _judge_video(self, videos: Videos, file: BinaryIO, source: dict[str, Any]) -> Line:
        found = videos.judge(file, self._policy)
        self.decode_ms += 1000 * found.spent.cpu_seconds
        question = ModerationQuestion(pictures=(Embedded(name="", frames=()),), policy=self._policy)
        (result,) = self._results(question, found.moderation)
        return {"source": source} | result | {"video": found.described()} | self._names

    def _judge_and_add(self, waiting: Sequence[_Waiting], ledger: Ledger) -> list[Judged]:
        lines = in_halves(waiting, self._judge, lambda one, error: self._error(one.source, error.problem()))
        ledger.add(lines)
        return [Judged(line=line, new=True) for line in lines]

    def _added(self, ledger: Ledger, line: Line) -> Judged:
        ledger.add([line])
        return Judged(line=line, new=True)

    def _judge(self, waiting: Sequence[_Waiting]) -> list[Line]:
        question = ModerationQuestion(
            pictures=tuple(Picture(name="The file", data=one.data) for one in waiting), policy=self._policy
        )
        found = self._moderator.moderate(question)
        self.decode_ms += found.scores.timing.decode
        return [
            {"source": one.source} | result | self._names
            for one, result in zip(waiting, self._results(question, found), strict=True)
        ]

    def _results(self, question: ModerationQuestion, found: Moderation) -> list[dict[str, Any]]:
        asking = Asking(question=question, many=True, return_embedding=False)
        results: list[dict[str, Any]] = native.moderation(asking, found, self._core.model)["results"]
        return results

    def _error(self, source: dict[str, Any], problem: dict[str, Any]) -> Line:
        verdict = unjudged(self._policy)
        reasons = [{"category": reason.category, "action": reason.action} for reason in verdict.reasons]
        return (
            {"source": source}
            | {"verdict": verdict.action, "reasons": reasons, "categories": {}, "error": problem}
            | self._names
        )
