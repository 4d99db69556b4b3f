"""A thin client of clip-video-moderator: pictures in, typed verdicts and probabilities out.

    with Client("https://….execute-api.eu-central-1.amazonaws.com", auth=Token("…")) as client:
        verdict = client.moderate("picture.jpg", policy="moderation")
        for picture, verdict in zip(paths, client.moderate_all(paths, policy="moderation")):
            ...

What is throttled (429), fails (5xx) or cannot be reached is asked again, after a wait that doubles and is drawn at
random, or that the service names; then it raises `Unavailable`. A mistake raises `Refused` at once. Nothing that was
not judged comes back as a verdict.
"""

from __future__ import annotations

import base64
import random
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from email.utils import parsedate_to_datetime
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import httpx2

Action = Literal["allow", "review", "block"]
Picture = bytes | str | PathLike[str]  # its bytes, or its path

# A Lambda takes 6 MB, in which a picture is base64 of base64; and API Gateway waits for 30 s.
MOST_BYTES = 3_300_000
MOST_PICTURES = 16
_LONGEST_WAIT = 20.0
_TOO_LARGE = 413
_AGAIN = frozenset({429, 500, 502, 503, 504})


class ModeratorError(Exception):
    """The service gave no answer."""


class Refused(ModeratorError):
    """The request has a mistake; asking again changes nothing. `detail` says what would be right."""

    def __init__(self, status: int, title: str, detail: str) -> None:
        super().__init__(f"{title} ({status}): {detail}")
        self.status = status
        self.title = title
        self.detail = detail


class Unavailable(ModeratorError):
    """The service could not be reached, or failed, however often it was asked."""


@dataclass(frozen=True, kw_only=True)
class Reason:
    """Why a picture is not simply allowed; a reason that is no category has neither score nor threshold nor label."""

    category: str
    action: Action
    score: float | None = None
    threshold: float | None = None
    label: str | None = None
    frame: int | None = None
    seconds: float | None = None


@dataclass(frozen=True, kw_only=True)
class Category:
    """What one category of the policy says."""

    score: float
    action: Action


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What the policy does with a picture, and why; `raw` is the service's answer."""

    action: Action
    reasons: tuple[Reason, ...]
    categories: Mapping[str, Category]
    policy: str | None
    version: str
    raw: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Classification:
    """How probable each label is; `raw` is the service's answer."""

    probabilities: Mapping[str, float]
    categories: Mapping[str, float] | None
    raw: Mapping[str, Any]

    @property
    def best(self) -> str:
        """The most probable label."""
        return max(self.probabilities, key=self.probabilities.__getitem__)


class Token(httpx2.Auth):
    """Sends a bearer token."""

    def __init__(self, token: str) -> None:
        self._token = token

    def auth_flow(self, request: httpx2.Request) -> Generator[httpx2.Request, httpx2.Response, None]:
        """Add the token."""
        request.headers["Authorization"] = f"Bearer {self._token}"
        yield request


class Sigv4(httpx2.Auth):
    """Signs requests with AWS' keys, found as every AWS tool finds them; needs the extra `aws`."""

    requires_request_body = True

    def __init__(self, region: str, *, service: str = "execute-api", profile: str | None = None) -> None:
        from botocore.session import Session

        self._session = Session(profile=profile)
        self._region = region
        self._service = service  # execute-api of an HTTP API, lambda of a function URL

    def auth_flow(self, request: httpx2.Request) -> Generator[httpx2.Request, httpx2.Response, None]:
        """Sign the request; the keys are read for each, as they may be temporary."""
        from botocore.auth import SigV4Auth
        from botocore.awsrequest import AWSRequest

        signed = AWSRequest(request.method, str(request.url), data=request.content)
        SigV4Auth(self._session.get_credentials(), self._service, self._region).add_auth(signed)
        request.headers.update(dict(signed.headers))
        yield request


class Client:
    """Asks one service; may be shared between threads."""

    def __init__(
        self,
        url: str,
        *,
        auth: httpx2.Auth | None = None,
        timeout: float = 35.0,
        attempts: int = 4,
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        if not url.startswith(("http://", "https://")):
            raise ValueError(f"{url!r} is not the address of a service: it must begin with https:// or http://.")
        self._http = httpx2.Client(base_url=url, auth=auth, timeout=timeout)
        self._attempts = attempts
        self._wait = wait

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def moderate(self, picture: Picture, *, policy: str | Mapping[str, Any], view: str | None = None) -> Verdict:
        """Judge one picture by a policy: a configured one's name, or a whole policy.

        Raises:
            Refused: the picture cannot be read, or the policy is wrong.
            Unavailable: the service gave no answer.
        """
        (verdict,) = self._moderate([_read(picture)], policy, view)
        return verdict

    def moderate_all(
        self, pictures: Iterable[Picture], *, policy: str | Mapping[str, Any], view: str | None = None
    ) -> Iterator[Verdict | Refused]:
        """Judge any number of pictures, in order, as many in a request as it may hold.

        A picture that is refused is answered by its `Refused`; the others of its request are judged all the same.

        Raises:
            Refused: the request itself is wrong, such as its policy or its token: no other picture would fare better.
            Unavailable: the service gave no answer.
            OSError: a path cannot be read.
        """
        for batch in _batches(map(_read, pictures)):
            try:
                yield from self._moderate(batch, policy, view)
            except Refused as refused:
                # A gateway that finds a request too large names no picture.
                if not refused.detail.startswith("images[") and refused.status != _TOO_LARGE:
                    raise
                if len(batch) == 1:
                    yield refused
                else:
                    for picture in batch:
                        yield self._moderate_one(picture, policy, view)

    def classify(self, picture: Picture, labels: Sequence[str] | Mapping[str, str] | str) -> Classification:
        """Say how probable each label is: a list, an object `{label: category}`, or the name of a label set.

        Raises:
            Refused: the picture or a label cannot be used.
            Unavailable: the service gave no answer.
        """
        field = "label_set" if isinstance(labels, str) else "labels"
        value = dict(labels) if isinstance(labels, Mapping) else labels if isinstance(labels, str) else list(labels)
        answer = self._ask("POST", "/classify", {"image_data": _base64(_read(picture)), field: value})
        with _known_form():
            return Classification(probabilities=answer["result"], categories=answer.get("categories"), raw=answer)

    def health(self) -> Mapping[str, Any]:
        """Return the service's model, and whether its store answers.

        Raises:
            Unavailable: the service gave no answer.
        """
        return self._ask("GET", "/health", None)

    def _moderate_one(self, picture: bytes, policy: Any, view: str | None) -> Verdict | Refused:
        try:
            (verdict,) = self._moderate([picture], policy, view)
        except Refused as refused:
            return refused
        return verdict

    def _moderate(self, pictures: Sequence[bytes], policy: Any, view: str | None) -> list[Verdict]:
        asked = {"images": [_base64(picture) for picture in pictures], "policy": policy, "view": view}
        answer = self._ask("POST", "/moderate", {name: value for name, value in asked.items() if value is not None})
        with _known_form():
            verdicts = [_verdict(one, answer["policy"]) for one in answer["results"]]
        if len(verdicts) != len(pictures):
            raise Unavailable(f"The service answered {len(verdicts)} of {len(pictures)} pictures.")
        return verdicts

    def _ask(self, method: str, path: str, body: Any) -> Mapping[str, Any]:
        """Ask until there is an answer, or until it has been asked often enough."""
        for attempt in range(self._attempts):
            try:
                response = self._http.request(method, path, json=body)
            except httpx2.TransportError as error:
                problem, named = f"{type(error).__name__}: {error}", None
            else:
                if response.is_success:
                    return _json(response)
                if response.status_code not in _AGAIN:
                    raise _refused(response)
                problem, named = f"status {response.status_code}", _retry_after(response)
            if attempt + 1 < self._attempts:
                # Drawn at random, or all clients of a service that comes back would ask it at once.
                drawn = random.uniform(0, min(_LONGEST_WAIT, 0.5 * 2**attempt))  # noqa: S311 - not for secrets
                self._wait(drawn if named is None else min(named, _LONGEST_WAIT) + drawn)
        raise Unavailable(f"{self._http.base_url} gave no answer, asked {self._attempts} times: {problem}.")


def _read(picture: Picture) -> bytes:
    return picture if isinstance(picture, bytes) else Path(picture).read_bytes()


def _batches(pictures: Iterable[bytes]) -> Iterator[list[bytes]]:
    batch: list[bytes] = []
    for picture in pictures:
        if batch and (len(batch) == MOST_PICTURES or sum(map(len, batch)) + len(picture) > MOST_BYTES):
            yield batch
            batch = []
        batch.append(picture)
    if batch:
        yield batch


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


@contextmanager
def _known_form() -> Iterator[None]:
    try:
        yield
    except (KeyError, TypeError, AttributeError) as error:
        raise Unavailable(
            f"The answer has a form that this client does not know ({error!r}): is it the service's?"
        ) from error


def _fields(kind: type[Reason | Category], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return those that this client knows: a newer service may send more."""
    return {field.name: given[field.name] for field in fields(kind) if field.name in given}


def _verdict(one: Mapping[str, Any], policy: Mapping[str, Any]) -> Verdict:
    return Verdict(
        action=one["verdict"],
        reasons=tuple(Reason(**_fields(Reason, reason)) for reason in one["reasons"]),
        categories={name: Category(**_fields(Category, found)) for name, found in one["categories"].items()},
        policy=policy["name"],
        version=policy["version"],
        raw=one,
    )


def _json(response: httpx2.Response) -> Mapping[str, Any]:
    try:
        answer = response.json()
    except ValueError as error:
        raise Unavailable(f"{response.url} answered what is not JSON: is it the service's address?") from error
    if not isinstance(answer, dict):
        raise Unavailable(f"{response.url} answered no JSON object: is it the service's address?")
    return answer


def _refused(response: httpx2.Response) -> Refused:
    try:
        problem = response.json()
    except ValueError:
        problem = {}
    problem = problem if isinstance(problem, dict) else {}
    # A gateway's own form has a message only.
    title = str(problem.get("title", response.reason_phrase))
    return Refused(
        response.status_code, title, str(problem.get("detail") or problem.get("message") or "no more is said")
    )


def _retry_after(response: httpx2.Response) -> float | None:
    """Read Retry-After: seconds, or a date."""
    text = response.headers.get("Retry-After", "")
    if text.isdigit():
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except ValueError:
        return None
