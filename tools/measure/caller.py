"""Asks the service over HTTP and times it; whatever is not an answer becomes a sentence."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from tools.measure.access import Access
from tools.measure.trouble import Trouble

# A cold start with its image not yet at hand may take long; API Gateway itself answers after 30 s.
_SECONDS = 40


@dataclass(frozen=True, kw_only=True)
class Answer:
    """An answer with status 200."""

    headers: dict[str, str]  # names in lower case
    body: bytes
    seconds: float  # from the request's first byte to the answer's last

    def json(self) -> Any:
        """Return what the body holds.

        Raises:
            Trouble: no JSON object, so that it is no answer of this service.
        """
        try:
            found = json.loads(self.body)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise Trouble("Somebody answers at this URL, but not as this service does: take `pulumi stack output url`.")
        return found

    @property
    def label_cache(self) -> dict[str, int]:
        """Where the labels came from, by `X-Label-Cache`."""
        pairs = (pair.split("=") for pair in self.headers.get("x-label-cache", "").split(", ") if "=" in pair)
        return {name: int(count) for name, count in pairs}

    @property
    def service_ms(self) -> float:
        """What the service says that it took, by `Server-Timing`."""
        return float(self.headers.get("server-timing", "dur=nan").rpartition("dur=")[2])


@dataclass
class Caller:
    """One connection to the service, kept open; not for several threads at once."""

    url: str  # without a slash at its end
    access: Access
    _connection: http.client.HTTPConnection | None = field(default=None, init=False)

    def another(self) -> Caller:
        """Return a caller with a connection of its own."""
        return Caller(self.url, self.access)

    def connect(self) -> http.client.HTTPConnection:
        """Open the connection, unless it is open.

        Raises:
            Trouble: nobody is there.
        """
        parts = urlsplit(self.url)
        if self._connection is None:
            of_scheme = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
            connection = of_scheme(parts.hostname or "", parts.port, timeout=_SECONDS)
            try:
                connection.connect()
            except socket.gaierror:
                raise Trouble(f"There is no host {parts.hostname}: take `pulumi stack output url`.") from None
            except ssl.SSLError as error:
                raise Trouble(f"{parts.hostname} has no certificate that can be trusted: {error}.") from None
            except OSError as error:
                raise Trouble(f"Nobody answers at {parts.netloc}: {error}.") from None
            self._connection = connection
        return self._connection

    def close(self) -> None:
        """Close the connection; the next request opens another one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def get(self, target: str) -> Answer:
        """Ask by GET; as `ask`."""
        return self.ask("GET", target, b"", {})

    def ask(self, method: str, target: str, body: bytes, headers: dict[str, str]) -> Answer:
        """Ask for `target`, a path and a query.

        Raises:
            Trouble: there is no answer, or its status is not 200.
        """
        connection = self.connect()
        parts = urlsplit(self.url)
        all_headers = self.access.sign(method, self.url + target, body, headers)
        began = time.perf_counter()
        try:
            connection.request(method, parts.path + target, body or None, all_headers)
            response = connection.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise Trouble(f"{parts.netloc} broke off without an answer to {method} {target[:60]}: {error!r}.") from None
        seconds = time.perf_counter() - began
        if response.will_close:
            self.close()
        if response.status != 200:
            self.close()
            raise Trouble(self._why(response.status, content, f"{method} {target.partition('?')[0]}"))
        found = {name.lower(): value for name, value in response.getheaders()}
        return Answer(headers=found, body=content, seconds=seconds)

    def _why(self, status: int, content: bytes, asked: str) -> str:
        said = " ".join(content.decode(errors="replace").split())[:200]
        if status in (401, 403):
            return f"{asked} was refused with {status}: {self.access.refused}."
        if status == 404:
            return f"{asked} was answered 404: this is not the URL of the service; take `pulumi stack output url`."
        if status == 429:
            return f"{asked} was answered 429: more requests than the stack's `throttleRate` and `throttleBurst` allow."
        if status == 503:
            return (
                f"{asked} was answered 503: the account's concurrent executions are used up, or a start failed; {said}"
            )
        if status >= 500:
            return f"{asked} was answered {status}: the service failed, and its log says why (`aws logs tail`); {said}"
        return f"{asked} was answered {status}: {said}"


def address(url: str) -> str:
    """Return the service's address without what does not belong to it.

    Raises:
        Trouble: it is no address.
    """
    parts = urlsplit(url.strip())
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise Trouble(f"URL={url} is no address: it looks like https://... and is what `pulumi stack output url` says.")
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"
