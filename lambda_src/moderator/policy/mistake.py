"""What is wrong with a policy's JSON: the field, and the rest of the sentence that begins with its name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic_core import ErrorDetails

_LONGEST_QUOTE = 40

Steps = tuple[str | int, ...]  # from the policy down to the field, as pydantic gives them


class PolicyMistake(Exception):
    """A policy is not valid; `file.py` says whose it is: the configuration's or a request's."""

    def __init__(self, steps: Steps, sentence: str) -> None:
        super().__init__(sentence)
        self.steps = steps
        self.sentence = sentence

    def under(self, *parents: str) -> str:
        """Name the field below `parents` (none for a file), and say what is wrong with it."""
        return f"{field(*parents, *self.steps) or 'the policy'} {self.sentence}"


def field(*steps: str | int) -> str:
    """Write steps as one would in a program: `categories['hate symbols'].labels[0]`."""
    written = ""
    for step in steps:
        if isinstance(step, str) and step.isidentifier() and len(step) <= _LONGEST_QUOTE:
            written += f".{step}" if written else step
        else:
            written += f"[{readable(step)}]" if written else readable(step)
    return written


def pattern(steps: Sequence[str | int]) -> str:
    """Name the kind of field: `categories.*.labels.#` for `categories.weapons.labels[0]`."""
    kinds: list[str] = []
    for step in steps:
        kinds.append("#" if isinstance(step, int) else "*" if kinds[-1:] == ["categories"] else step)
    return ".".join(kinds)


def from_pydantic(error: ErrorDetails, must: Mapping[str, str], fields: Mapping[str, Sequence[str]]) -> PolicyMistake:
    """Turn an error of pydantic's into a sentence.

    Args:
        error: the first that pydantic found.
        must: what each kind of field must be.
        fields: the fields of each kind of object.
    """
    steps: Steps = error["loc"]
    value = error["input"]
    if error["type"] == "string_unicode":
        # A name that is not Unicode cannot be written, so the object that holds it is named.
        place = steps[:-2] if steps[-1:] == ("[key]",) else steps
        return PolicyMistake(place, "has half a surrogate pair (such as \\ud83d alone): write whole characters")
    if steps[-1:] == ("[key]",):
        return PolicyMistake(
            steps[:-2], f"has the name {readable(value)}: it must be {must[pattern(steps[:-1]) + '?']}"
        )
    match error["type"]:
        case "extra_forbidden":
            known = ", ".join(fields[pattern(steps[:-1])])
            return PolicyMistake(steps, f"is not a field: the fields of {field(*steps[:-1]) or 'a policy'} are {known}")
        case "missing":
            return PolicyMistake(steps, f"is missing: it must be {must[pattern(steps)]}")
        case "string_too_long":
            most = error["ctx"]["max_length"]
            return PolicyMistake(steps, f"has {len(value):,} characters: at most {most:,} are allowed")
        case _:
            return PolicyMistake(steps, f"is {readable(value)}: it must be {must[pattern(steps)]}")


def readable(value: Any) -> str:
    """Quote what was found, shortened and with nothing that UTF-8 cannot carry; only name a list or an object."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case list():
            return "a list" if value else "an empty list"
        case dict():
            return "an object" if value else "an empty object"
        case str():
            quote = value if len(value) <= _LONGEST_QUOTE else f"{value[:_LONGEST_QUOTE]}…"
            return repr(quote.encode("utf-8", "replace").decode())
        case _:
            number = repr(value)
            return number if len(number) <= _LONGEST_QUOTE else f"{number[:_LONGEST_QUOTE]}…"
