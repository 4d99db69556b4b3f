"""What a report and a comparison may write over: only what the same command wrote."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tools.calibration.data import DataError

_OF_A_REPORT = frozenset({"policy", "calibration", "categories", "verdicts"})
_OF_A_MODEL = frozenset({"folder", "model", "auroc"})


def check_report(folder: Path) -> None:
    """Check that no report of something else is in a report's folder.

    Raises:
        DataError: one is, and would be lost.
    """
    _check(folder / "report.json", "make calibrate", _is_report)
    _check(folder / "report.html", "make calibrate", lambda text: "<title>Calibration of " in text)


def check_comparison(folder: Path) -> None:
    """Check that no file of something else is where a comparison goes.

    Raises:
        DataError: one is, and would be lost.
    """
    _check(folder / "compare.json", "make compare", _is_comparison)
    _check(folder / "compare.md", "make compare", lambda text: "| AUROC, mean" in text)


def _check(path: Path, command: str, is_ours: Callable[[str], bool]) -> None:
    if path.exists() and not (path.is_file() and is_ours(path.read_text(encoding="utf-8", errors="replace"))):
        raise DataError(f"{path} was not written by {command}, which would write over it: choose another OUT (--out).")


def _is_report(text: str) -> bool:
    figures = _json(text)
    return isinstance(figures, dict) and figures.keys() >= _OF_A_REPORT


def _is_comparison(text: str) -> bool:
    models = _json(text)
    if not isinstance(models, list) or not models:
        return False
    return all(isinstance(one, dict) and one.keys() >= _OF_A_MODEL for one in models)


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None
