"""The page says what the JSON says: every figure in its tables, and every point of its curves."""

from __future__ import annotations

import html
import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest

from tools.tests.desk import policies
from tools.tests.photographs import POLICY, calibrate

pytestmark = pytest.mark.slow

Rows = list[list[str]]


class Tables(HTMLParser):
    """Reads the cells of all tables as a person would."""

    def __init__(self) -> None:
        super().__init__()
        self.tables: list[Rows] = []
        self._inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")
            self._inside = True

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self.tables[-1][-1][-1] = " ".join(self.tables[-1][-1][-1].split())
            self._inside = False

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.tables[-1][-1][-1] += data


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], str]:
    """Return the figures and the page of one calibration."""
    folder = tmp_path_factory.mktemp("report")
    policies(folder / "policies", photographs=POLICY)
    calibrate(folder / "policies", "photographs", "photographs-next")
    return json.loads((folder / "report/report.json").read_text()), (folder / "report/report.html").read_text()


def percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def with_interval(share: dict[str, Any]) -> str:
    if share["value"] is None:
        return "none"
    interval = f"{percent(share['low'])} to {percent(share['high'])}"
    return f"{percent(share['value'])} ({interval}; {share['hits']} of {share['of']})"


def rarer(figure: dict[str, Any]) -> str:
    said = figure["precision_where_rarer"]["0.01"]
    value = "none" if said["value"] is None else percent(said["value"])
    return value if said["at_least"] is None else f"{value} (at least {percent(said['at_least'])})"


def test_every_figure_in_the_pages_tables_is_the_jsons(report: tuple[dict[str, Any], str]) -> None:
    figures, page = report
    reader = Tables()
    reader.feed(page)
    chosen, verdicts, changed, *of_categories = reader.tables
    for row, (name, one) in zip(chosen[1:], figures["categories"].items(), strict=True):
        unpromised = " \N{EN DASH} not promised"
        assert row == [
            name,
            str(one["pictures"]),
            str(one["review"]["value"]),
            with_interval(one["review"]["recall"]) + ("" if one["review"]["promised"] else unpromised),
            str(one["block"]["value"]),
            with_interval(one["block"]["precision"]) + ("" if one["block"]["promised"] else unpromised),
        ]
    for verdict_row, name in zip(verdicts[1:], figures["verdicts"]["before"], strict=True):
        counts = [figures["verdicts"][when][name] for when in ("before", "after")]
        assert verdict_row == [name, *(str(count) for of_it in counts for count in of_it.values())]
    for change_row, (was, row_of) in zip(changed[1:], figures["verdicts"]["from_to"].items(), strict=True):
        assert change_row == [was, *map(str, row_of.values())]
    assert len(of_categories) == 3 * len(figures["categories"])
    for place, one in enumerate(figures["categories"].values()):
        limits, metrics, prompts = of_categories[3 * place : 3 * place + 3]
        assert limits[1:] == [
            [
                key.replace("_", " "),
                str(one[key]["value"]),
                with_interval(one[key]["recall"]),
                with_interval(one[key]["precision"]),
                with_interval(one[key]["false_positive_rate"]),
                rarer(one[key]),
            ]
            for key in ("review_before", "review", "block_before", "block")
            if one[key]["value"] < 1
        ]
        names = ("auroc", "average_precision", "brier", "calibration_error")
        assert metrics[1:] == [
            [when, *(f"{one['metrics'][when][name]:.4f}" for name in names)] for when in ("before", "after")
        ]
        assert prompts[1:] == [
            [
                prompt["text"],
                prompt["side"],
                prompt["effect"],
                f"{1000 * prompt['contribution']:+.1f} ± {1000 * prompt['margin']:.1f}",
                f"{prompt['auroc']:.4f}",
            ]
            for prompt in one["prompts"]
        ]


def test_every_sentence_of_the_json_is_on_the_page(report: tuple[dict[str, Any], str]) -> None:
    figures, page = report
    said = html.unescape(page)
    sentences = [one[limit]["sentence"] for one in figures["categories"].values() for limit in ("review", "block")]
    for sentence in [*sentences, *figures["refused"].values()]:
        assert sentence in said


def curve(metrics: dict[str, Any]) -> list[list[float]]:
    return list(metrics["curve"])


def reliability(metrics: dict[str, Any]) -> list[list[float]]:
    return [[one["probability"], one["frequency"]] for one in metrics["bins"]]


def test_the_curves_go_through_the_jsons_points(report: tuple[dict[str, Any], str]) -> None:
    """The frame of a chart, from 0 to 1, is its axis: each point is placed by it."""
    figures, page = report
    charts = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    assert len(charts) == 2 * len(figures["categories"])
    for place, one in enumerate(figures["categories"].values()):
        for chart, points_of in ((charts[2 * place], curve), (charts[2 * place + 1], reliability)):
            axis = re.search(r'class="axis" d="M([\d.]+) ([\d.]+)V([\d.]+)H([\d.]+)"', chart)
            assert axis is not None
            left, top, bottom, right = map(float, axis.groups())
            for when in ("before", "after"):
                drawn = re.search(rf'<path class="{when}" d="([^"]+)"', chart)
                assert drawn is not None
                numbers = [float(number) for number in re.findall(r"[\d.]+", drawn[1])]
                placed = [
                    ((x - left) / (right - left), (bottom - y) / (bottom - top))
                    for x, y in zip(numbers[::2], numbers[1::2], strict=True)
                ]
                for point, expected in zip(placed, points_of(one["metrics"][when]), strict=True):
                    assert list(point) == pytest.approx(expected, abs=1e-4)


def test_a_precision_where_the_category_is_rarer_is_bayes_rule(report: tuple[dict[str, Any], str]) -> None:
    for one in report[0]["categories"].values():
        for limit in ("review", "block", "review_before", "block_before"):
            found, wrong = one[limit]["recall"], one[limit]["false_positive_rate"]
            for prevalence, said in one[limit]["precision_where_rarer"].items():
                share = float(prevalence)
                for key, recall, rate in (
                    ("value", found["value"], wrong["value"]),
                    ("at_least", found["low"], wrong["high"]),
                ):
                    flagged = share * recall + (1 - share) * rate
                    assert said[key] == (pytest.approx(share * recall / flagged) if flagged else None)
