"""Says whether a request's token is one of those that are known; a Lambda of its own, before the service.

API Gateway asks with an event of payload format 2.0 and takes a simple response. The token is taken from
`identitySource` and from nowhere else: it is what the answer is kept under, so an answer can never be given for one
token and kept for another. Only SHA-256 hashes are known here; the log has a token's name, never its value.
https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-lambda-authorizer.html
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

_REFUSED: dict[str, Any] = {"isAuthorized": False}

Handler = Callable[[Mapping[str, Any], Any], dict[str, Any]]


def build_handler(hashes: Mapping[str, str], *, equal: Callable[[bytes, bytes], bool] = hmac.compare_digest) -> Handler:
    """Build the handler that knows `hashes`: by a token's name, its SHA-256 in hexadecimal; `equal` compares two.

    Raises:
        ValueError: there are none, or one is not a SHA-256; the message names it.
    """
    if not hashes:
        raise ValueError("TOKEN_HASHES is empty: it must have the SHA-256 of one token at least.")
    known = {}
    for name, digest in hashes.items():
        try:
            known[name] = bytes.fromhex(digest)
        except (TypeError, ValueError):
            known[name] = b""
        if len(known[name]) != hashlib.sha256().digest_size:
            raise ValueError(f"TOKEN_HASHES has {name!r} with no SHA-256: it must be 64 hexadecimal digits.")

    def handle(event: Mapping[str, Any], _: Any) -> dict[str, Any]:
        token = _token(event)
        if token is None:
            return _REFUSED
        given = hashlib.sha256(token.encode(errors="replace")).digest()
        # Every one is compared, so that the time says nothing about which, or how much of one, was right.
        names = [name for name, digest in known.items() if equal(given, digest)]
        if not names:
            print(json.dumps({"message": "refused", "route": str(event.get("routeKey"))}))
            return _REFUSED
        # The access log takes the name from the context.
        return {"isAuthorized": True, "context": {"tokenName": names[0]}}

    return handle


def _token(event: Mapping[str, Any]) -> str | None:
    """Return the token of the header or of the query; None where there is no single one."""
    sources = event.get("identitySource")
    if not isinstance(sources, list) or len(sources) != 1 or not isinstance(sources[0], str):
        return None
    scheme, space, rest = sources[0].strip().partition(" ")
    if not space:
        return scheme or None
    return rest.strip() if scheme.lower() == "bearer" else None


@cache
def _configured() -> Handler:
    return build_handler(json.loads(os.environ.get("TOKEN_HASHES", "{}")))


def handler(event: Mapping[str, Any], context: Any) -> dict[str, Any]:
    """Answer API Gateway, by the hashes in TOKEN_HASHES."""
    return _configured()(event, context)
