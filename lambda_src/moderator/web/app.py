"""From an HTTP event to the classifier or the moderator, and back to an answer with headers, log line and metrics."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

from moderator.classifier import Classifier, Scores
from moderator.clip.model import Model
from moderator.errors import MethodNotAllowed, OutOfTime, RequestError, RouteNotFound
from moderator.labels.store import LabelStore
from moderator.moderation import Moderator
from moderator.telemetry import Telemetry
from moderator.web.answers import native
from moderator.web.answers.adapter import Known
from moderator.web.answers.caveats import DEMO_MODEL
from moderator.web.clients import Clients
from moderator.web.http_event import Request, Response, read_request, write_response
from moderator.web.instance import details, wants_details
from moderator.web.payload import read_body
from moderator.web.requests import RequestReader
from moderator.web.routes import ROUTES, Route

_JSON = "application/json"
_PROBLEM_JSON = "application/problem+json"  # RFC 9457

# The fields besides the pictures, where the body is a form or the picture itself.
_CLASSIFY_FIELDS = ("labels", "label_set", "questions", "view", "return_embedding")
_MODERATE_FIELDS = ("policy", "view", "return_embedding")

# Kept for the answer's way to the client, once it is made.
_RESERVED_SECONDS = 0.5


class App:
    """Answers HTTP events of API Gateway (both payload versions) and of Lambda function URLs."""

    def __init__(
        self,
        *,
        model: Model,
        classifier: Classifier,
        moderator: Moderator,
        store: LabelStore | None,
        known: Known,
        max_seconds: float,
        telemetry: Telemetry,
    ) -> None:
        self._model = model
        self._classifier = classifier
        self._moderator = moderator
        self._label_sets = known.label_sets
        self._policies = known.policies
        self._store = store
        self._limits = known.limits
        self._max_seconds = max_seconds
        self._telemetry = telemetry
        self._reader = RequestReader(
            model=model, label_sets=known.label_sets, policies=known.policies, limits=known.limits
        )
        self._clients = Clients(
            model=model,
            classifier=classifier,
            moderator=moderator,
            known=known,
            telemetry=telemetry,
            store_state=self._store_state,
        )

    def answer(self, event: Mapping[str, Any], context: Any) -> dict[str, Any]:
        """Answer one HTTP event. A bug is raised, so that Lambda counts it as an error and answers 500.

        Other services' clients get even that answer in their own form: see `clients.py`.
        """
        request = read_request(event)
        try:
            route = find(request)
            until = self._deadline(context)
            if route.adapter is not None:
                return write_response(self._clients.answer(route.adapter, request, until), event)
            response: Response = getattr(self, route.answer)(request, until)
        except RequestError as error:
            self._telemetry.refused(error)
            headers = {}
            if isinstance(error, MethodNotAllowed):
                headers["Allow"] = error.allowed
            elif isinstance(error, OutOfTime):
                headers["Retry-After"] = str(error.retry_after)
            response = Response(
                status=error.status, body=_to_json(error.problem()), content_type=_PROBLEM_JSON, headers=headers
            )
        return write_response(response, event)

    def classify(self, request: Request, until: float) -> Response:
        """Answer `POST /classify`."""
        began = time.perf_counter()
        asking = self._reader.classification(read_body(request, _CLASSIFY_FIELDS, self._limits))
        found = self._classifier.classify(asking.question, until=until)
        body = _to_json(native.classification(asking, found, self._model))
        milliseconds = (time.perf_counter() - began) * 1000
        self._telemetry.classified(asking.question, found, milliseconds, self._store_state())
        return _timed(body, found.scores, milliseconds)

    def moderate(self, request: Request, until: float) -> Response:
        """Answer `POST /moderate`."""
        began = time.perf_counter()
        asking = self._reader.moderation(read_body(request, _MODERATE_FIELDS, self._limits))
        found = self._moderator.moderate(asking.question, until=until)
        body = _to_json(native.moderation(asking, found, self._model))
        milliseconds = (time.perf_counter() - began) * 1000
        self._telemetry.moderated(found, milliseconds, self._store_state())
        return _timed(body, found.scores, milliseconds)

    def page(self, _: Request, __: float) -> Response:
        """Answer `GET /` and `GET /try`: the page on which pictures are judged and policies made."""
        # Imported here: few instances are ever asked for it.
        from moderator.web.pages import page

        return page()

    def health(self, request: Request, _: float) -> Response:
        """Answer `GET /health`: the model, whether the store answers just now, and with `?details` what runs it."""
        more = details() if wants_details(request.query) else {}
        state = "none"
        if self._store is not None:
            self._store.ping(self._store.allowance())
            state = self._store.state
        health: dict[str, Any] = {"status": "ok", "model": native.model_name(self._model), "store": {"state": state}}
        return _ok(health | more | ({"warnings": [DEMO_MODEL]} if self._model.is_demo else {}))

    def label_sets(self, _: Request, __: float) -> Response:
        """Answer `GET /label-sets`."""
        return _ok({"label_sets": [native.label_set(label_set) for label_set in self._label_sets.values()]})

    def policies(self, _: Request, __: float) -> Response:
        """Answer `GET /policies`."""
        return _ok({"policies": [native.policy(policy) for policy in self._policies.values()]})

    def openapi(self, _: Request, __: float) -> Response:
        """Answer `GET /openapi.json`."""
        # Building the document takes pydantic 10 ms, and few instances are ever asked for it.
        from moderator.web.openapi import document

        return _ok(document(self._limits, demo=self._model.is_demo))

    def docs(self, _: Request, __: float) -> Response:
        """Answer `GET /docs`: the same document to read and to try, with nothing loaded from elsewhere."""
        from moderator.web.openapi import document
        from moderator.web.pages import docs

        return docs(document(self._limits, demo=self._model.is_demo))

    def _deadline(self, context: Any) -> float:
        """Return the moment by which an answer is needed, in seconds of the monotonic clock."""
        seconds = self._max_seconds
        if hasattr(context, "get_remaining_time_in_millis"):  # in Lambda
            seconds = min(seconds, context.get_remaining_time_in_millis() / 1000)
        return time.monotonic() + seconds - _RESERVED_SECONDS

    def _store_state(self) -> str | None:
        return None if self._store is None else self._store.state


def find(request: Request) -> Route:
    """Find who answers a request.

    Raises:
        RouteNotFound: there is no such path.
        MethodNotAllowed: there is, but not with this method.
    """
    # A route that needs a header goes before one that does not.
    methods: dict[str, Route] = {}
    for route in ROUTES:
        if route.path == request.path and (
            route.header in request.headers if route.header else route.method not in methods
        ):
            methods[route.method] = route
    if request.method in methods:
        return methods[request.method]
    if methods:
        allowed = ", ".join(methods)
        raise MethodNotAllowed(f"{request.path} takes {allowed}, not {request.method}.", allowed=allowed)
    paths = ", ".join(dict.fromkeys(route.path for route in ROUTES))
    raise RouteNotFound(f"There is no such route: the routes are {paths}.")


def _timed(body: str, scores: Scores, milliseconds: float) -> Response:
    timing, labels = scores.timing, scores.labels
    return Response(
        body=body,
        content_type=_JSON,
        headers={
            "Server-Timing": f"decode;dur={timing.decode:.2f}, labels;dur={timing.labels:.2f}, "
            f"image;dur={timing.image:.2f}, total;dur={milliseconds:.2f}",
            "X-Label-Cache": f"precomputed={labels.precomputed}, memory={labels.memory}, store={labels.store}, "
            f"computed={labels.computed}",
        },
    )


def _ok(content: Any) -> Response:
    return Response(body=_to_json(content), content_type=_JSON)


def _to_json(content: Any) -> str:
    return json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(", ", ": "))
