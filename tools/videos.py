"""Judges generated videos and writes what that took into docs/videos.md: `make videos`.

Times are the decoder's on the CPU, its start included, as multiples of those of the first file: this machine's speed is
no property of a video.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from moderator.jobs.video_judged import JudgedVideo
from support.films import FILMS, Studio
from support.videos import EVERY_SECOND, Desk, make_desk

PAGE = Path("docs/videos.md")
_BEGIN, _END = "<!-- begin: make videos -->\n", "<!-- end -->"
_HEADINGS = ("file", "what", "MB", "read", "asked", "seen", "alike", "fired at, in s", "CPU time", "memory, MB")


@dataclass(frozen=True, kw_only=True)
class Row:
    """One video."""

    name: str
    what: str
    size: int  # bytes
    judged: JudgedVideo


def rows(desk: Desk, studio: Studio) -> Iterator[Row]:
    """Judge each video."""
    often = desk.frames(**EVERY_SECOND)
    for name, (what, _) in FILMS.items():
        path = studio.film(name)
        yield Row(name=name, what=what, size=path.stat().st_size, judged=desk.judge(path, often))
    path = studio.truncated()
    yield Row(name=path.name, what="half of it missing", size=path.stat().st_size, judged=desk.judge(path, often))
    for most in (8, 64):
        path = studio.long()
        judged = desk.judge(path, desk.frames(most=most, at_least=1))
        yield Row(name=path.name, what=f"8 hours, nearly still, {most} frames", size=path.stat().st_size, judged=judged)


def table(found: list[Row]) -> str:
    """Write the table in Markdown."""
    first = found[0].judged.spent.cpu_seconds
    lines = [_HEADINGS, ("---",) * 2 + ("--:",) * 5 + ("---",) + ("--:",) * 2]
    for row in found:
        coverage, spent = row.judged.coverage, row.judged.spent
        lines.append(
            (
                f"`{row.name}`",
                row.what,
                f"{row.size / 1e6:.2f}",
                f"{spent.bytes_read / row.size:.0%}",
                f"{coverage.asked}",
                f"{coverage.seen}",
                f"{coverage.alike}",
                spans(row.judged.fired.get("red circles", ())),
                f"{spent.cpu_seconds / first:.1f}",
                f"{(spent.memory or 0) / 1e6:.0f}",
            )
        )
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def spans(seconds: tuple[float, ...]) -> str:
    """Write seconds, of many only the first and the last."""
    assert all(one <= other for one, other in pairwise(seconds))  # noqa: S101  # in order of time
    said = [f"{second:g}" for second in (round(second, 1) for second in seconds)]
    return ", ".join(said) if len(said) <= 4 else f"{said[0]} to {said[-1]}, {len(said)} times"


def main() -> None:
    """Write the table into the page."""
    with tempfile.TemporaryDirectory() as folder:
        written = table(list(rows(make_desk(), Studio(Path(folder)))))
    page = PAGE.read_text(encoding="utf-8")
    pattern = re.compile(re.escape(_BEGIN) + ".*?" + re.escape(_END), re.DOTALL)
    PAGE.write_text(pattern.sub(lambda _: _BEGIN + written + _END, page), encoding="utf-8")
    print(written)


if __name__ == "__main__":
    main()
