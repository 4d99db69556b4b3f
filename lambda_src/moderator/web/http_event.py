"""Reads a request from an event, and writes its answer, in either of API Gateway's two payload versions.

A Lambda function URL's event has the form of version 2.
"""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs

from moderator.errors import MalformedBody


@dataclass(frozen=True, kw_only=True)
class Request:
    """What the service reads of a request."""

    method: str
    path: str  # without the stage's name, and without a slash at its end
    headers: Mapping[str, str]  # names in lower case
    query: Mapping[str, Sequence[str]]
    event: Mapping[str, Any]

    @property
    def content_type(self) -> str:
        """The media type in lower case, without parameters; empty where none is given."""
        return self.headers.get("content-type", "").split(";")[0].strip().lower()

    def body(self) -> bytes:
        """Return the request's body; empty where there is none.

        Raises:
            MalformedBody: the event says that its body is base64, and it is not.
        """
        text = self.event.get("body") or ""
        if not self.event.get("isBase64Encoded"):
            return text.encode("utf-8", "surrogatepass")
        try:
            return b64decode(text, validate=True)
        except (binascii.Error, ValueError) as error:
            raise MalformedBody("The event's body is marked as base64 but is not.") from error


@dataclass(frozen=True, kw_only=True)
class Response:
    """An answer, before it takes the form that the event asks for."""

    body: str | bytes
    content_type: str
    status: int = HTTPStatus.OK
    headers: Mapping[str, str] = field(default_factory=dict)


def is_http(event: Mapping[str, Any]) -> bool:
    """Return whether `event` is an HTTP request at all."""
    return "requestContext" in event and ("rawPath" in event or "httpMethod" in event)


def read_request(event: Mapping[str, Any]) -> Request:
    """Read an HTTP request's event."""
    headers = {name.lower(): str(value) for name, value in (event.get("headers") or {}).items()}
    if _is_version_2(event):
        context = event["requestContext"]
        path, stage = event.get("rawPath") or "/", context.get("stage") or "$default"
        # A named stage is part of the path, except with a custom domain.
        if stage != "$default" and (path == f"/{stage}" or path.startswith(f"/{stage}/")):
            path = path[len(stage) + 1 :]
        method = context.get("http", {}).get("method", "")
        # Version 2 joins repeated values with commas, which labels may hold too: its raw query is parsed instead.
        query = parse_qs(event.get("rawQueryString") or "", keep_blank_values=True)
    else:
        path, method = event.get("path") or "/", event.get("httpMethod") or ""
        query = event.get("multiValueQueryStringParameters") or {}
    return Request(method=method, path=path.rstrip("/") or "/", headers=headers, query=query, event=event)


def write_response(response: Response, event: Mapping[str, Any]) -> dict[str, Any]:
    """Give `response` the form that `event` asks for."""
    headers = {"Content-Type": response.content_type, **response.headers}
    is_text = isinstance(response.body, str)
    answer: dict[str, Any] = {
        "statusCode": int(response.status),
        "body": response.body if isinstance(response.body, str) else b64encode(response.body).decode(),
        "isBase64Encoded": not is_text,
    }
    if _is_version_2(event):
        return answer | {"headers": headers}
    return answer | {"multiValueHeaders": {name: [value] for name, value in headers.items()}}


def _is_version_2(event: Mapping[str, Any]) -> bool:
    return "rawPath" in event
