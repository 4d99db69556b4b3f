"""The verdicts of a folder on disk, one JSON line for each picture: a run goes on where an interrupted one stopped."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

Line = dict[str, Any]


class Ledger:
    """`verdicts.jsonl`: lines are added while the run goes on, and put in order when it is done."""

    def __init__(self, path: Path, *, belongs: Callable[[Line], bool]) -> None:
        """Open the ledger; lines that do not `belong` to this run (another policy's, model's or code's) are dropped."""
        self._path = path
        self._lines: dict[str, bytes] = {}  # by path, as written: a kilobyte each
        for raw, line in _read(path):
            if belongs(line):
                self._lines[line["source"]["path"]] = raw
        path.parent.mkdir(parents=True, exist_ok=True)
        # A run that was cut off may have left half a line, and the next line would be lost with it.
        self._rewrite(self._lines)
        self._file = path.open("ab")

    def __enter__(self) -> Self:
        """Keep the file open."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file."""
        self._file.close()

    def known(self, path: str, sha256: str) -> Line | None:
        """Return the line of a picture that was judged, and whose content has not changed since.

        What could not be read is tried again in each run: limits, decoders and the machine's load may be others now,
        and what failed before fails fast.
        """
        raw = self._lines.get(path)
        line: Line | None = json.loads(raw) if raw else None
        return line if line and "error" not in line and line["source"].get("sha256") == sha256 else None

    def add(self, lines: Iterable[Line]) -> None:
        """Add lines, and flush them: they outlive this process."""
        for line in lines:
            raw = json.dumps(line, separators=(", ", ": ")).encode() + b"\n"
            self._lines[line["source"]["path"]] = raw
            self._file.write(raw)
        self._file.flush()

    def finish(self, paths: Iterable[str]) -> None:
        """Put the lines into the order of `paths`, and drop all others: those files are gone."""
        self._file.close()
        self._rewrite({path: self._lines[path] for path in paths if path in self._lines})

    def _rewrite(self, lines: dict[str, bytes]) -> None:
        part = self._path.with_suffix(".part")
        with part.open("wb") as file:
            file.writelines(lines.values())
        part.replace(self._path)
        self._lines = lines


def read_lines(path: Path) -> Iterable[Line]:
    """Yield a finished ledger's lines one by one."""
    for _, line in _read(path):
        yield line


def _read(path: Path) -> Iterable[tuple[bytes, Line]]:
    if not path.is_file():
        return
    with path.open("rb") as file:
        for raw in file:
            try:
                line = json.loads(raw)
            except ValueError:
                continue  # half a line of a run that was cut off: that picture is judged again
            if raw.endswith(b"\n") and isinstance(line, dict) and isinstance(line.get("source"), dict):
                yield raw, line
