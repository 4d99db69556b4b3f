"""The page as such: what it is made of, who may use it, and that it disturbs nothing else."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from moderator.handler import Handler, build_handler
from moderator.settings import Settings
from moderator.web.pages import FOLDER
from support.browser import Visit, choose, elsewhere, png, verdict, visiting
from support.harness import LAMBDA_SRC, Service, serving
from support.pictures import drawn, encoded

pytestmark = pytest.mark.slow

RED_CIRCLE = encoded(drawn("red", "circle"))


@pytest.mark.parametrize("path", ["/", "/try"])
def test_the_page_is_one_document_with_a_strict_policy(service: Service, path: str) -> None:
    reply = service.get(path)
    assert (reply.status, reply.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert len(reply.body) < 60_000
    policy = reply.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    text = reply.body.decode()
    assert not re.findall(r'(?:src|href)="(?!data:|\./|docs|#)', text)
    assert not re.findall(r"\sstyle=|\son\w+=\"", text)


def test_the_api_page_loads_nothing_and_allows_no_inline_code_but_its_own(service: Service) -> None:
    reply = service.get("/docs")
    assert "unsafe" not in reply.headers["content-security-policy"]
    assert b"format=json" not in reply.body
    assert b"<title>clip-video-moderator: the API</title>" in reply.body


def test_modules_import_only_what_is_exported() -> None:
    for path in FOLDER.glob("*.js"):
        for names, source in re.findall(r'^import \{ ([^}]*) \} from "\./(\w+)\.js";$', path.read_text(), re.MULTILINE):
            exported = (FOLDER / f"{source}.js").read_text()
            for name in names.split(", "):
                assert re.search(rf"^export (async )?(function|const) {re.escape(name)}(?!\w)", exported, re.M), (
                    path,
                    name,
                )


def test_it_adds_nothing_to_a_cold_start() -> None:
    program = (
        "import sys; from moderator.handler import handler; "
        "event = {'rawPath': '/classify', 'requestContext': {'http': {'method': 'POST'}}, 'body': '{}'}; "
        "status = handler(event, None)['statusCode']; "
        "sys.exit(f'{status}' if status != 422 or 'moderator.web.pages' in sys.modules else 0)"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", program], cwd=LAMBDA_SRC, check=True, capture_output=True)


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 360)])
def test_axe_finds_no_fault_and_nothing_is_wider_than_the_screen(
    browser: Browser, service: Service, scheme: Any, width: int
) -> None:
    with visiting(browser, viewport={"width": width, "height": 800}, color_scheme=scheme) as visit:
        visit.open(f"http://127.0.0.1:{service.port}/")
        visit.page.get_by_role("button", name="Show me with examples").wait_for()
        assert visit.accessibility_faults() == []
        assert not visit.is_wider_than_the_screen()
        visit.page.get_by_role("button", name="Show me with examples").click()
        expect(visit.page.get_by_text("3 of 3 judged")).to_be_visible()
        for summary in visit.page.locator("summary").all():
            summary.click()
        visit.page.get_by_role("button", name="Token").click()
        visit.page.wait_for_timeout(500)  # until what moves has come to rest
        assert visit.accessibility_faults() == []
        assert not visit.is_wider_than_the_screen()
        assert not visit.complaints
        assert not elsewhere(visit, f"http://127.0.0.1:{service.port}")


@pytest.mark.parametrize("width", [1280, 390])
def test_the_api_page_fits_and_is_quiet(browser: Browser, service: Service, width: int) -> None:
    with visiting(browser, viewport={"width": width, "height": 800}) as visit:
        visit.open(f"http://127.0.0.1:{service.port}/docs")
        visit.page.get_by_text("/moderate", exact=True).first.click()
        visit.page.get_by_role("button", name="Try it out").click()
        visit.page.get_by_role("button", name="Execute").click()
        expect(visit.page.locator(".live-responses-table .response-col_status").last).to_contain_text("200")
        assert not visit.is_wider_than_the_screen()
        assert not visit.complaints
        assert not elsewhere(visit, f"http://127.0.0.1:{service.port}")
        visit.page.get_by_role("link", name="Try it").click()
        expect(visit.page).to_have_title("clip-video-moderator: try it")
        visit.page.get_by_role("link", name="API").click()
        expect(visit.page).to_have_title("clip-video-moderator: the API")


def test_everything_is_done_by_keyboard_alone(visit: Visit) -> None:
    page = visit.page

    def tab_to(name: str) -> None:
        for _ in range(80):
            page.keyboard.press("Tab")
            focused = page.evaluate(
                "(() => { const one = document.activeElement; return one.ariaLabel ?? one.labels?.[0]?.innerText"
                " ?? one.innerText ?? ''; })()"
            )
            if focused.strip() == name:
                return
        raise AssertionError(f"{name} is not reached")

    expect(page.get_by_role("button", name="Show me with examples")).to_be_visible()
    tab_to("Show me with examples")
    page.keyboard.press("Enter")
    expect(page.get_by_text("3 of 3 judged")).to_be_visible()
    tab_to("green triangle.png: Allow")
    page.keyboard.press("Enter")
    expect(verdict(page)).to_contain_text("Allow")
    tab_to("red circles: block from")
    for _ in range(50):
        page.keyboard.press("ArrowLeft")
    expect(verdict(page)).to_contain_text("Block")
    tab_to("Look for")
    page.keyboard.type("a green triangle")
    page.keyboard.press("Enter")
    expect(page.locator("#bars li").first).to_contain_text("a green triangle")
    with page.expect_download():
        tab_to("Save policy")
        page.keyboard.press("Enter")


def test_the_verdict_is_told_to_a_screen_reader_and_has_a_shape(visit: Visit) -> None:
    choose(visit.page, png("circle.png", RED_CIRCLE))
    expect(verdict(visit.page)).to_contain_text("Block")
    expect(visit.page.get_by_role("status", name="Verdict").locator("use").first).to_have_attribute("href", "#block")
    expect(visit.page.get_by_role("slider", name="red circles: block from")).to_have_attribute("aria-valuetext", "0.5")


@dataclass(frozen=True)
class Guarded:
    """A handler behind a gateway that wants a token for all but the page, and answers in a gateway's own form."""

    handler: Handler
    status: int = 401

    def __call__(self, event: dict[str, Any], context: Any) -> dict[str, Any]:
        if event["rawPath"] not in ("/", "/try") and event["headers"].get("authorization") != "Bearer s3cret":
            body = '{"message": "Unauthorized"}' if self.status == 401 else '{"message": "Forbidden"}'
            return {"statusCode": self.status, "headers": {"Content-Type": "application/json"}, "body": body}
        return self.handler(event, context)


@pytest.fixture(scope="module")
def handler() -> Handler:
    return build_handler(Settings())


@pytest.fixture
def guarded(browser: Browser, handler: Handler) -> Iterator[Visit]:
    """The page of a service that wants a token."""
    with serving(Guarded(handler)) as service, visiting(browser) as visit:
        visit.open(f"http://127.0.0.1:{service.port}/")
        yield visit
        assert not elsewhere(visit, f"http://127.0.0.1:{service.port}")


def test_a_token_is_asked_for_kept_in_the_tab_and_sent(guarded: Visit) -> None:
    page = guarded.page
    field = page.get_by_label("Token", exact=True).first
    expect(page.locator("#tokenWhy")).to_contain_text("The service wants a token.")
    expect(field).to_be_focused()
    field.fill("wrong")
    page.keyboard.press("Enter")
    expect(page.locator("#tokenWhy")).to_contain_text("The service refused this token.")
    field.fill("s3cret")
    page.keyboard.press("Enter")
    expect(page.locator("#token")).to_be_hidden()
    choose(page, png("circle.png", RED_CIRCLE))
    expect(verdict(page)).to_contain_text("Block")
    # In the command only by a name, in the link not at all; in this tab's own store, and in no other.
    expect(page.locator("#curlModerate")).to_contain_text('-H "Authorization: Bearer $TOKEN"')
    page.get_by_role("button", name="Copy link").click()
    expect(page.locator("#took")).to_have_text("Copied.")
    assert "s3cret" not in page.url + (page.locator("#curlModerate").text_content() or "")
    assert page.evaluate("[sessionStorage.token, localStorage.length, document.cookie]") == ["s3cret", 0, ""]
    page.reload()
    expect(page.get_by_role("slider", name="red circles: block from")).to_be_visible()


def test_where_requests_must_be_signed_the_page_says_what_to_do(browser: Browser, handler: Handler) -> None:
    with serving(Guarded(handler, status=403)) as service, visiting(browser) as visit:
        visit.open(f"http://127.0.0.1:{service.port}/")
        expect(visit.page.locator("#tokenWhy")).to_contain_text("which a browser cannot make")
        expect(visit.page.locator("#tokenWhy")).to_contain_text("auth: token")
        expect(visit.page.locator("#tokenWhy")).to_contain_text("make run")
