"""JSON as RFC 8259 has it: no NaN, no infinity, no key twice, no depth that exhausts the stack."""

from __future__ import annotations

import json
from typing import Any

# Of all objects together. The largest request, a thousand labels with their categories, has a fiftieth of it; each key
# costs hundreds of bytes of memory, and a short body holds half a million.
MOST_KEYS = 50_000


class TooManyKeysError(ValueError):
    """The objects have more keys than any request needs."""

    def __init__(self) -> None:
        super().__init__(f"more than {MOST_KEYS:,} fields")


class RepeatedKeyError(ValueError):
    """An object has a key twice, so that one of the two values would be lost in silence."""

    def __init__(self, key: str) -> None:
        super().__init__(f"{key!r} is given twice")
        self.key = key


def loads(text: str | bytes) -> Any:
    """Parse `text`; bytes must be UTF-8.

    Raises:
        RepeatedKeyError: an object has a key twice.
        TooManyKeysError: all objects together have more than `MOST_KEYS`.
        ValueError: anything else that is not JSON.
    """
    try:
        if isinstance(text, bytes):
            text = text.decode("utf-8")
        return json.loads(text, object_pairs_hook=_Objects(), parse_constant=_refuse_constant)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


class _Objects:
    """Makes the objects of one text, and counts their keys."""

    def __init__(self) -> None:
        self._keys = 0

    def __call__(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        self._keys += len(pairs)
        if self._keys > MOST_KEYS:
            raise TooManyKeysError
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
