"""Judges pictures in batches, and videos one by one: files in, lines out, as `/moderate` would answer them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

from moderator.errors import RequestError, UnknownVideo
from moderator.jobs.video import Videos, can_judge_videos
from moderator.jobs.video_kind import HEAD_BYTES, is_video
from moderator.moderation import Moderation, Moderator
from moderator.pictures.decode import Decoded
from moderator.policy.policy import Policy
from moderator.policy.verdict import unjudged, with_sample
from moderator.question import Embedded, ModerationQuestion
from moderator.web.answers import native
from moderator.web.requests import Asking
from tools.code import SERVICE, TOOLS, code_version
from tools.core import Core
from tools.files import check_file, read_file
from tools.folder.ledger import Ledger, Line
from tools.folder.reader import Found, Read, Reader

# Pictures that are judged together: as many as the image tower takes at once.
_TOGETHER = 16


@dataclass(frozen=True, kw_only=True)
class Judged:
    """One picture's line."""

    line: Line
    new: bool  # False: an earlier run judged it


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
        # Whatever an answer depends on besides the file. The other limits are looked at before the ledger is.
        code = code_version(SERVICE, TOOLS / "folder/judge.py", TOOLS / "folder/reader.py")
        self._names = {
            "policy": native.policy_name(policy),
            "model": native.model_name(core.model),
            "judged_by": f"{code}:{core.settings.max_pixels}",
        }

    def belongs(self, line: Line) -> bool:
        """Return whether the same policy, model, code and limit gave this line."""
        return all(line.get(field) == name for field, name in self._names.items())

    def judge(self, paths: Sequence[str], ledger: Ledger) -> Iterator[list[Judged]]:
        """Judge each picture that the ledger does not know, and add its line; yield all lines, a batch at a time."""
        waiting: list[Found] = []
        with Reader(self._core, self._policy) as reader:
            for path in paths:
                done = self._done_at_once(path, ledger)
                if isinstance(done, Judged):
                    yield [done]
                    continue
                waiting.append(done)
                if len(waiting) == _TOGETHER:
                    yield self._judge_and_add(reader.exchange(waiting), ledger)
                    waiting = []
            yield self._judge_and_add(reader.exchange(waiting), ledger)
            yield self._judge_and_add(reader.exchange(()), ledger)

    def _done_at_once(self, path: str, ledger: Ledger) -> Judged | Found:
        """Return the line of a file that is known, no picture or not to be read; else the picture's bytes."""
        source: dict[str, Any] = {"path": path}
        try:
            if self._is_video(path):
                return self._video(path, ledger)
            data = read_file(self._folder / path, max_bytes=self._core.settings.max_body_bytes)
        except RequestError as error:
            return self._added(ledger, self._error(source, error.problem()))
        except OSError as error:
            problem = {"type": "about:blank", "title": "The file cannot be read", "detail": error.strerror}
            return self._added(ledger, self._error(source, problem))
        source |= {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        if known := ledger.known(path, source["sha256"]):
            return Judged(line=known, new=False)
        return Found(source=source, data=data)

    def _is_video(self, path: str) -> bool:
        check_file(self._folder / path)
        with (self._folder / path).open("rb") as file:
            return is_video(file.read(HEAD_BYTES))

    def _video(self, path: str, ledger: Ledger) -> Judged:
        """Judge one video. All of it is read once, to know it again; the decoder reads little of it."""
        if self._videos is None:
            missing = UnknownVideo(
                "The file is a video, and PyAV, which decodes these, is not installed: pip install av."
            )
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
        question = ModerationQuestion(pictures=(Embedded(name="", frames=()),), policy=self._policy)
        (result,) = self._results(question, found.moderation)
        return {"source": source} | result | {"video": found.described()} | self._names

    def _judge_and_add(self, batch: Sequence[Read], ledger: Ledger) -> list[Judged]:
        judged = iter(self._judge([read for read in batch if isinstance(read.decoded, Decoded)]))
        lines = [
            self._error(read.found.source, read.decoded.problem())
            if isinstance(read.decoded, RequestError)
            else next(judged)
            for read in batch
        ]
        ledger.add(lines)
        return [Judged(line=line, new=True) for line in lines]

    def _added(self, ledger: Ledger, line: Line) -> Judged:
        ledger.add([line])
        return Judged(line=line, new=True)

    def _judge(self, batch: Sequence[Read]) -> list[Line]:
        if not batch:
            return []
        pictures = tuple(read.decoded for read in batch if isinstance(read.decoded, Decoded))
        question = ModerationQuestion(pictures=pictures, policy=self._policy)
        found = self._moderator.moderate(question)
        # The sample is drawn by a picture's bytes, which pixels no longer have.
        verdicts = tuple(
            with_sample(verdict, self._policy, read.found.data)
            for verdict, read in zip(found.verdicts, batch, strict=True)
        )
        results = self._results(question, replace(found, verdicts=verdicts))
        return [
            {"source": read.found.source} | result | self._names for read, result in zip(batch, results, strict=True)
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
