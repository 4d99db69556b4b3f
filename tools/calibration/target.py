"""The file that a calibrated policy is written to: its name, and whether it may be written over."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from moderator.policy.form import LONGEST_NAME
from tools.calibration.data import DataError
from tools.calibration.policy_file import content_hash

# Of a file's name, with what is added to it: https://man7.org/linux/man-pages/man3/pathconf.3.html (NAME_MAX)
_MOST_BYTES = 238


def policy_path(folder: Path, name: str) -> Path:
    """Return where the policy `name` is written: `NAME.json` in `folder` itself.

    Raises:
        DataError: a policy cannot have this name.
    """
    if (
        not 0 < len(name) <= LONGEST_NAME
        or name != name.strip()
        or name.startswith(".")
        or not name.isprintable()
        or "/" in name
        or "\\" in name
        or len(name.encode()) > _MOST_BYTES
    ):
        raise DataError(
            f"{name!r} cannot be a policy's name (AS=, --name): it must be the name of a file, of 1 to {LONGEST_NAME} "
            "printable characters, without slashes and backslashes, a dot at its beginning and spaces at its ends."
        )
    return folder / f"{name}.json"


def check_free(path: Path, *, replace: bool) -> None:
    """Check that the policy's file does not exist, is as a calibration left it, or shall be replaced.

    Raises:
        DataError: somebody wrote it, or changed it since.
    """
    if replace or not path.exists() or _as_a_calibration_left_it(path):
        return
    raise DataError(
        f"{path} exists, and no calibration wrote it, or it was changed since. Give the calibrated policy another name "
        "(AS=, --name), or have that file written over (REPLACE=1, --replace)."
    )


def earlier_date(path: Path, content: Mapping[str, Any]) -> str | None:
    """Return the date in the file at `path` if nothing else in it changes: it was calibrated then, not now."""
    there = _read(path)
    try:
        date = str(there["calibration"].pop("date"))
    except (KeyError, TypeError, AttributeError):
        return None
    calibration = {key: value for key, value in content["calibration"].items() if key != "date"}
    return date if there == dict(content) | {"calibration": calibration} else None


def _as_a_calibration_left_it(path: Path) -> bool:
    there = _read(path)
    try:
        return bool(there["calibration"]["sha256"] == content_hash(there))
    except (KeyError, TypeError, AttributeError):
        return False


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
