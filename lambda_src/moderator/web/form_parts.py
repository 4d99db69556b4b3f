"""Takes a form (multipart/form-data, RFC 7578) apart; what its parts mean is left to others."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass

from moderator.errors import MalformedBody, RequestError, TooMuch


@dataclass(frozen=True, kw_only=True)
class Part:
    """One part of a form."""

    name: str
    filename: str | None  # None: a field, not a file
    content_type: str  # in lower case, without parameters
    data: bytes


def read_parts(body: bytes, content_type: str, *, most: int) -> Iterator[Part]:
    """Yield the form's parts in order.

    Args:
        body: the form; all of it is in memory already, and nothing is written to a disk.
        content_type: the request's, which names the boundary.
        most: how many parts are read.

    Raises:
        MalformedBody: it is not a form.
        TooMuch: it has more parts than that.
    """
    # Imported here: few requests are forms.
    from multipart import MultipartError, MultipartParser, parse_options_header

    boundary = parse_options_header(content_type)[1].get("boundary", "")
    if not boundary:
        raise MalformedBody("The Content-Type multipart/form-data lacks its boundary: let the HTTP client set it.")
    limit = len(body) + 1
    parser = MultipartParser(
        io.BytesIO(body), boundary, strict=True, part_limit=most, spool_limit=limit, memory_limit=limit
    )
    try:
        for part in parser:
            yield Part(
                name=part.name,
                filename=part.filename,
                content_type=(part.content_type or "").partition(";")[0].strip().lower(),
                data=part.raw,
            )
    except MultipartError as error:
        raise _problem(error, most) from error


def _problem(error: Exception, most: int) -> RequestError:
    from multipart import ParserLimitReached

    if isinstance(error, ParserLimitReached):
        return TooMuch(
            f"The form has too many parts, or too long a head ({error}): at most {most:,} parts are allowed."
        )
    return MalformedBody(f"The body is not a form ({error}): send multipart/form-data as RFC 7578 defines it.")
