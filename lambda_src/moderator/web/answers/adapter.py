"""What an adapter is made of: it lets another service's clients ask here, in that service's own form.

A module of this folder reads a request as a question about pictures, and writes what was found as its client expects
it. Errors too, so that none reads as "safe". It does not judge: `web/clients.py` asks those who do.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from moderator import strict_json
from moderator.classifier import Answer
from moderator.clip.model import Model
from moderator.errors import InvalidField, MalformedBody, RequestError, TooMuch
from moderator.label_text import fault_of
from moderator.labels.label_sets import LabelSet
from moderator.pictures.batch import Picture
from moderator.policy.policy import ACTIONS, Action, Policy
from moderator.policy.verdict import Verdict
from moderator.question import Limits
from moderator.web.buckets import Buckets
from moderator.web.http_event import Request, Response
from moderator.web.payload import kind_of, readable

# Of one picture: what a policy says of it, how probable a label set's labels are, or why neither is known.
Outcome = Verdict | Answer | RequestError

Named = TypeVar("Named", Policy, LabelSet)
Text = TypeVar("Text", bound=str)


@dataclass(frozen=True, kw_only=True)
class Known:
    """What a request may name, and the defaults where it names nothing."""

    policies: Mapping[str, Policy]
    label_sets: Mapping[str, LabelSet]
    limits: Limits
    default_policy: str
    default_label_set: str
    buckets: Buckets  # whose objects may stand for a picture
    flag_from: Action  # the mildest action that is a yes where a form knows only yes and no

    def policy(self, name: str | None = None) -> Policy:
        """Find a policy.

        Raises:
            NotConfigured: there is none of that name.
        """
        return _find(self.policies, name or self.default_policy, "policy", "policies")

    def label_set(self, name: str | None = None) -> LabelSet:
        """Find a label set.

        Raises:
            NotConfigured: there is none of that name.
        """
        return _find(self.label_sets, name or self.default_label_set, "label set", "label sets")


class NotConfigured(InvalidField):
    """No policy or label set has that name."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a request asks, and what its answer needs to know of it."""

    pictures: tuple[Picture | RequestError, ...]  # an error: that picture cannot even be taken out of the request
    by: Policy | LabelSet
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def policy(self) -> Policy:
        """The policy that was asked for, by an adapter that asks for no label set."""
        if not isinstance(self.by, Policy):
            raise TypeError("A label set was asked for.")
        return self.by


@dataclass(frozen=True, kw_only=True)
class Adapter:
    """Another service's form."""

    read: Callable[[Request, Known], Asked]  # raises RequestError
    write: Callable[[Asked, Sequence[Outcome], Model], Response]  # raises RequestError
    refuse: Callable[[Request, RequestError | None], Response]  # None: a bug of ours
    # Whether the others are answered when one picture cannot be read; otherwise the whole request is an error.
    picture_by_picture: bool


def verdict_of(outcome: Outcome) -> Verdict:
    """Return what a policy says of a picture.

    Raises:
        RequestError: the picture could not be judged.
    """
    if isinstance(outcome, RequestError):
        raise outcome
    if not isinstance(outcome, Verdict):
        raise TypeError("A label set was asked for.")
    return outcome


def repeated(value: object, field: str, *, missing: str) -> str:
    """Return a client's own word, which the answer repeats; `missing` where it gives none.

    Raises:
        InvalidField: it is not a text, or not one that an answer can carry.
    """
    if value is None or value == "":
        return missing
    if not isinstance(value, str):
        raise InvalidField(f"{field} is {kind_of(value)}: it must be a string.")
    if fault := fault_of(value):
        raise InvalidField(f"{field} {fault}.")
    return value


def read_object(request: Request, limits: Limits) -> dict[str, Any]:
    """Read a body that is a JSON object.

    Raises:
        MalformedBody: it is not JSON.
        InvalidField: it is not an object, or names a field twice.
        TooMuch: it has more bytes or values than allowed.
    """
    try:
        content = strict_json.loads(read_body(request, limits))
    except strict_json.RepeatedKeyError as error:
        raise InvalidField(f"{readable(error.key)} is given twice: give each field once.") from error
    except strict_json.TooManyValuesError as error:
        raise TooMuch(f"The body has {error}: no request needs that many.") from error
    except ValueError as error:
        raise MalformedBody(f"The body is not JSON ({error}).") from error
    if not isinstance(content, dict):
        raise InvalidField(f"The body is {kind_of(content)}: it must be an object.")
    return content


def read_body(request: Request, limits: Limits) -> bytes:
    """Read a request's bytes.

    Raises:
        TooMuch: there are more than allowed.
    """
    body = request.body()
    if len(body) > limits.body_bytes:
        raise TooMuch(f"The body has {len(body):,} bytes: at most {limits.body_bytes:,} are allowed.")
    return body


def check_query(request: Request, *names: str) -> None:
    """Refuse a name in the query that means nothing or is given twice; a gateway's token may stand there.

    Raises:
        InvalidField: there is one, or one has no value.
    """
    unknown = next((name for name in request.query if name not in (*names, "token")), None)
    if unknown is not None:
        known = f"the names are {', '.join(names)}" if names else "it takes none"
        raise InvalidField(f"{readable(unknown)} in the query is not a field of this request: {known}.")
    for name in names:
        values = request.query.get(name)
        if values is not None and (len(values) != 1 or not values[0]):
            raise InvalidField(
                f"{name} in the query is {'empty' if values == [''] else 'given twice'}: give one value."
            )


def choice(request: Request, name: str, choices: Sequence[Text], default: Text) -> Text:
    """Return what a field of the query chooses.

    Raises:
        InvalidField: it is none of the choices, or is given twice.
    """
    values = request.query.get(name, ())
    if not values:
        return default
    chosen = next((one for one in choices if [one] == list(values)), None)
    if chosen is None:
        shown = ", ".join(readable(value) for value in values)
        raise InvalidField(f"{name} in the query is {shown}: it must be {' or '.join(choices)}, given once.")
    return chosen


# The actions that may be the mildest that counts as a yes.
LEAST_FLAGGED: tuple[Action, ...] = ("review", "block")


def is_flagged(verdict: Verdict, least: Action) -> bool:
    """Return whether a verdict is a yes where there is only yes and no.

    A picture that only the sample sends to review is not: nothing was found in it.
    """
    return any(
        ACTIONS.index(reason.action) >= ACTIONS.index(least)
        for reason in verdict.reasons
        if reason.category != "sample"
    )


def as_json(content: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Write a JSON answer."""
    body = json.dumps(content, ensure_ascii=False, allow_nan=False)
    return Response(status=status, body=body, content_type="application/json", headers=headers or {})


def _find(configured: Mapping[str, Named], name: str, kind: str, kinds: str) -> Named:
    if name not in configured:
        known = ", ".join(configured) or "none"
        raise NotConfigured(f"The {kind} {readable(name)} is not configured: the {kinds} are {known}.")
    return configured[name]
