"""What an adapter is made of: it lets another service's clients ask here, in that service's own form.

A module of this folder that has an `ADAPTER` reads a request as a question about pictures, and writes what was found
as its client expects it. Errors too, so that none reads as "safe". It does not judge: `web/clients.py` asks those who
do. The table of routes (`web/routes.py`) finds such modules by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from moderator.classifier import Answer
from moderator.clip.model import Model
from moderator.errors import InvalidField, RequestError
from moderator.labels.label_sets import LabelSet
from moderator.pictures.batch import Picture
from moderator.policy.policy import Action, Policy
from moderator.policy.verdict import Verdict
from moderator.question import Limits
from moderator.web.buckets import Buckets
from moderator.web.http_event import Request, Response
from moderator.web.quoting import readable

# Of one picture: what a policy says of it, how probable a label set's labels are, or why neither is known.
Outcome = Verdict | Answer | RequestError

Named = TypeVar("Named", Policy, LabelSet)

# The actions that may be the mildest that counts as a yes.
LEAST_FLAGGED: tuple[Action, ...] = ("review", "block")


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
class Parameter:
    """What may stand in the query of the address that a client is configured with."""

    name: str
    description: str
    choices: tuple[str, ...] = ()  # none: any text


FLAG = Parameter(name="flag", description="The mildest action that counts as a yes.", choices=LEAST_FLAGGED)
POLICY = Parameter(name="policy", description="The name of a policy.")


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where clients ask: a path, what they send there, and how the OpenAPI document describes it."""

    path: str
    summary: str
    takes: str = "application/json"  # the media type of the requests
    header: str = ""  # only of requests that have this one; in lower case
    query: tuple[Parameter, ...] = ()
    example: Mapping[str, Any] | None = None  # of a request in JSON


@dataclass(frozen=True, kw_only=True)
class Adapter:
    """Another service's form."""

    places: tuple[Place, ...]
    read: Callable[[Request, Known], Asked]  # raises RequestError
    write: Callable[[Asked, Sequence[Outcome], Model], Response]  # raises RequestError
    refuse: Callable[[Request, RequestError | None], Response]  # None: a bug of ours
    # Whether the others are answered when one picture cannot be read; otherwise the whole request is an error.
    picture_by_picture: bool


def _find(configured: Mapping[str, Named], name: str, kind: str, kinds: str) -> Named:
    if name not in configured:
        known = ", ".join(configured) or "none"
        raise NotConfigured(f"The {kind} {readable(name)} is not configured: the {kinds} are {known}.")
    return configured[name]
