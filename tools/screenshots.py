"""Takes the pictures of the page that are in `docs/`, from a service that it starts itself.

Run as `python -m tools.screenshots`. Look at them after each change to the page: at 1280, 768 and 390
pixels, light and dark.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Literal

from playwright.sync_api import Browser, Page, expect

from model_build.demo_pictures import COLOURS, SHAPES
from moderator.handler import build_handler
from moderator.settings import Settings
from support.browser import choose, chromium, png, visiting
from support.harness import serving
from support.pictures import drawn, encoded

DOCS = Path(__file__).resolve().parents[1] / "docs"
Scheme = Literal["light", "dark"]
_SCHEMES: tuple[Scheme, ...] = ("light", "dark")
_HEIGHTS = {1280: 900, 768: 1024, 390: 844}  # of a screen that is as wide, in pixels


def main() -> None:
    """Take `docs/page.png`, the README's, and the others beside it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=DOCS)
    out: Path = parser.parse_args().out
    with serving(build_handler(Settings())) as service, chromium() as browser:
        for width, height in _HEIGHTS.items():
            for scheme in _SCHEMES:
                name = "page.png" if (width, scheme) == (1280, "light") else f"page-{width}-{scheme}.png"
                _take(browser, f"http://127.0.0.1:{service.port}", out / name, width, height, scheme)


def _take(browser: Browser, url: str, path: Path, width: int, height: int, scheme: Scheme) -> None:
    with visiting(browser, viewport={"width": width, "height": height}, color_scheme=scheme) as visit:
        visit.open(url)
        visit.page.get_by_role("button", name="Show me with examples").click()
        _add_a_wall(visit.page)
        visit.page.get_by_role("button", name="blue square at the edge.png").click()
        visit.page.mouse.move(0, 0)
        visit.page.evaluate("document.activeElement.blur(); scrollTo(0, 0)")
        visit.page.wait_for_timeout(1000)  # until what moves has come to rest
        visit.page.screenshot(path=path, full_page=width < 1000)


def _add_a_wall(page: Page) -> None:
    colours = [*COLOURS, "red", "green", "blue", "yellow"]
    files = []
    for number, colour in enumerate(colours):
        shape = SHAPES[number % len(SHAPES)]
        files.append(png(f"{colour} {shape}.png", encoded(drawn(colour, shape, "gradient", seed=40_000 + number))))
    choose(page, *files)
    expect(page.locator("#counts")).to_have_text(f"{3 + len(files)} of {3 + len(files)} judged")


if __name__ == "__main__":
    main()
