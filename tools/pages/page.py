"""Fills a template of this folder: one file of HTML with its style and pictures in it, and nothing from elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jinja2

from tools.whole_file import write_whole

_FOLDER = Path(__file__).resolve().parent


def write_page(path: Path, template: str, **values: Any) -> None:
    """Write `path` from a template; everything put into it is escaped, because anybody may have named the files."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_FOLDER),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {"score": _score, "percent": _percent, "count": "{:,}".format}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, environment.get_template(template).render(**values))


def _score(value: float) -> str:
    """Write a score; one that is nearly 0 or 1 is not rounded to it."""
    if value < 0.001:
        return "< 0.001"
    return "> 0.999" if value > 0.999 else f"{value:.3f}"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
