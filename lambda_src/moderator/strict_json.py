"""JSON as RFC 8259 has it: no NaN, no infinity, no key twice, no depth that exhausts the stack."""

from __future__ import annotations

import json
import re
from typing import Any

# Strings, and the marks that begin or separate values. The largest request, a thousand labels with their categories,
# has less than a tenth of this. A value can cost hundreds of bytes of memory, and a body can hold millions of values.
MOST_MARKS = 50_000
_MARKS = "[{,"
# Possessive, so that no state for backtracking is kept, however long the string is.
_STRING = re.compile(r'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)


class TooManyValuesError(ValueError):
    """There are more fields and values than any request needs."""

    def __init__(self) -> None:
        super().__init__("tens of thousands of fields or values")


class RepeatedKeyError(ValueError):
    """An object has a key twice, so that one of the two values would be lost in silence."""

    def __init__(self, key: str) -> None:
        super().__init__(f"{key!r} is given twice")
        self.key = key


def loads(text: str | bytes) -> Any:
    """Parse `text`; bytes must be UTF-8.

    Raises:
        RepeatedKeyError: an object has a key twice.
        TooManyValuesError: it has more than `MOST_MARKS` strings and marks.
        ValueError: anything else that is not JSON.
    """
    try:
        if isinstance(text, bytes):
            text = text.decode("utf-8")
        if _holds_too_many(text):
            raise TooManyValuesError
        return json.loads(text, object_pairs_hook=_object, parse_constant=_refuse_constant)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _holds_too_many(text: str) -> bool:
    """Count before anything is built: `json.loads` can turn ten megabytes into half a gigabyte."""
    if _marks(text, 0, len(text)) <= MOST_MARKS:  # strings' own content included: nearly always enough
        return False
    found = end = 0
    for string in _STRING.finditer(text):
        found += 1 + _marks(text, end, string.start())
        if found > MOST_MARKS:
            return True
        end = string.end()
    return found + _marks(text, end, len(text)) > MOST_MARKS


def _marks(text: str, start: int, end: int) -> int:
    return sum(text.count(mark, start, end) for mark in _MARKS)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    mapping = dict(pairs)
    if len(mapping) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise RepeatedKeyError(key)
            seen.add(key)
    return mapping


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number in JSON")
