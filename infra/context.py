"""The files that an image is built from, and one hash over them.

Reads the part of `.dockerignore`'s language that ours uses: names, `*`, `**/` in front and `!` exceptions, the last
match winning. https://docs.docker.com/build/concepts/context/#dockerignore-files
"""

from __future__ import annotations

import hashlib
import re
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path


def context_files(context: Path) -> list[Path]:
    """List the files that a build of `context` is sent, sorted, relative to it."""
    rules = list(_rules((context / ".dockerignore").read_text(encoding="utf-8")))
    files = (path.relative_to(context) for path in context.rglob("*") if path.is_file())
    return sorted(path for path in files if not _is_ignored(path, rules))


def context_hash(context: Path, build_arguments: Mapping[str, str]) -> str:
    """Hash what decides an image: the files that its build is sent, with their names, and the build's arguments.

    Answers the first 16 hexadecimal digits of a SHA-256, which is enough of a tag to be unique in one repository.
    """
    digest = hashlib.sha256()
    for key, value in sorted(build_arguments.items()):
        digest.update(f"{key}={value}\0".encode())
    for path in context_files(context):
        file = context / path
        content = hashlib.sha256(file.read_bytes()).hexdigest()
        # The builder looks at permissions too: a build that it repeats must not meet an immutable tag.
        digest.update(f"{path.as_posix()}\0{stat.S_IMODE(file.stat().st_mode):o}\0{content}\0".encode())
    return digest.hexdigest()[:16]


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
