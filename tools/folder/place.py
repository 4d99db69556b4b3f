"""Where a folder's verdicts go: a place that is this folder's alone, so that a run never drops another's work."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tools.files import printable
from tools.whole_file import write_whole

VERDICTS, PAGE = "verdicts.jsonl", "index.html"
_OWNER = "folder.json"
_LOOKED_AT = 1000  # lines, and of these so many files whose bytes are compared
_COMPARED = 20


class PlaceError(Exception):
    """The place holds what is not this folder's, or cannot be written; the message says what would be right."""


def default_place(folder: Path) -> Path:
    """Return where a folder's verdicts go if nothing else is asked: two folders of one name have two places."""
    whole = folder.resolve()
    return Path("build/moderate") / f"{whole.name}-{hashlib.sha256(os.fsencode(whole)).hexdigest()[:8]}"


def take_place(out: Path, folder: Path) -> None:
    """Make `out` this folder's, and write down that it is.

    A folder that was moved keeps its verdicts. One that is merely not there, such as a disk's, keeps them too: a folder
    without any of its pictures is another.

    Raises:
        PlaceError: another folder's verdicts are in it, or verdicts that were not written here, or it cannot be made.
    """
    owner, whole = out / _OWNER, folder.resolve()
    strange = [out / name for name in (VERDICTS, PAGE) if not owner.is_file() and (out / name).exists()]
    before = _folder_in(owner)
    if before is None and owner.is_file() and owner.stat().st_size:
        strange.append(owner)
    if strange:
        raise PlaceError(
            f"{_said(strange[0])} was not written by this command, which would write over it: choose another OUT."
        )
    moved = before is not None and not before.is_dir() and _has_pictures_of(out / VERDICTS, whole)
    if before and not moved and not (before.is_dir() and before.samefile(whole)):
        raise PlaceError(
            f"{_said(out)} holds the verdicts of {_said(before)}, which judging {_said(whole)} would drop: "
            "choose another OUT for each folder, or leave it out."
        )
    if before != whole:
        try:
            out.mkdir(parents=True, exist_ok=True)
            write_whole(owner, json.dumps({"folder": str(whole)}) + "\n")
        except OSError as error:
            raise PlaceError(f"{_said(out)} cannot be written: {error.strerror}. Choose another OUT.") from error


def _folder_in(owner: Path) -> Path | None:
    try:
        return Path(json.loads(owner.read_text(encoding="utf-8"))["folder"])
    except (FileNotFoundError, NotADirectoryError, ValueError, TypeError, KeyError):
        return None  # an older version that was cut off may have left it empty: nothing was judged by then


def _has_pictures_of(verdicts: Path, folder: Path) -> bool:
    """Return whether one of the first verdicts is of a file that this folder has, or there are no verdicts to lose.

    By its bytes: cameras name files alike.
    """
    if not verdicts.is_file():
        return True
    with verdicts.open(encoding="utf-8", errors="replace") as lines:
        first = [source for line in itertools.islice(lines, _LOOKED_AT) if (source := _source_in(line))]
    there = (source for source in first if (folder / str(source.get("path"))).is_file())
    return not first or any(_is_of(source, folder) for source in itertools.islice(there, _COMPARED))


def _is_of(source: Mapping[str, Any], folder: Path) -> bool:
    try:
        with (folder / str(source["path"])).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == source.get("sha256")
    except OSError:
        return False


def _source_in(line: str) -> dict[str, Any] | None:
    try:
        source = json.loads(line)["source"]
    except (ValueError, TypeError, KeyError):
        return None  # the last line of a run that was cut off
    return source if isinstance(source, dict) and source.get("path") else None


def _said(path: Path) -> str:
    return printable(str(path))
