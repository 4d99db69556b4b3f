"""Many pictures at once: the worst first, few requests at a time, and any time to stop."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from moderator.handler import Handler, build_handler
from moderator.settings import Settings
from support.browser import Visit, choose, png, verdict, visiting
from support.harness import serving
from support.pictures import drawn, encoded

pytestmark = pytest.mark.slow

PICTURES = [
    png(f"{number}.png", encoded(drawn(colour, shape, seed=30_000 + number)))
    for number, (colour, shape) in enumerate([("red", "circle"), ("blue", "square"), ("green", "star")] * 20)
]


def test_sixty_pictures_become_a_wall_with_the_worst_first(visit: Visit) -> None:
    page = visit.page
    choose(page, *PICTURES)
    expect(page.locator("#counts")).to_have_text("60 of 60 judged", timeout=30_000)
    expect(page.locator("#progress")).to_be_hidden()
    words = page.locator("#grid .said").all_inner_texts()
    assert words == sorted(words, key=["Block", "Review", "Allow"].index)
    assert words.count("Block") >= 18
    blocked = page.get_by_role("group", name="Show verdicts").get_by_role("button", name="Block")
    blocked.click()
    expect(page.locator("#grid button")).to_have_count(words.count("Block"))
    page.get_by_role("group", name="Show verdicts").get_by_role("button", name="All 60").click()
    # Before the next filter: as many are blocked as go to review, so a count alone would not tell them apart.
    expect(page.locator("#grid button")).to_have_count(60)
    page.get_by_role("combobox", name="Category").select_option("blue squares")
    expect(page.locator("#grid button")).to_have_count(words.count("Review"))
    page.locator("#grid button").nth(3).click()
    expect(verdict(page)).to_contain_text("Review")
    # A threshold moves all of them, and nobody is asked again.
    asked = len(visit.asked("/moderate"))
    page.get_by_role("slider", name="blue squares: review from").fill("1")
    expect(page.get_by_role("button", name="Review 0")).to_be_visible()
    page.wait_for_timeout(400)
    assert len(visit.asked("/moderate")) == asked == 60


@dataclass
class Counted:
    """A handler that counts how many requests it answers at once, and takes its time."""

    handler: Handler
    lock: threading.Lock = field(default_factory=threading.Lock)
    now: int = 0
    most: int = 0

    def __call__(self, event: dict[str, Any], context: Any) -> dict[str, Any]:
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
        if "moderate" in event["rawPath"]:
            time.sleep(0.15)
        try:
            return self.handler(event, context)
        finally:
            with self.lock:
                self.now -= 1


@pytest.fixture
def counted() -> Counted:
    return Counted(build_handler(Settings()))


@pytest.fixture
def slow(browser: Browser, counted: Counted) -> Iterator[Visit]:
    """The page of a slow service."""
    with serving(counted) as service, visiting(browser) as visit:
        visit.open(f"http://127.0.0.1:{service.port}/")
        yield visit


def test_at_most_four_are_asked_at_a_time_with_progress_and_it_can_be_cancelled_and_resumed(slow: Visit) -> None:
    page = slow.page
    inflight = 0
    most = 0

    def began(request: Any) -> None:
        nonlocal inflight, most
        if "/moderate" in request.url or "/classify" in request.url:
            inflight += 1
            most = max(most, inflight)

    def ended(request: Any) -> None:
        nonlocal inflight
        inflight -= "/moderate" in request.url or "/classify" in request.url

    page.on("request", began)
    page.on("requestfinished", ended)
    page.on("requestfailed", ended)
    choose(page, *PICTURES[:48])
    page.get_by_role("button", name="Cancel").click()
    asked = len(slow.asked("/moderate"))
    page.wait_for_timeout(500)
    assert len(slow.asked("/moderate")) == asked < 48
    page.get_by_role("button", name="Go on").click()
    bar = page.get_by_role("progressbar", name="Pictures judged")
    assert bar.get_attribute("max") == "48"
    expect(page.locator("#counts")).to_have_text("48 of 48 judged", timeout=30_000)
    assert most == 4


def test_two_hundred_are_taken(visit: Visit) -> None:
    choose(visit.page, *[png(f"{i}.png", PICTURES[i % 3]["buffer"]) for i in range(200)])
    expect(visit.page.locator("#counts")).to_have_text("200 of 200 judged", timeout=60_000)
    expect(visit.page.locator("#grid button")).to_have_count(200)
