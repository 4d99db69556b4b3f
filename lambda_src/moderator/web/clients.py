"""Answers other services' clients: an adapter reads and writes, the classifier and the moderator judge.

The service's own routes raise a bug; these do not, because Lambda would then answer in a form that these clients do not
know. It is logged with its traceback and counted as `Failed`, and its answer is an error in the client's form.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from moderator.classifier import Classifier
from moderator.clip.model import Model
from moderator.errors import OutOfTime, RequestError
from moderator.moderation import Moderator
from moderator.pictures.batch import Picture
from moderator.policy.policy import Policy
from moderator.question import ModerationQuestion, Question, Wanted
from moderator.telemetry import Telemetry
from moderator.web.answers.adapter import Adapter, Asked, Known, Outcome
from moderator.web.answers.caveats import DEMO_MODEL
from moderator.web.http_event import Request, Response


class Clients:
    """Answers requests through adapters."""

    def __init__(
        self,
        *,
        model: Model,
        classifier: Classifier,
        moderator: Moderator,
        known: Known,
        telemetry: Telemetry,
        store_state: Callable[[], str | None],
    ) -> None:
        self._model = model
        self._classifier = classifier
        self._moderator = moderator
        self._known = known
        self._telemetry = telemetry
        self._store_state = store_state

    def answer(self, adapter: Adapter, request: Request, until: float | None) -> Response:
        """Answer one request, mistakes and bugs included."""
        outcomes: list[Outcome] = []
        try:
            asked = adapter.read(request, self._known)
            outcomes += self._outcomes(asked, adapter, until)
            response = adapter.write(asked, outcomes, self._model)
            # A header, because their forms have no place for it.
            warnings = {"X-Warning": DEMO_MODEL} if self._model.is_demo else {}
            return replace(response, headers={**response.headers, **warnings})
        except RequestError as error:
            self._telemetry.refused(error)
            response = adapter.refuse(request, error)
            if isinstance(error, OutOfTime):
                return replace(response, headers={**response.headers, "Retry-After": str(error.retry_after)})
            return response
        except Exception:  # noqa: BLE001 - see above; it is logged and counted
            self._telemetry.failed()
            return adapter.refuse(request, None)
        finally:
            for outcome in outcomes:
                if isinstance(outcome, RequestError):
                    outcome.forget_where()

    def _outcomes(self, asked: Asked, adapter: Adapter, until: float | None) -> list[Outcome]:
        """Judge each picture, all at once where all can be read."""
        pictures = [picture for picture in asked.pictures if isinstance(picture, Picture)]
        judged: list[Outcome] = []
        try:
            judged += self._judge(asked, pictures, until) if pictures else ()
        except RequestError as error:
            # Time runs out for the whole request; any other error may be about one picture only.
            if not adapter.picture_by_picture or isinstance(error, OutOfTime):
                raise
            judged += [error] if len(pictures) == 1 else [self._judge_one(asked, one, until) for one in pictures]
        found = iter(judged)
        outcomes = [one if isinstance(one, RequestError) else next(found) for one in asked.pictures]
        for outcome in outcomes:
            if isinstance(outcome, RequestError):
                self._telemetry.refused(outcome)
        return outcomes

    def _judge_one(self, asked: Asked, picture: Picture, until: float | None) -> Outcome:
        try:
            (outcome,) = self._judge(asked, [picture], until)
        except OutOfTime:  # the time is the whole request's
            raise
        except RequestError as error:
            return error
        return outcome

    def _judge(self, asked: Asked, pictures: Sequence[Picture], until: float | None) -> Sequence[Outcome]:
        began = time.perf_counter()
        if isinstance(asked.by, Policy):
            moderation = self._moderator.moderate(
                ModerationQuestion(pictures=tuple(pictures), policy=asked.by), until=until
            )
            self._telemetry.moderated(moderation, (time.perf_counter() - began) * 1000, self._store_state())
            return moderation.verdicts
        wanted = Wanted(labels=asked.by.labels, categories=asked.by.categories)
        # Tiles show all of a picture, whatever its shape, without squashing it.
        question = Question(pictures=tuple(pictures), wanted=(wanted,), view="tiles")
        found = self._classifier.classify(question, until=until)
        self._telemetry.classified(question, found, (time.perf_counter() - began) * 1000, self._store_state())
        return [answer for (answer,) in found.answers]
