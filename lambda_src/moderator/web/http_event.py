"""What the service reads of an HTTP event, whichever of API Gateway's two forms it has.

A Lambda function URL's event has the form of version 2.
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs

from aws_lambda_powertools.utilities.data_classes.common import BaseProxyEvent

from moderator.errors import MalformedBody


def is_http(event: Mapping[str, Any]) -> bool:
    """Whether `event` is an HTTP request at all."""
    return "requestContext" in event and ("rawPath" in event or "httpMethod" in event)


def is_version_2(event: Mapping[str, Any]) -> bool:
    """Whether `event` has the form of payload version 2."""
    return "rawPath" in event


def body(event: BaseProxyEvent) -> bytes:
    """The request's body; empty where there is none.

    Raises:
        MalformedBody: the event says that its body is base64, and it is not.
    """
    text = event.raw_event.get("body") or ""
    if not event.raw_event.get("isBase64Encoded"):
        return text.encode("utf-8", "surrogatepass")
    try:
        return b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise MalformedBody("The event's body is marked as base64 but is not.") from error


def content_type(event: BaseProxyEvent) -> str:
    """The media type in lower case, without parameters; empty where none is given."""
    for name, value in (event.raw_event.get("headers") or {}).items():
        if name.lower() == "content-type":
            return str(value).split(";")[0].strip().lower()
    return ""


def query(event: BaseProxyEvent) -> Mapping[str, Sequence[str]]:
    """The query's values by name.

    Version 2 joins repeated values with commas, which labels may hold themselves: its raw query is parsed instead.
    """
    if is_version_2(event.raw_event):
        return parse_qs(event.raw_event.get("rawQueryString") or "", keep_blank_values=True)
    return event.raw_event.get("multiValueQueryStringParameters") or {}
