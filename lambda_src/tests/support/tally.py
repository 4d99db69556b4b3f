"""Counts what the reliability tests tried and what happened, for the table in docs/reliability.md.

`make reliability` names the file in RELIABILITY_JSON; other runs throw the counts away.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path


class Tally:
    """One row for each thing tried: how often, and how often each outcome happened."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, str], Counter[str]] = {}

    def add(self, part: str, tried: str, happened: str, times: int = 1) -> None:
        """Count something that was tried and whose outcome a test has looked at."""
        self._rows.setdefault((part, tried), Counter())[happened] += times

    def write(self, path: Path) -> None:
        """Write the rows, in the order in which they were first tried."""
        rows = [
            {"part": part, "tried": tried, "happened": dict(happened)} for (part, tried), happened in self._rows.items()
        ]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n")
