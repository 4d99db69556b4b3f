"""Names in an answer what a client sent: its texts, shortened, and its values by their kind."""

from __future__ import annotations

from typing import Any


def readable(text: str) -> str:
    """Quote a client's text in an answer: shortened, and with nothing that UTF-8 cannot carry."""
    shortened = text if len(text) <= 40 else f"{text[:40]}…"
    return repr(shortened.encode("utf-8", "replace").decode())


def kind_of(value: Any) -> str:
    """Name a JSON value's kind."""
    match value:
        case None:
            return "null"
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return "a string"
        case list():
            return "a list"
        case _:
            return "an object"
