"""Where a folder's verdicts go: a place that is this folder's alone, so that a run never drops another's work."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

from tools.files import printable

VERDICTS, PAGE = "verdicts.jsonl", "index.html"
_OWNER = "folder.json"


class PlaceError(Exception):
    """The place holds what is not this folder's, or cannot be written; the message says what would be right."""


def default_place(folder: Path) -> Path:
    """Return where a folder's verdicts go if nothing else is asked: two folders of one name have two places."""
    whole = folder.resolve()
    return Path("build/moderate") / f"{whole.name}-{hashlib.sha256(os.fsencode(whole)).hexdigest()[:8]}"


def take_place(out: Path, folder: Path) -> None:
    """Make `out` this folder's, and write down that it is.

    A folder that was moved keeps its verdicts: `out` is another folder's only as long as that one is there.

    Raises:
        PlaceError: another folder's verdicts are in it, or verdicts that were not written here, or it cannot be made.
    """
    owner, whole = out / _OWNER, folder.resolve()
    if not owner.is_file() and (out / VERDICTS).exists():
        raise PlaceError(
            f"{_said(out / VERDICTS)} was not written by this command, which would write over it: choose another OUT."
        )
    before = _folder_in(owner)
    if before and before.is_dir() and not before.samefile(whole):
        raise PlaceError(
            f"{_said(out)} holds the verdicts of {_said(before)}, which judging {_said(whole)} would drop: "
            "choose another OUT for each folder, or leave it out."
        )
    if before != whole:
        try:
            out.mkdir(parents=True, exist_ok=True)
            owner.write_text(json.dumps({"folder": str(whole)}) + "\n", encoding="utf-8")
        except OSError as error:
            raise PlaceError(f"{_said(out)} cannot be written: {error.strerror}. Choose another OUT.") from error


def _folder_in(owner: Path) -> Path | None:
    try:
        return Path(json.loads(owner.read_text(encoding="utf-8"))["folder"])
    except (FileNotFoundError, NotADirectoryError, ValueError, TypeError, KeyError):
        return None  # a run that was cut off may have left it empty: nothing was judged by then


def _said(path: Path) -> str:
    return printable(str(path))
