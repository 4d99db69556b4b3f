"""One client's connection: reads requests and writes answers in HTTP/1.1, with one line in the log for each.

h11 knows the protocol, and is strict where leniency lets requests be smuggled past a proxy. What the answer is,
the gateway says.
"""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from email.utils import formatdate
from http import HTTPStatus

import h11

from moderator.errors import RequestError, TooMuch
from moderator.web.gateway import Gateway, Request, Response, answer_of_problem

# API Gateway's own limit: a client meets the same one here. https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html
MOST_BODY_BYTES = 10 * 1024 * 1024
_MOST_HEAD_BYTES = 64 * 1024
_LONG_HEAD = f"The first line and the headers may have at most {_MOST_HEAD_BYTES:,} bytes together."
_LONGEST_PATH = 100  # characters in the log
_RECEIVED_AT_ONCE = 256 * 1024
# Before closing, what still arrives is read and thrown away: otherwise the client's machine might discard our answer.
_LINGER_SECONDS = 2.0

Log = Callable[[str], None]


class UnreadableRequest(RequestError):
    """The bytes are not an HTTP request, or not one that all servers would read alike."""

    title = "Not an HTTP request that can be read"


class LongHead(RequestError):
    """The first line and the headers are longer than any client needs."""

    status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
    title = "The request's headers are too large"


class SlowRequest(RequestError):
    """The request does not arrive in time."""

    status = HTTPStatus.REQUEST_TIMEOUT
    title = "The request takes too long to arrive"


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long a client is waited for, in seconds."""

    idle: float = 60.0  # for the first byte of a request
    head: float = 20.0  # from the first byte to the last header
    body: float = 120.0  # for the whole body
    sending: float = 60.0  # for the answer to be taken


class Connection:
    """A connected client."""

    def __init__(self, client: socket.socket, asked: Gateway, *, patience: Patience, log: Log, most_bytes: int) -> None:
        self._client = client
        self._asked = asked
        self._most_bytes = most_bytes
        self._patience = patience
        self._log = log
        self._received = b""  # and not yet read

    def serve(self) -> None:
        """Answer one request after the other until either side ends the connection. A client may leave at any time."""
        try:
            # Each answer is sent in one piece: waiting for more to send with it gains nothing.
            self._client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while self._await_request():
                if not self._serve_one():
                    self._linger()
                    return
        except OSError:
            return

    def _await_request(self) -> bool:
        """Wait for a request's first byte; False where none comes."""
        until = time.monotonic() + self._patience.idle
        while not (rest := self._received.lstrip(b"\r\n")):
            try:
                self._received = self._receive(until)
            except SlowRequest:
                return False
            if not self._received:
                return False
        self._received = rest
        return True

    def _serve_one(self) -> bool:
        """Read and answer one request; False where the connection cannot be used for another one."""
        began = time.perf_counter()
        request = None
        http = h11.Connection(h11.SERVER, max_incomplete_event_size=_MOST_HEAD_BYTES)
        told = "(unreadable)"
        try:
            head = self._read_head(http)
            told = f"{head.method.decode()} {_shortened(head.target.decode().partition('?')[0])}"
            request = Request(
                method=head.method.decode(),
                target=head.target.decode(),
                headers=_joined(head),
                client=str(self._client.getpeername()[0]),
            )
            response = self._asked.answer(replace(request, body=self._read_body(http, head)))
        except h11.RemoteProtocolError as error:
            response = answer_of_problem(_refusal(error).problem(), close=True)
        except RequestError as error:
            # In another service's form, where its client sent too much.
            response = (
                self._asked.refuse(request, error)
                if request is not None and isinstance(error, TooMuch)
                else answer_of_problem(error.problem(), close=True)
            )
        gone = ""
        try:
            self._client.settimeout(self._patience.sending)
            self._client.sendall(_written(http, response))
        except OSError:
            gone = " (the client did not wait for it)"
            raise
        finally:
            milliseconds = (time.perf_counter() - began) * 1000
            reason = f"  {response.reason}" if response.reason else ""
            self._log(f"{told} {response.status} {milliseconds:.0f} ms{gone}{reason}")
        # The beginning of the next request, if the client sent it without waiting.
        self._received = http.trailing_data[0]
        return http.our_state is h11.DONE and http.their_state is h11.DONE

    def _read_head(self, http: h11.Connection) -> h11.Request:
        until = time.monotonic() + self._patience.head
        if self._received.startswith(b"\x16\x03"):
            raise UnreadableRequest("This is TLS, and this server speaks plain HTTP: ask with http://, not https://.")
        # h11 counts only what is incomplete, and a whole head may come at once.
        while b"\n" not in self._received and len(self._received) < _MOST_HEAD_BYTES:
            more = self._receive(until)
            if not more:
                raise UnreadableRequest("The request ends within its first line.")
            self._received += more
        # Browsers escape what is not ASCII in a target; people at a command line do not.
        line, end, rest = self._received.partition(b"\n")
        http.receive_data(re.sub(rb"[\x80-\xff]", lambda found: b"%%%02X" % found[0][0], line) + end + rest)
        while (event := http.next_event()) is h11.NEED_DATA:
            http.receive_data(self._receive(until))
        if not isinstance(event, h11.Request):
            raise UnreadableRequest("The request ends before its headers do.")
        if len(event.target) + sum(len(name) + len(value) + 4 for name, value in event.headers) > _MOST_HEAD_BYTES:
            raise LongHead(_LONG_HEAD)
        return event

    def _read_body(self, http: h11.Connection, head: h11.Request) -> bytes:
        names = {name for name, _ in head.headers}
        if {b"content-length", b"transfer-encoding"} <= names:
            raise UnreadableRequest("Content-Length and Transfer-Encoding exclude each other: send one of them.")
        announced = next((int(value) for name, value in head.headers if name == b"content-length"), 0)
        if announced > self._most_bytes:
            raise _too_large(f"{announced:,}", self._most_bytes)
        until = time.monotonic() + self._patience.body
        body = bytearray()
        while not isinstance(event := http.next_event(), h11.EndOfMessage):
            if isinstance(event, h11.Data):
                body += event.data
                if len(body) > self._most_bytes:
                    raise _too_large(f"more than {self._most_bytes:,}", self._most_bytes)
            else:
                if http.they_are_waiting_for_100_continue:
                    go_on = http.send(h11.InformationalResponse(status_code=100, headers=[], reason="Continue"))
                    self._client.sendall(go_on or b"")
                http.receive_data(self._receive(until))
        return bytes(body)

    def _receive(self, until: float) -> bytes:
        """Return what comes next; empty where the client has closed its side."""
        try:
            # A timeout of 0 means not to wait at all, and raises another error; so a late read waits a moment.
            self._client.settimeout(max(0.001, until - time.monotonic()))
            return self._client.recv(_RECEIVED_AT_ONCE)
        except TimeoutError:
            raise SlowRequest("The rest of the request did not arrive in time.") from None

    def _linger(self) -> None:
        self._client.shutdown(socket.SHUT_WR)
        until = time.monotonic() + _LINGER_SECONDS
        try:
            while self._receive(until):
                pass
        except SlowRequest:
            return


def _refusal(error: h11.RemoteProtocolError) -> RequestError:
    if error.error_status_hint == HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE:
        return LongHead(_LONG_HEAD)
    # h11 quotes the client's bytes, perhaps a header with a password: they stay out of the log.
    told = re.sub(r""": (bytearray\()?b['"].*""", "", str(error), flags=re.DOTALL)
    return UnreadableRequest(f"{told[0].upper()}{told[1:]}.")


def _shortened(path: str) -> str:
    return path if len(path) <= _LONGEST_PATH else f"{path[:_LONGEST_PATH]}…"


def _joined(head: h11.Request) -> Mapping[str, str]:
    """Return the headers with lower-case names; values of one name joined with commas, as API Gateway joins them."""
    headers: dict[str, str] = {}
    for name, value in head.headers:
        key, text = name.decode("ascii"), value.decode("latin-1")
        headers[key] = f"{headers[key]},{text}" if key in headers else text
    return headers


def _written(http: h11.Connection, response: Response) -> bytes:
    """Return the answer's bytes."""
    headers = [(name.encode(), value.encode("latin-1", "replace")) for name, value in response.headers.items()]
    headers.append((b"Date", formatdate(usegmt=True).encode()))
    if response.status != HTTPStatus.NO_CONTENT:
        headers.append((b"Content-Length", str(len(response.body)).encode()))
    reason = HTTPStatus(response.status).phrase.encode()
    sent = http.send(h11.Response(status_code=response.status, headers=headers, reason=reason)) or b""
    if not response.head_only:
        sent += http.send(h11.Data(data=response.body)) or b""
    return sent + (http.send(h11.EndOfMessage()) or b"")


def _too_large(told: str, most: int) -> TooMuch:
    return TooMuch(
        f"The body has {told} bytes: at most {most:,} are allowed. "
        "(Deployed on AWS, a picture may have about 4.5 MB: Lambda takes 6 MB, in base64.)"
    )
