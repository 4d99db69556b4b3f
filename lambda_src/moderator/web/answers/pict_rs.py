"""pict-rs' form (the picture store of Lemmy): `POST /hooks/pict-rs`, the upload itself as the body.

pict-rs accepts an upload on any 2xx and refuses it on anything else, a 5xx and 30 s without an answer included; it does
not read the answer's body. So an upload that cannot be judged is refused, unless the owner writes `on_error=allow` into
the URL: then it is accepted, with 202 instead of 200. Even so, a mistake in the URL refuses every upload: otherwise
nobody would notice it.
"""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus

from moderator.clip.model import Model
from moderator.errors import InvalidField, RequestError
from moderator.pictures.batch import Picture
from moderator.policy.policy import Action, Policy
from moderator.web.answers.adapter import LEAST_FLAGGED, POLICY, Adapter, Asked, Known, Outcome, Parameter, Place
from moderator.web.answers.reading import check_query, choice, read_body
from moderator.web.answers.writing import is_flagged, verdict_of
from moderator.web.http_event import Request, Response

_ON_ERROR = ("allow", "refuse")
_HOOK = Place(
    path="/hooks/pict-rs",
    summary="The external validation of pict-rs, Lemmy's picture store",
    takes="image/*",
    query=(
        POLICY,
        Parameter(name="refuse", description="The mildest action that refuses an upload.", choices=LEAST_FLAGGED),
        Parameter(name="on_error", description="What to do with an upload that cannot be judged.", choices=_ON_ERROR),
    ),
)


class WrongAddress(InvalidField):
    """The URL in pict-rs' configuration has a mistake."""


def read(request: Request, known: Known) -> Asked:
    """Read an upload; the URL says by which policy it is judged and what refuses it."""
    try:
        policy, least = _address(request, known)
    except InvalidField as error:
        raise WrongAddress(error.detail) from error
    picture = Picture(name="The upload", data=read_body(request, known.limits))
    return Asked(pictures=(picture,), by=policy, details={"least": least})


def write(asked: Asked, outcomes: Sequence[Outcome], _: Model) -> Response:
    """Accept or refuse the upload, with a sentence for whoever looks at the exchange."""
    (outcome,) = outcomes
    verdict = verdict_of(outcome, asked.details["least"])
    by = f"by the policy {asked.policy.name}, version {asked.policy.version}"
    if not is_flagged(verdict, asked.details["least"]):
        return _sentence(HTTPStatus.OK, f"Accepted {by}.")
    found = ", ".join(f"{one.category} ({one.action})" for one in verdict.reasons)
    return _sentence(HTTPStatus.NOT_ACCEPTABLE, f"Refused {by}: {found}.")


def refuse(request: Request, error: RequestError | None) -> Response:
    """Refuse what cannot be judged, or accept it where the URL says so."""
    status, why = (
        (HTTPStatus.INTERNAL_SERVER_ERROR, "The service failed; its log says why.")
        if error is None
        else (error.status, error.detail)
    )
    if not isinstance(error, WrongAddress) and request.query.get("on_error") == ["allow"]:
        return _sentence(HTTPStatus.ACCEPTED, f"Not judged, and accepted because of on_error=allow: {why}")
    return _sentence(status, f"Not judged, and refused: {why}")


ADAPTER = Adapter(places=(_HOOK,), read=read, write=write, refuse=refuse, picture_by_picture=False)


def _address(request: Request, known: Known) -> tuple[Policy, Action]:
    check_query(request, _HOOK.query)
    choice(request, "on_error", _ON_ERROR, "refuse")
    (name,) = request.query.get("policy") or (None,)
    return known.policy(name), choice(request, "refuse", LEAST_FLAGGED, known.flag_from)


def _sentence(status: HTTPStatus, text: str) -> Response:
    return Response(status=status, body=f"{text}\n", content_type="text/plain; charset=utf-8")
