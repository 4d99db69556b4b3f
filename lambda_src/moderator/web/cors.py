"""Which web pages of other origins may read the answers: the fetch standard's CORS protocol."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from moderator.errors import ConfigurationError

_LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, kw_only=True)
class Cors:
    """The origins that are let in."""

    everybody: bool = False
    localhost: bool = False  # on any port
    origins: frozenset[str] = frozenset()

    def headers(self, request_headers: Mapping[str, str]) -> dict[str, str]:
        """Return what an answer to this request says to the browser; names are in lower case."""
        origin = request_headers.get("origin")
        if origin is None or not self._allows(origin):
            return {} if self.everybody else {"Vary": "Origin"}
        return {
            "Access-Control-Allow-Origin": "*" if self.everybody else origin,
            "Access-Control-Expose-Headers": "Retry-After, Server-Timing, X-Label-Cache",
        } | ({} if self.everybody else {"Vary": "Origin"})

    def preflight_headers(self, request_headers: Mapping[str, str]) -> dict[str, str]:
        """Return what to tell a browser that asks before it sends a page's request."""
        headers = self.headers(request_headers)
        if "Access-Control-Allow-Origin" not in headers:
            return headers
        return headers | {
            "Access-Control-Allow-Methods": "GET, HEAD, POST, OPTIONS",
            # Whatever headers a client library adds: none of them means anything here.
            "Access-Control-Allow-Headers": request_headers.get("access-control-request-headers", "*"),
            "Access-Control-Max-Age": "600",
        }

    def _allows(self, origin: str) -> bool:
        return self.everybody or origin in self.origins or (self.localhost and _is_local(origin))


def read_cors(text: str) -> Cors:
    """Read a setting: origins with commas or spaces between them, `localhost` for all of this machine, or `*`.

    Raises:
        ConfigurationError: one of them is not an origin.
    """
    words = set(text.replace(",", " ").split())
    for word in words - {"*", "localhost"}:
        scheme, _, rest = word.partition("://")
        if scheme not in ("http", "https") or not rest or any(sign in rest for sign in "/?#@*"):
            raise ConfigurationError(
                f"CORS_ORIGINS names {word!r}: an origin looks like https://example.org, without a path; "
                "localhost stands for every port of this machine, and * for everybody."
            )
    return Cors(everybody="*" in words, localhost="localhost" in words, origins=frozenset(words - {"*", "localhost"}))


def _is_local(origin: str) -> bool:
    try:
        parts = urlsplit(origin)
        host = parts.hostname or ""
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and (host in _LOCAL_HOSTS or host.endswith(".localhost"))
