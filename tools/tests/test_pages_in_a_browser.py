"""The pages that the tools write, in a real browser: in light and dark, narrow, on paper, and without colours."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from moderator.settings import Settings
from support.browser import chromium, visiting
from tools.calibration.data import read_data
from tools.calibration.run import Request, run
from tools.calibration.thresholds import Targets
from tools.core import Core, build_core
from tools.tests.desk import draw_into, moderate, policies

pytestmark = pytest.mark.slow

PAGES = ("report/report.html", "out/index.html")
# Two categories have a wrong prompt, so that the report has mistakes to show and prompts to name.
POLICY: dict[str, Any] = {
    "neutral": ["a green star", "a yellow heart"],
    "categories": {
        "red circles": {"labels": ["a red circle", "a green triangle"], "review": 0.5, "block": 0.9},
        "blue squares": {"labels": ["a blue square", "a blue star"], "review": 0.5, "block": 0.9},
        "hearts": {"labels": ["a heart"], "review": 0.5},
    },
}
LONG = "a-name-without-any-place-where-a-line-could-be-broken-" * 3


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report, and a folder's page, both with pictures that cannot be read and with a long name."""
    folder = tmp_path_factory.mktemp("pages")
    draw_into(folder / "pictures/red circles", [("red", "circle"), ("red", "star")] * 10, seed=1)
    draw_into(folder / "pictures/blue squares", [("blue", "square"), ("blue", "star")] * 10, seed=2)
    draw_into(folder / "pictures/neutral", [("green", "star"), ("green", "triangle"), ("red", "square")] * 8, seed=3)
    (folder / "pictures/neutral/broken.jpg").write_bytes(b"no")
    first = next((folder / "pictures/neutral").glob("*.png"))
    first.rename(first.with_name(f"{LONG}.png"))
    core: Core = build_core(Settings(policies_dir=policies(folder / "policies", mine=POLICY)))
    request = Request(
        policy="mine",
        name="mine-next",
        targets=Targets(),
        method="platt",
        date="2026-01-01",
        policies_dir=folder / "policies",
        report=folder / "report",
    )
    labelled = read_data(folder / "pictures", list(POLICY["categories"]))
    run(core, labelled, folder / "embeddings.sqlite", request, lambda: None)
    moderate(core, folder / "pictures", "mine")
    return folder


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize(
    ("scheme", "width", "media"),
    # The last is A4 between its margins, printed by somebody whose screen is dark.
    [("light", 1280, "screen"), ("dark", 360, "screen"), ("dark", 718, "print")],
)
def test_a_page_is_accessible_fits_and_asks_nobody(
    browser: Browser, written: Path, page: str, scheme: Any, width: int, media: Any
) -> None:
    """By every rule of axe's, contrast among them, with everything that can be unfolded unfolded."""
    with visiting(browser, viewport={"width": width, "height": 900}, color_scheme=scheme) as visit:
        visit.page.emulate_media(media=media)
        visit.open((written / page).as_uri())
        assert visit.page.locator("img").count() > 10
        for summary in visit.page.locator("summary").all():
            summary.click()
        assert visit.accessibility_faults() == []
        assert not visit.is_wider_than_the_screen()
        broken = "[...document.images].filter((one) => one.complete && !one.naturalWidth).length"
        assert visit.page.evaluate(broken) == 0
        assert [one.url for one in visit.requests if not one.url.startswith("data:")] == [(written / page).as_uri()]
        assert not visit.complaints


def test_what_colours_say_is_said_without_them_too(browser: Browser, written: Path) -> None:
    """Curves differ by their dashes, and each has its name beside it; verdicts are words."""
    with visiting(browser, viewport={"width": 1280, "height": 900}) as visit:
        visit.open((written / PAGES[0]).as_uri())
        for chart in visit.page.locator(".curves svg").all():
            dashes = {
                when: chart.locator(f"path.{when}").evaluate("(line) => getComputedStyle(line).strokeDasharray")
                for when in ("before", "after")
            }
            assert dashes["before"] != dashes["after"] == "none"
            assert {"before", "after"} <= set(chart.locator("text").all_text_contents())
        for page in PAGES:
            visit.open((written / page).as_uri())
            for action in ("allow", "review", "block"):
                for shown in visit.page.locator(f"span.{action}, td.{action}, th.{action}").all_text_contents():
                    assert shown.split()[0] in (action, "helps", "hurts"), shown
