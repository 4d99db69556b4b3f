"""The routes: from an HTTP event to the classifier and back to a response, with its headers, log line and metrics."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, APIGatewayRestResolver, Response
from aws_lambda_powertools.event_handler.api_gateway import Router
from aws_lambda_powertools.event_handler.exceptions import NotFoundError

from moderator.classifier import Classification, Classifier
from moderator.clip.model import Model
from moderator.errors import MethodNotAllowed, RequestError, RouteNotFound
from moderator.labels.label_sets import LabelSet
from moderator.labels.store import LabelStore
from moderator.telemetry import Telemetry
from moderator.web import http_event
from moderator.web.payload import Limits, Question, read_json, read_picture

_JSON = "application/json"
_PROBLEM_JSON = "application/problem+json"  # RFC 9457


class App:
    """Answers HTTP events of API Gateway (both payload versions) and of Lambda function URLs."""

    def __init__(
        self,
        *,
        model: Model,
        classifier: Classifier,
        label_sets: Mapping[str, LabelSet],
        store: LabelStore | None,
        limits: Limits,
        telemetry: Telemetry,
    ) -> None:
        self._model = model
        self._classifier = classifier
        self._label_sets = label_sets
        self._store = store
        self._limits = limits
        self._telemetry = telemetry
        # One router, told to a resolver for each of the two forms that an event can have.
        self._router = self._routes()
        self._resolvers = (
            APIGatewayRestResolver(debug=False, serializer=_to_json),
            APIGatewayHttpResolver(debug=False, serializer=_to_json),
        )
        for resolver in self._resolvers:
            resolver.include_router(self._router)
            resolver.exception_handler(RequestError)(self._problem)
            resolver.exception_handler(NotFoundError)(self._no_route)

    def answer(self, event: dict[str, Any], context: Any) -> dict[str, Any]:
        """Answer one HTTP event. A bug is raised, so that Lambda counts it as an error and answers 500."""
        resolver = self._resolvers[1 if http_event.is_version_2(event) else 0]
        return resolver.resolve(event, context)

    def _routes(self) -> Router:
        router = Router()  # type: ignore[no-untyped-call]
        router.post("/classify")(self.classify)
        router.post("/")(self.classify)
        router.get("/health")(self.health)
        router.get("/label-sets")(self.list_label_sets)
        router.get("/openapi.json")(self.openapi)
        router.get("/docs")(self.docs)
        self._methods = {"/classify": "POST", "/": "POST"} | dict.fromkeys(
            ("/health", "/label-sets", "/openapi.json", "/docs"), "GET"
        )
        return router

    def classify(self) -> Response[str]:
        """Answer `POST /classify`."""
        began = time.perf_counter()
        question = self._read_question()
        classification = self._classifier.classify(question)
        body = _to_json(self._answer(question, classification))
        milliseconds = (time.perf_counter() - began) * 1000
        store_state = None if self._store is None else self._store.state
        self._telemetry.classified(question, classification, milliseconds, store_state)
        timing, labels = classification.timing, classification.labels
        return Response(
            status_code=HTTPStatus.OK,
            content_type=_JSON,
            body=body,
            headers={
                "Server-Timing": f"decode;dur={timing.decode:.2f}, labels;dur={timing.labels:.2f}, "
                f"image;dur={timing.image:.2f}, total;dur={milliseconds:.2f}",
                "X-Label-Cache": f"memory={labels.memory}, store={labels.store}, computed={labels.computed}",
            },
        )

    def health(self) -> Response[str]:
        """Answer `GET /health`: the model, and whether the store answers just now."""
        state = "none"
        if self._store is not None:
            self._store.ping(self._store.allowance())
            state = self._store.state
        return _ok({"status": "ok", "model": self._model_name(), "store": {"state": state}})

    def list_label_sets(self) -> Response[str]:
        """Answer `GET /label-sets`."""
        return _ok({"label_sets": [_describe(label_set) for label_set in self._label_sets.values()]})

    def openapi(self) -> Response[str]:
        """Answer `GET /openapi.json`."""
        # Building the document takes pydantic 10 ms, and few instances are ever asked for it.
        from moderator.web.openapi import document

        return _ok(document(self._limits))

    def docs(self) -> Response[str]:
        """Answer `GET /docs`: the same document to read and to try, with nothing loaded from elsewhere."""
        from moderator.web.openapi import page

        return Response(status_code=HTTPStatus.OK, content_type="text/html; charset=utf-8", body=page(self._limits))

    def _read_question(self) -> Question:
        event = self._router.current_event
        if http_event.content_type(event).startswith(("image/", "application/octet-stream")):
            query = http_event.query(event)
            return read_picture(http_event.body(event), query, self._label_sets, self._limits)
        return read_json(http_event.body(event), self._label_sets, self._limits)

    def _answer(self, question: Question, classification: Classification) -> dict[str, Any]:
        results: list[dict[str, Any]] = []
        for place, row in enumerate(classification.probabilities.tolist()):
            result: dict[str, Any] = {"result": dict(zip(question.labels, row, strict=True))}
            if classification.categories is not None:
                result["categories"] = classification.categories[place]
            results.append(result)
        answer = {"results": results} if question.many else results[0]
        return answer | {"model": self._model_name()}

    def _model_name(self) -> dict[str, str]:
        model = self._model
        return {"name": model.name, "pretrained": model.pretrained, "fingerprint": model.fingerprint}

    def _problem(self, error: RequestError) -> Response[str]:
        self._telemetry.refused(error)
        headers = {"Allow": error.allowed} if isinstance(error, MethodNotAllowed) else {}
        return Response(
            status_code=int(error.status),
            content_type=_PROBLEM_JSON,
            body=_to_json(error.problem()),
            headers=headers,
        )

    def _no_route(self, _: NotFoundError) -> Response[str]:
        event = self._router.current_event
        allowed = self._methods.get(event.path)
        if allowed is not None:
            return self._problem(
                MethodNotAllowed(f"{event.path} takes {allowed}, not {event.http_method}.", allowed=allowed)
            )
        return self._problem(RouteNotFound(f"There is no such route: there are {', '.join(self._methods)}."))


def _ok(content: Any) -> Response[str]:
    return Response(status_code=HTTPStatus.OK, content_type=_JSON, body=_to_json(content))


def _to_json(content: Any) -> str:
    return json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(", ", ": "))


def _describe(label_set: LabelSet) -> dict[str, Any]:
    by_category: dict[str, list[str]] | None = None
    if label_set.categories is not None:
        by_category = {}
        for label, category in zip(label_set.labels, label_set.categories, strict=True):
            by_category.setdefault(category, []).append(label)
    labels: Sequence[str] = label_set.labels
    return {
        "name": label_set.name,
        "description": label_set.description,
        "labels": list(labels),
        "categories": by_category,
    }
