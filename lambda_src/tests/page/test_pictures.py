"""Pictures come in every way that a browser has, and each is judged; what cannot be is said beside it."""

from __future__ import annotations

import base64

import pytest
from playwright.sync_api import expect

from support.browser import Visit, choose, hand_over, png, verdict
from support.pictures import drawn, encoded, noise

pytestmark = pytest.mark.slow

RED_CIRCLE = encoded(drawn("red", "circle"))
BLUE_SQUARE = encoded(drawn("blue", "square"))
GREEN_STAR = encoded(drawn("green", "star"))


@pytest.mark.parametrize("kind", ["drop", "paste"])
def test_a_picture_is_dropped_or_pasted_and_judged(visit: Visit, kind: str) -> None:
    hand_over(visit.page, kind, ("circle.png", RED_CIRCLE))
    expect(verdict(visit.page)).to_contain_text("Block")
    expect(verdict(visit.page)).to_contain_text("red circles 1.00 reaches 0.50")
    expect(verdict(visit.page)).to_contain_text("a red circle")
    expect(visit.page.get_by_role("img", name="circle.png")).to_be_visible()
    assert len(visit.asked("/moderate")) == 1


def test_a_picture_is_shown_that_is_judged_anew_while_it_is_read(visit: Visit) -> None:
    """As where the policies come after the picture, or the view is changed at once."""
    visit.page.evaluate(
        """() => {
            const real = window.createImageBitmap;
            window.createImageBitmap = async (file) => {
                await new Promise((done) => setTimeout(done, 1000));
                return real(file);
            };
        }"""
    )
    choose(visit.page, png("circle.png", RED_CIRCLE))
    visit.page.get_by_text("Squash", exact=True).click()
    expect(verdict(visit.page)).to_contain_text("Block")
    expect(visit.page.get_by_role("img", name="circle.png")).to_be_visible()


def test_several_are_chosen_and_each_is_judged_and_any_can_be_opened(visit: Visit) -> None:
    choose(visit.page, png("star.png", GREEN_STAR), png("square.png", BLUE_SQUARE), png("circle.png", RED_CIRCLE))
    expect(visit.page.get_by_text("3 of 3 judged")).to_be_visible()
    expect(verdict(visit.page)).to_contain_text("Allow")
    # The worst comes first.
    tiles = visit.page.locator("#grid button")
    expect(tiles.nth(0)).to_have_accessible_name("circle.png: Block, red circles")
    expect(tiles.nth(1)).to_have_accessible_name("square.png: Review, blue squares")
    expect(tiles.nth(2)).to_have_accessible_name("star.png: Allow")
    tiles.nth(1).click()
    expect(verdict(visit.page)).to_contain_text("Review")


def test_a_broken_picture_is_named_in_the_services_own_words_and_the_others_are_judged(visit: Visit) -> None:
    choose(visit.page, png("broken.png", RED_CIRCLE[: len(RED_CIRCLE) // 2]), png("circle.png", RED_CIRCLE))
    expect(visit.page.get_by_text("1 of 2 judged, 1 could not be")).to_be_visible()
    said = visit.page.locator("#pictureError")
    expect(said).to_contain_text("image ")
    visit.page.get_by_role("button", name="circle.png: Block").click()
    expect(said).to_be_hidden()
    expect(verdict(visit.page)).to_contain_text("Block")
    # The browser itself notes an answer of 422 in its console.
    assert [one for one in visit.complaints if "422" not in one] == []
    visit.complaints.clear()


def test_a_text_is_no_picture(visit: Visit) -> None:
    choose(visit.page, png("notes.png", b"no picture at all"))
    expect(visit.page.locator("#pictureError")).to_contain_text("is not a picture")
    visit.complaints.clear()


def test_a_large_picture_is_scaled_before_it_is_sent_and_the_page_says_so(visit: Visit) -> None:
    choose(visit.page, png("large.png", encoded(drawn("red", "circle").resize((4000, 3000)))))
    expect(visit.page.locator("#caption")).to_have_text(
        "large.png · 1600 \u00d7 1200 · Scaled here from 4000 \u00d7 3000 before it was sent."
    )
    expect(verdict(visit.page)).to_contain_text("Block")
    (request,) = visit.asked("/moderate")
    assert len(request.post_data_buffer or b"") < 300_000


def test_a_long_strip_keeps_what_the_model_needs_of_its_short_side(visit: Visit) -> None:
    choose(visit.page, png("strip.png", encoded(noise(4000, 320))))
    expect(visit.page.locator("#caption")).to_contain_text("4000 \u00d7 320")


def test_an_animation_that_is_cut_off_is_reviewed_as_the_service_says(visit: Visit) -> None:
    """Also after an edit of the policy, which asks again by the embedding."""
    frames = [drawn("green", "star").resize((96, 96)).quantize(8) for _ in range(12)]
    for number, frame in enumerate(frames):
        frame.putpixel((number, 0), number % 8)
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=500)
    choose(visit.page, png("moving.gif", data[:-60], "image/gif"))
    expect(verdict(visit.page)).to_contain_text("Review")
    expect(verdict(visit.page)).to_contain_text("error: not all frames could be looked at")
    red_circles = visit.page.locator(".category").filter(
        has=visit.page.get_by_role("heading", name="red circles", exact=True)
    )
    red_circles.get_by_text("Edit").click()
    red_circles.get_by_role("textbox", name="Looks like", exact=True).fill("a large red circle")
    visit.page.keyboard.press("Enter")
    expect(visit.page.locator("#verdict")).not_to_have_attribute("data-stale", "")
    expect(verdict(visit.page)).to_contain_text("error: not all frames could be looked at")


def test_an_animated_picture_is_sent_as_it_is(visit: Visit) -> None:
    frames = [drawn(colour, "circle").resize((1800, 1400)) for colour in ("green", "red")]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=500)
    choose(visit.page, png("moving.gif", data, "image/gif"))
    expect(visit.page.locator("#covers")).to_contain_text("2 of 2 frames")
    expect(verdict(visit.page)).to_contain_text("Block")
    expect(verdict(visit.page)).to_contain_text("at 0.5 s")


def test_the_demos_own_examples_are_judged_as_its_policy_says(visit: Visit) -> None:
    visit.page.get_by_role("button", name="Show me with examples").click()
    expect(visit.page.get_by_text("3 of 3 judged")).to_be_visible()
    names = ["red circle.png: Block", "blue square at the edge.png: Review", "green triangle.png: Allow"]
    for tile, name in zip(visit.page.locator("#grid button").all(), names, strict=True):
        assert (tile.get_attribute("aria-label") or "").startswith(name)


def test_frames_of_the_camera_are_judged_as_they_come(visit: Visit) -> None:
    visit.page.get_by_role("button", name="Camera").click()
    visit.page.get_by_label("A frame every").fill("0.2")
    # Not a number of them: they come faster than a slow machine counts.
    expect(visit.page.locator("#grid button").nth(2)).to_be_visible()
    visit.page.locator("#film").get_by_role("button", name="Stop").click()
    expect(visit.page.locator("#film")).to_be_hidden()
    expect(verdict(visit.page)).not_to_contain_text("No picture")
    assert (visit.page.locator("#grid button").first.get_attribute("aria-label") or "").startswith("camera, ")


def test_frames_of_a_video_are_judged_every_few_seconds_of_it(visit: Visit) -> None:
    # Recorded by the browser itself: two seconds, of which the second one shows a red circle.
    video = visit.page.evaluate(
        """async () => {
          const canvas = document.createElement("canvas");
          [canvas.width, canvas.height] = [320, 240];
          const c = canvas.getContext("2d");
          const recorder = new MediaRecorder(canvas.captureStream(20), { mimeType: "video/webm" });
          const pieces = [];
          recorder.ondataavailable = ({ data }) => pieces.push(data);
          recorder.start();
          for (let i = 0; i < 44; i += 1) {
            c.fillStyle = "#ded6c6"; c.fillRect(0, 0, 320, 240);
            c.fillStyle = i < 22 ? "#20983c" : "#d61c24";
            c.beginPath(); c.arc(160 + i % 2, 120, 78, 0, 7); c.fill();
            await new Promise((done) => setTimeout(done, 50));
          }
          recorder.stop();
          await new Promise((done) => (recorder.onstop = done));
          const bytes = new Uint8Array(await new Blob(pieces).arrayBuffer());
          return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
        }"""
    )
    choose(visit.page, png("clip.webm", base64.b64decode(video), "video/webm"))
    expect(visit.page.locator("#counts")).to_have_text("2 of 2 judged")
    expect(visit.page.locator("#film")).to_be_hidden()
    tiles = visit.page.locator("#grid button")
    expect(tiles.first).to_have_accessible_name("clip.webm, 2.0 s: Block, red circles")
    expect(tiles.last).to_have_accessible_name("clip.webm, 0.0 s: Allow")
