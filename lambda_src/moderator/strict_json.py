"""JSON as RFC 8259 has it: no NaN, no infinity, no key twice, no depth that exhausts the stack."""

from __future__ import annotations

import json
from typing import Any


class RepeatedKeyError(ValueError):
    """An object has a key twice, so that one of the two values would be lost in silence."""

    def __init__(self, key: str) -> None:
        super().__init__(f"{key!r} is given twice")
        self.key = key


def loads(text: str | bytes) -> Any:
    """Parse `text`; bytes must be UTF-8.

    Raises:
        RepeatedKeyError: an object has a key twice.
        ValueError: anything else that is not JSON.
    """
    try:
        if isinstance(text, bytes):
            text = text.decode("utf-8")
        return json.loads(text, object_pairs_hook=_object, parse_constant=_refuse_constant)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


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
