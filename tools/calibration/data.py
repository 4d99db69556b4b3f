"""Labelled pictures: a folder for each category, or a table of paths and categories."""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from tools.files import find_pictures, printable

# The folder of pictures that show nothing the policy looks for, unless the policy has a category of this name.
NEUTRAL = "neutral"
_COLUMNS = ["path", "categories"]
_SEPARATOR = ";"


class DataError(Exception):
    """The labelled pictures cannot be used; the message says what would be right."""


@dataclass(frozen=True, kw_only=True)
class Labelled:
    """Which pictures there are, and what each shows."""

    folder: Path
    categories: dict[str, frozenset[str]]  # by path, relative to the folder, in order


def read_data(path: Path, known: Collection[str]) -> Labelled:
    """Read `path`, a folder or a CSV file.

    Args:
        path: a folder with one folder for each category, or a CSV file with the columns `path` (relative to the file)
            and `categories` (separated by semicolons; empty for none).
        known: the policy's categories.

    Raises:
        DataError: there are no pictures, or a category is not the policy's.
    """
    labelled = _from_table(path, known) if path.is_file() else _from_folders(path, known)
    if not labelled.categories:
        raise DataError(
            f"There are no pictures in {path}: put them into folders by category, such as {path}/{next(iter(known))}, "
            f"and those that show nothing of the kind into {path}/{NEUTRAL}."
        )
    return labelled


def _from_folders(folder: Path, known: Collection[str]) -> Labelled:
    try:
        found = find_pictures(folder)
    except NotADirectoryError as error:
        raise DataError(f"{folder} is neither a folder nor a CSV file.") from error
    categories = {}
    for path in found.paths:
        name, slash, _ = path.partition("/")
        if not slash:
            raise DataError(f"{printable(path)} is not in a category's folder: put it into one, or into {NEUTRAL}.")
        categories[path] = _checked([name], known, where=f"The folder {folder / printable(name)}")
    return Labelled(folder=folder, categories=categories)


def _from_table(path: Path, known: Collection[str]) -> Labelled:
    categories: dict[str, frozenset[str]] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file, strict=True)
            if rows.fieldnames is None or [name.strip() for name in rows.fieldnames] != _COLUMNS:
                raise DataError(f"{path} must begin with the line path,categories.")
            for row in rows:
                name, listed = row[rows.fieldnames[0]], row[rows.fieldnames[1]]
                where = f"{path}, line {rows.line_num}"
                if not name or listed is None or None in row:
                    raise DataError(
                        f"{where} must have a path and its categories, separated by semicolons; empty for none."
                    )
                names = [one.strip() for one in listed.split(_SEPARATOR) if one.strip()]
                # A picture that is listed twice belongs to all that it is listed for.
                categories[name] = categories.get(name, frozenset()) | _checked(names, known, where=where)
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} is not CSV in UTF-8: {error}.") from error
    return Labelled(folder=path.parent, categories=dict(sorted(categories.items())))


def _checked(names: Iterable[str], known: Collection[str], *, where: str) -> frozenset[str]:
    asked = frozenset(names)
    for name in sorted(asked - frozenset(known) - {NEUTRAL}):
        raise DataError(
            f"{where}: the policy has no category {printable(name)!r}. Its categories are {', '.join(sorted(known))}; "
            f"what shows none of them is {NEUTRAL}."
        )
    return asked & frozenset(known)
