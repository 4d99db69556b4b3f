"""Writes the report: one page for people, and the same figures for programs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from markupsafe import Markup

from tools.calibration.curves import Line, Mark, chart
from tools.calibration.embed import Pictures
from tools.pages.page import write_page
from tools.whole_file import write_whole

Thumbnails = Callable[[Iterable[str]], Mapping[str, str]]


def write_report(folder: Path, figures: dict[str, Any], pictures: Pictures, thumbnails: Thumbnails) -> None:
    """Write `report.json` and `report.html` into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / "report.json", json.dumps(figures, indent=1) + "\n")
    shown = [
        pictures.paths[picture["place"]]
        for section in ("mistakes", "changes")
        for group in figures[section]
        for picture in group["pictures"]
    ]
    urls = thumbnails(shown)
    places = {path: place for place, path in enumerate(pictures.paths)}
    write_page(
        folder / "report.html",
        "calibration.html",
        title=f"Calibration of {figures['policy']['name']}",
        figures=figures,
        charts={name: _charts(name, category) for name, category in figures["categories"].items()},
        thumbnails={places[path]: url for path, url in urls.items()},
    )


def _charts(name: str, category: dict[str, Any]) -> list[Markup]:
    before, after = category["metrics"]["before"], category["metrics"]["after"]
    marks = [
        Mark(
            name=threshold,
            point=(category[threshold]["recall"]["value"], category[threshold]["precision"]["value"]),
            square=threshold == "block",
        )
        for threshold in ("review", "block")
        if category[threshold] and category[threshold]["recall"]["hits"]
    ]
    return [
        # Scale and offset keep the order of the scores: there is one such curve, before and after.
        chart(
            title=f"{name}: precision against recall",
            x="recall: found, of the category's pictures",
            y="precision: right, of those found",
            lines=[Line(name="before", points=before["curve"]), Line(name="after", points=after["curve"])],
            marks=marks,
            key_at=(0.06, 0.16),
        ),
        chart(
            title=f"{name}: how often a score is right",
            x="score",
            y="share that is the category's",
            lines=[
                Line(
                    name=when,
                    points=[(one["probability"], one["frequency"]) for one in metrics["bins"]],
                    dots=True,
                )
                for when, metrics in (("before", before), ("after", after))
            ],
            diagonal=True,
            key_at=(0.06, 0.94),
        ),
    ]
