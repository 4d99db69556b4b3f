"""Reads what adapters have in common of a request: the body, and the query of the address."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from moderator import strict_json
from moderator.errors import InvalidField, MalformedBody, TooMuch
from moderator.label_text import fault_of
from moderator.question import Limits
from moderator.web.answers.adapter import Parameter
from moderator.web.http_event import Request
from moderator.web.quoting import kind_of, readable

Text = TypeVar("Text", bound=str)


def repeated(value: object, field: str, *, missing: str) -> str:
    """Return a client's own word, which the answer repeats; `missing` where it gives none.

    Raises:
        InvalidField: it is not a text, or not one that an answer can carry.
    """
    if value is None or value == "":
        return missing
    if not isinstance(value, str):
        raise InvalidField(f"{field} is {kind_of(value)}: it must be a string.", field=field)
    if fault := fault_of(value):
        raise InvalidField(f"{field} {fault}.", field=field)
    return value


def read_object(request: Request, limits: Limits) -> dict[str, Any]:
    """Read a body that is a JSON object.

    Raises:
        MalformedBody: it is not JSON.
        InvalidField: it is not an object, or names a field twice.
        TooMuch: it has more bytes or values than allowed.
    """
    body = read_body(request, limits)
    if not body.strip():
        raise MalformedBody("The body is empty: it must be a JSON object.")
    try:
        content = strict_json.loads(body)
    except strict_json.RepeatedKeyError as error:
        raise InvalidField(
            f"{readable(error.key)} is given twice: give each field once.", field=_plain(error.key)
        ) from error
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


def check_query(request: Request, parameters: Sequence[Parameter]) -> None:
    """Refuse a name in the query that means nothing or is given twice; a gateway's token may stand there.

    Raises:
        InvalidField: there is one, or one has no value.
    """
    names = [parameter.name for parameter in parameters]
    unknown = next((name for name in request.query if name not in (*names, "token")), None)
    if unknown is not None:
        known = ", ".join(names) or "none"
        raise InvalidField(
            f"{readable(unknown)} in the query is not a field of this request: it takes {known}.", field=_plain(unknown)
        )
    for name in names:
        values = request.query.get(name)
        if values is not None and (len(values) != 1 or not values[0]):
            raise InvalidField(
                f"{name} in the query is {'empty' if values == [''] else 'given twice'}: give one value.", field=name
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
        raise InvalidField(
            f"{name} in the query is {shown}: it must be {' or '.join(choices)}, given once.", field=name
        )
    return chosen


def _plain(name: str) -> str:
    """Return a client's word as a name that any answer can carry."""
    return readable(name)[1:-1]
