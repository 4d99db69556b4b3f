"""A policy is tuned, edited, taken away as a file, a command and a link; what is taken is what was seen."""

from __future__ import annotations

import base64
import json
import shlex
import subprocess
import zlib
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from moderator.policy.file import read_policies
from support.browser import Visit, choose, elsewhere, png, verdict, visiting
from support.harness import LAMBDA_SRC, Service
from support.pictures import as_base64, drawn, encoded

pytestmark = pytest.mark.slow

RED_CIRCLE = encoded(drawn("red", "circle"))
BLUE_SQUARE = encoded(drawn("blue", "square"))


def track(page: Page, category: str, threshold: str) -> Any:
    return page.get_by_role("slider", name=f"{category}: {threshold} from")


def category(page: Page, name: str) -> Any:
    return page.locator(".category").filter(has=page.get_by_role("heading", name=name, exact=True))


def settled(visit: Visit, requests: int) -> None:
    """Wait as long as the page waits for the next change, and see that no more was asked."""
    visit.page.wait_for_timeout(600)
    assert len(visit.asked("/moderate")) == requests


def test_dragging_a_threshold_changes_the_verdict_at_once_and_asks_nobody(visit: Visit) -> None:
    choose(visit.page, png("square.png", BLUE_SQUARE))
    expect(verdict(visit.page)).to_contain_text("Review")
    settled(visit, 1)
    handle = track(visit.page, "blue squares", "review")
    box = handle.bounding_box()
    assert box
    visit.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    visit.page.mouse.down()
    visit.page.mouse.move(box["x"] + box["width"] - 9, box["y"] + box["height"] / 2, steps=4)
    expect(verdict(visit.page)).to_contain_text("Allow")  # while the handle is still held
    visit.page.mouse.up()
    assert handle.input_value() == "1"
    visit.page.mouse.click(box["x"] + 10, box["y"] + 40)  # beside it: nothing moves
    expect(verdict(visit.page)).to_contain_text("Allow")
    settled(visit, 1)
    expect(visit.page.get_by_text("edited", exact=True)).to_be_visible()
    visit.page.get_by_role("button", name="Discard").click()
    expect(verdict(visit.page)).to_contain_text("Review")


def test_one_handle_takes_the_other_along(visit: Visit) -> None:
    visit.page.get_by_role("combobox", name="Policy").select_option("moderation")
    block, review = track(visit.page, "gore", "block"), track(visit.page, "gore", "review")
    block.focus()
    visit.page.keyboard.press("Home")
    assert (block.input_value(), review.input_value()) == ("0", "0")
    review.focus()
    visit.page.keyboard.press("End")
    assert (block.input_value(), review.input_value()) == ("1", "1")


def test_edited_labels_are_judged_by_the_embedding_and_the_file_is_accepted(visit: Visit, tmp_path: Path) -> None:
    page = visit.page
    choose(page, png("square.png", BLUE_SQUARE))
    expect(verdict(page)).to_contain_text("Review")
    # 1. A category of one's own, with labels and a threshold.
    page.get_by_role("button", name="Add a category").click()
    page.get_by_label("Category", exact=True).last.fill("what is blue")
    page.keyboard.press("Tab")
    added = category(page, "what is blue")
    expect(page.get_by_label("Category", exact=True).last).to_be_focused()
    added.get_by_role("textbox", name="Looks like", exact=True).fill("a big blue square")
    page.keyboard.press("Enter")
    added.get_by_role("textbox", name="Looks like", exact=True).fill("a square in blue")
    page.keyboard.press("Enter")
    added.get_by_role("textbox", name="Looks alike, and is harmless").fill("a red square")
    page.keyboard.press("Enter")
    added.get_by_role("spinbutton", name="Review from").fill("")
    added.get_by_role("spinbutton", name="Block from").fill("0.25")
    page.keyboard.press("Tab")
    expect(verdict(page)).to_contain_text("Block")
    expect(verdict(page)).to_contain_text("what is blue")
    expect(verdict(page)).to_contain_text("a big blue square")
    # 2. A label is taken away, and a whole category.
    category(page, "red circles").get_by_text("Edit").click()
    category(page, "red circles").get_by_role("button", name="Remove a circle in red").click()
    category(page, "blue squares").get_by_text("Edit").click()
    category(page, "blue squares").get_by_role("button", name="Remove blue squares").click()
    # 3. Only the first request held the picture.
    visit.page.wait_for_timeout(600)
    first, *others = visit.asked("/moderate")
    assert "multipart/form-data" in first.headers["content-type"]
    assert others
    assert all(json.loads(one.post_data or "")["embedding"] for one in others)
    visit.complaints.clear()  # a category without labels was refused, which the browser notes
    # 4. What is saved is a file of policies, and says what was edited.
    page.get_by_label("Name").fill("my policy")
    with page.expect_download() as download:
        page.get_by_role("button", name="Save policy").click()
    assert download.value.suggested_filename == "my-policy.json"
    download.value.save_as(tmp_path / "my-policy.json")
    (policy,) = read_policies(tmp_path, max_labels=1000).values()
    assert {one.name for one in policy.categories} == {"what is blue", "red circles"}
    written = json.loads((tmp_path / "my-policy.json").read_text())
    assert written["categories"]["what is blue"] == {
        "labels": ["a big blue square", "a square in blue"],
        "against": ["a red square"],
        "block": 0.25,
    }
    assert written["categories"]["red circles"]["labels"] == ["a red circle", "a picture of a red circle"]


def test_what_is_opened_and_not_edited_is_saved_as_it_was(visit: Visit, tmp_path: Path) -> None:
    for name in ("demo", "moderation"):
        visit.page.get_by_role("combobox", name="Policy").select_option(name)
        with visit.page.expect_download() as download:
            visit.page.get_by_role("button", name="Save policy").click()
        download.value.save_as(tmp_path / f"{name}.json")
    configured = read_policies(LAMBDA_SRC / "policies", max_labels=1000)
    assert read_policies(tmp_path, max_labels=1000) == {name: configured[name] for name in ("demo", "moderation")}


def test_mistakes_are_said_beside_the_field_that_they_name(visit: Visit, tmp_path: Path) -> None:
    page = visit.page
    page.get_by_role("button", name="New", exact=True).click()
    page.get_by_role("button", name="Save policy").click()
    row = category(page, "new category")
    said = row.get_by_role("alert").filter(has_text="labels is an empty list")
    expect(said).to_be_visible()
    box = row.get_by_role("textbox", name="Looks like", exact=True)
    expect(box).to_have_attribute("aria-invalid", "true")
    expect(page.locator("#took")).to_contain_text("not valid")
    box.fill("a white star")  # which is in neutral, too
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Save policy").click()
    expect(row.get_by_role("alert").filter(has_text="no label can be on both sides")).to_be_visible()
    row.get_by_role("button", name="Remove a white star").click()
    box.fill("a red circle")
    page.keyboard.press("Enter")
    row.get_by_role("spinbutton", name="Review from").fill("")
    page.keyboard.press("Tab")
    choose(page, png("circle.png", RED_CIRCLE))
    expect(row.get_by_role("alert").filter(has_text="neither review nor block")).to_be_visible()
    row.get_by_role("spinbutton", name="Block from").fill("0.5")
    page.keyboard.press("Tab")
    expect(verdict(page)).to_contain_text("Block")
    expect(row.get_by_role("alert")).to_have_count(0)
    visit.complaints.clear()  # the browser notes each 422


def test_labels_settle_as_one_types_and_their_mistakes_are_said_beside_them(visit: Visit) -> None:
    page = visit.page
    choose(page, png("circle.png", RED_CIRCLE))
    bars = page.locator("#bars li")
    expect(bars.first).to_contain_text("a red circle")
    expect(page.locator("#came")).to_contain_text("ms · labels:")
    page.get_by_label("Label set").select_option("")
    for label in ("a red square", "a red star"):
        page.get_by_role("button", name=f"Remove {label}").click()
    box = page.get_by_role("textbox", name="Look for")
    box.press_sequentially("a round red thing")
    expect(bars.filter(has_text="a round red thing")).to_be_visible()  # before Enter
    box.fill("word " * 90)
    expect(page.locator("#labels").get_by_role("alert")).to_contain_text("tokens")
    box.fill("")
    expect(page.locator("#labels").get_by_role("alert")).to_be_hidden()
    visit.complaints.clear()  # the browser notes each 422


@pytest.mark.parametrize("edit", [False, True], ids=["as configured", "edited"])
def test_the_commands_ask_what_the_page_asked(visit: Visit, tmp_path: Path, edit: bool) -> None:
    page = visit.page
    choose(page, png("circle.png", RED_CIRCLE))
    expect(verdict(page)).to_contain_text("Block")
    if edit:
        track(page, "red circles", "block").fill("1")
        expect(verdict(page)).to_contain_text("Allow")
        page.get_by_role("textbox", name="Look for").fill('it\'s; a "red" thing')
        page.keyboard.press("Enter")
    (tmp_path / "picture.jpg").write_bytes(RED_CIRCLE)

    def answer(name: str) -> Any:
        command = page.get_by_role("region", name=name).inner_text()
        assert shlex.split(command)[0] == "curl"
        return json.loads(subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, check=True).stdout)

    assert answer("The verdict's command")["verdict"] == ("allow" if edit else "block")
    result = answer("The labels' command")["result"]
    assert ('it\'s; a "red" thing' in result) == edit
    page.get_by_role("button", name="Copy the verdict's command").click()
    expect(page.locator("#took")).to_have_text("Copied.")
    assert page.evaluate("navigator.clipboard.readText()") == page.locator("#curlModerate").inner_text()


def test_a_link_brings_a_colleague_to_the_same_page_without_the_picture(
    visit: Visit, browser: Browser, service: Service
) -> None:
    page = visit.page
    choose(page, png("circle.png", RED_CIRCLE))
    track(page, "red circles", "block").fill("0.87")
    page.locator("#views").get_by_text("Centre").click()
    page.get_by_role("textbox", name="Look for").fill("a label of my own")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Copy link").click()
    expect(page.locator("#took")).to_have_text("Copied.")
    link = page.evaluate("navigator.clipboard.readText()")
    assert link == page.url
    assert len(link) < 3000
    assert as_base64(RED_CIRCLE)[:40] not in link
    with visiting(browser) as colleague:
        colleague.open(link)
        expect(colleague.page.get_by_text("edited", exact=True)).to_be_visible()
        assert track(colleague.page, "red circles", "block").input_value() == "0.87"
        expect(colleague.page.get_by_label("Centre")).to_be_checked()
        expect(colleague.page.get_by_role("button", name="Remove a label of my own")).to_be_visible()
        expect(verdict(colleague.page)).to_contain_text("No picture yet")
        assert colleague.page.locator("#json").text_content() == page.locator("#json").text_content()
        assert not elsewhere(colleague, f"http://127.0.0.1:{service.port}")


def test_a_damaged_link_is_said_to_be_one(visit: Visit, service: Service) -> None:
    visit.page.goto("about:blank")
    visit.requests.clear()
    visit.open(f"http://127.0.0.1:{service.port}/try#s=abc")
    expect(visit.page.locator("#notice")).to_contain_text("This link is damaged")
    expect(visit.page.get_by_role("combobox", name="Policy")).to_have_value("demo")


def link(state: dict[str, Any]) -> str:
    """A link as the page makes one: JSON, deflated, in base64."""
    packed = zlib.compressobj(wbits=-15)
    data = packed.compress(json.dumps(state).encode()) + packed.flush()
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


@pytest.mark.parametrize(
    "state",
    [
        {"policy": {}},
        {"policy": 5},
        {"policy": {"categories": {"a": None}}},
        {"policy": {"categories": {"a": {"labels": 3}}}},
        {"base": "nothing"},
        {"base": "demo", "labels": 7},
        {"base": "demo", "labels": [5]},
    ],
    ids=str,
)
def test_a_link_that_holds_nonsense_leaves_the_page_as_it_was(
    visit: Visit, service: Service, state: dict[str, Any]
) -> None:
    visit.page.goto("about:blank")
    visit.requests.clear()
    visit.open(f"http://127.0.0.1:{service.port}/try#s={link(state)}")
    expect(visit.page.locator("#notice")).to_contain_text("This link is damaged")
    expect(visit.page.get_by_role("combobox", name="Policy")).to_have_value("demo")
    expect(visit.page.get_by_role("button", name="New", exact=True)).to_be_enabled()
    choose(visit.page, png("circle.png", RED_CIRCLE))
    expect(verdict(visit.page)).to_contain_text("Block")


def test_what_was_never_judged_is_not_allowed(visit: Visit) -> None:
    """A category that is new has no score yet, and cannot get one while it has no labels."""
    page = visit.page
    choose(page, png("circle.png", RED_CIRCLE), png("square.png", BLUE_SQUARE))
    expect(verdict(page)).to_contain_text("Block")
    page.get_by_role("button", name="New", exact=True).click()
    expect(page.locator(".category")).to_have_count(1)
    page.wait_for_timeout(600)
    expect(verdict(page)).not_to_contain_text("Allow")
    expect(verdict(page)).to_contain_text("Not judged yet")
    expect(page.locator(".filter[data-action=allow]")).to_contain_text("Allow 0")
    expect(page.locator(".views .unseen")).to_have_count(0)
    assert all("422" in one for one in visit.complaints)
    visit.complaints.clear()


def test_what_has_the_focus_is_not_under_the_verdict(visit: Visit) -> None:
    page = visit.page
    page.set_viewport_size({"width": 1280, "height": 720})
    choose(page, png("circle.png", RED_CIRCLE))
    expect(verdict(page)).to_contain_text("Block")
    page.get_by_role("button", name="Save policy").focus()
    for _ in range(12):
        page.keyboard.press("Shift+Tab")
        covered = page.evaluate(
            "() => { const [one, verdict] = [document.activeElement, document.querySelector('.verdict')];"
            " if (!one.closest('.judge') || verdict.contains(one)) return false;"
            " const box = one.getBoundingClientRect();"
            " return box.top < verdict.getBoundingClientRect().bottom - 1"
            " && box.bottom > verdict.getBoundingClientRect().top + 1; }"
        )
        assert not covered, page.evaluate("document.activeElement.outerHTML")


def test_switching_the_view_shows_what_each_covers_and_how_they_differ(visit: Visit) -> None:
    page = visit.page
    # Three pictures side by side; the middle one is all that the centre shows.
    wide = Image.new("RGB", (640, 240))
    for place, (colour, shape) in enumerate([("blue", "square"), ("green", "star"), ("green", "star")]):
        wide.paste(drawn(colour, shape).resize((240, 240)), (200 * place, 0))
    choose(page, png("wide.png", encoded(wide)))
    expect(verdict(page)).to_contain_text("Review")
    expect(page.locator(".covers .frame")).to_have_count(3)
    expect(page.locator("#covers")).to_contain_text("All of it is looked at in 3 tiles.")
    page.locator("#views").get_by_text("Centre").click()
    expect(verdict(page)).to_contain_text("Allow")
    expect(page.locator(".covers .frame")).to_have_count(1)
    expect(page.locator("#covers")).to_contain_text("62 % of the picture is not looked at.")
    expect(page.locator("#covers")).to_contain_text("Tiles says review: blue squares 1.00 there, <0.01 here.")
    frame = page.locator(".covers .frame")
    assert [frame.get_attribute(name) for name in ("x", "y", "width", "height")] == ["200", "0", "240", "240"]
    expect(page.get_by_role("radio", name="Tiles Review")).to_be_visible()
