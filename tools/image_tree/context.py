"""The files that an image is built from.

Reads the part of `.dockerignore`'s language that ours uses: names, `*`, `**/` in front and `!` exceptions, the last
match winning. https://docs.docker.com/build/concepts/context/#dockerignore-files
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path


def context_files(context: Path) -> list[Path]:
    """List the files that a build of `context` is sent, sorted, relative to it."""
    rules = list(_rules((context / ".dockerignore").read_text(encoding="utf-8")))
    files = (path.relative_to(context) for path in context.rglob("*") if path.is_file())
    return sorted(path for path in files if not _is_ignored(path, rules))


def _rules(text: str) -> Iterator[tuple[bool, re.Pattern[str]]]:
    for line in map(str.strip, text.splitlines()):
        if line and not line.startswith("#"):
            ignored = not line.startswith("!")
            yield ignored, re.compile(_expression(line.lstrip("!").strip("/")))


def _expression(pattern: str) -> str:
    if re.search(r"[\[\]?\\]|\*\*(?!/)", pattern):
        raise ValueError(f".dockerignore has {pattern!r}: only names, *, a leading **/ and ! are read here.")
    parts = [
        "(?:.*/)?" if part == "**/" else "[^/]*" if part == "*" else re.escape(part)
        for part in re.split(r"(\*\*/|\*)", pattern)
    ]
    # A pattern that matches a folder matches all that is in it.
    return "".join(parts) + "(?:/.*)?"


def _is_ignored(path: Path, rules: list[tuple[bool, re.Pattern[str]]]) -> bool:
    ignored = False
    for verdict, expression in rules:
        if expression.fullmatch(path.as_posix()):
            ignored = verdict
    return ignored
