"""Stands in for API Gateway on your own machine: turns HTTP requests into the handler's events, and its answers back.

It also answers what only a local server is asked: HEAD and OPTIONS, pages of other origins, and paths that end with a
slash.
"""

from __future__ import annotations

import base64
import json
import logging
import threading
import uuid
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from types import SimpleNamespace
from typing import Any
from urllib.parse import unquote, urlsplit

from moderator.errors import RequestError
from moderator.web.cors import Cors
from moderator.web.http_event import read_request, write_response

# Takes an event and Lambda's context.
Handler = Callable[[dict[str, Any], Any], Mapping[str, Any]]

_LOG = logging.getLogger("server")

_PROBLEM_JSON = "application/problem+json"
_LONGEST_REASON = 160  # characters in the log


@dataclass(frozen=True, kw_only=True)
class Request:
    """A request as it arrived."""

    method: str
    target: str  # ASCII: a path and a query, or a whole URL
    headers: Mapping[str, str]  # names in lower case
    body: bytes = b""
    client: str = "127.0.0.1"


@dataclass(frozen=True, kw_only=True)
class Response:
    """An answer; of a refusal also the reason, for the log."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    head_only: bool = False
    reason: str = ""


class Gateway:
    """Asks one handler.

    POST requests are answered one at a time, as in a Lambda instance; requests that only read do not wait for them.
    """

    def __init__(self, handler: Handler, *, cors: Cors, log_details: bool) -> None:
        self._handler = handler
        self._cors = cors
        self._log_details = log_details
        self._turn = threading.Lock()

    def answer(self, request: Request) -> Response:
        """Answer one request.

        Raises:
            RequestError: the target is neither a path nor a URL.
        """
        path, query = split_target(request.target)
        path = path.rstrip("/") or "/"
        if request.method == "OPTIONS" and "access-control-request-method" in request.headers:
            return Response(status=HTTPStatus.NO_CONTENT, headers=self._cors.preflight_headers(request.headers))
        response = self._ask(request, path, query)
        return replace(
            response,
            headers={**response.headers, **self._cors.headers(request.headers)},
            head_only=request.method == "HEAD",
        )

    def refuse(self, request: Request, error: RequestError) -> Response:
        """Answer a request whose body was not read: in the form of whoever would have answered it."""
        from moderator.web.app import find  # here, because the handler that is served has it loaded already

        path, query = split_target(request.target)
        event = _event(request, path.rstrip("/") or "/", query)
        asked = read_request(event)
        try:
            adapter = find(asked).adapter
        except RequestError:
            adapter = None
        if adapter is None:
            return answer_of_problem(error.problem(), close=True)
        response = _response(write_response(adapter.refuse(asked, error), event))
        reason = self._reason(error.detail, error.title)
        return replace(response, headers={**response.headers, "Connection": "close"}, reason=reason)

    def _ask(self, request: Request, path: str, query: str) -> Response:
        # The same headers as for GET; the body is left out where the answer is written.
        method = "GET" if request.method == "HEAD" else request.method
        event = _event(replace(request, method=method), path, query)
        context = SimpleNamespace(function_name="local", aws_request_id=event["requestContext"]["requestId"])
        try:
            with self._turn if method == "POST" else nullcontext():
                response = _response(self._handler(event, context))
        except Exception:  # noqa: BLE001 - the server goes on, whatever a bug raises
            # On AWS, Lambda would report the error to CloudWatch, and API Gateway would answer.
            _LOG.exception("The handler failed; this is a bug.")
            return answer_of_problem(
                _without_type(HTTPStatus.INTERNAL_SERVER_ERROR, "The service failed; its log says why.")
            )
        if method == "OPTIONS" and response.status == HTTPStatus.METHOD_NOT_ALLOWED:
            allowed = response.headers["Allow"].replace("GET", "GET, HEAD")
            return Response(status=HTTPStatus.NO_CONTENT, headers={"Allow": f"{allowed}, OPTIONS"})
        if response.headers.get("Content-Type") == _PROBLEM_JSON:
            problem = json.loads(response.body)
            return replace(response, reason=self._reason(problem["detail"], problem["title"]))
        if response.status >= HTTPStatus.BAD_REQUEST:  # in the form of another service
            return replace(response, reason=self._reason(response.body.decode(errors="replace").rstrip(), ""))
        return response

    def _reason(self, detail: str, title: str) -> str:
        """Return what the log says of a refusal. Its detail may quote the client, so it is logged only if asked for."""
        words = detail if self._log_details else title
        shown = words if len(words) <= _LONGEST_REASON else f"{words[:_LONGEST_REASON]}…"
        return "".join(letter if letter.isprintable() else "?" for letter in shown)


def split_target(target: str) -> tuple[str, str]:
    """Return a request target's path, still escaped, and its query.

    Raises:
        RequestError: it is neither a path nor a URL.
    """
    if target.startswith("/"):
        path, _, query = target.partition("#")[0].partition("?")
        return path, query
    try:
        parts = urlsplit(target)
    except ValueError as error:
        raise RequestError(f"The request's target is not a URL: {error}.") from None
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise RequestError("The request's target must be a path that begins with a slash, or a URL.")
    return parts.path or "/", parts.query


def event_of(*, method: str, target: str, headers: Mapping[str, str], body: bytes) -> dict[str, Any]:
    """Make the event (payload version 2) that API Gateway would send for this request."""
    names = {name.lower(): value for name, value in headers.items()}
    path, query = split_target(target)
    return _event(Request(method=method, target=target, headers=names, body=body), path, query)


def answer_of_problem(problem: Mapping[str, str | int], *, close: bool = False) -> Response:
    """Return the answer that carries a problem document (RFC 9457)."""
    return Response(
        status=int(problem["status"]),
        headers={"Content-Type": _PROBLEM_JSON} | ({"Connection": "close"} if close else {}),
        body=json.dumps(problem).encode(),
        reason=str(problem["detail"]),
    )


def _event(request: Request, path: str, query: str) -> dict[str, Any]:
    textual = request.headers.get("content-type", "").startswith(("application/json", "text/"))
    try:
        text = request.body.decode("utf-8") if textual or not request.body else None
    except UnicodeDecodeError:
        text = None
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": unquote(path),
        "rawQueryString": query,
        "headers": dict(request.headers),
        "requestContext": {
            "http": {
                "method": request.method,
                "path": unquote(path),
                "protocol": "HTTP/1.1",
                "sourceIp": request.client,
            },
            "requestId": str(uuid.uuid4()),
            "stage": "$default",
        },
        "body": base64.b64encode(request.body).decode() if text is None else text,
        "isBase64Encoded": text is None,
    }


def _response(answer: Mapping[str, Any]) -> Response:
    """Read what the handler answered, in the form that API Gateway takes."""
    body = answer.get("body") or ""
    several = {name: ", ".join(values) for name, values in (answer.get("multiValueHeaders") or {}).items()}
    return Response(
        status=int(answer["statusCode"]),
        headers=(answer.get("headers") or {}) | several,
        body=base64.b64decode(body) if answer.get("isBase64Encoded") else body.encode(),
    )


def _without_type(status: HTTPStatus, detail: str) -> dict[str, str | int]:
    return {"type": "about:blank", "title": status.phrase, "status": int(status), "detail": detail}
