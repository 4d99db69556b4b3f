"""A real browser for the tests of the pages: Debian's Chromium, driven by Playwright."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, FilePayload, Locator, Page, Request, sync_playwright

# The browser itself must send nothing; and a fake camera.
_FLAGS = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
)


_COMPLAINTS = ("error", "warning")


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start the browser."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert program, "Chromium is needed: make test installs it"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, chromium_sandbox=False, args=[*_FLAGS])
        yield browser
        browser.close()


@dataclass(frozen=True, kw_only=True)
class Visit:
    """A page that is looked at, with what went out of it and what it complained about."""

    page: Page
    requests: list[Request] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def open(self, url: str) -> None:
        self.page.goto(url)

    def asked(self, path: str) -> list[Request]:
        """Return the requests of a path, such as `/moderate`."""
        return [one for one in self.requests if one.url.partition("?")[0].endswith(path)]

    def accessibility_faults(self) -> list[str]:
        """Return what axe-core finds, every rule of it."""
        found: dict[str, Any] = Axe().run(self.page, options={"resultTypes": ["violations"]}).response
        return [f"{one['id']}: {json.dumps([node['target'] for node in one['nodes']])}" for one in found["violations"]]

    def is_wider_than_the_screen(self) -> bool:
        return bool(self.page.evaluate("document.documentElement.scrollWidth > innerWidth"))


@contextmanager
def visiting(browser: Browser, **options: Any) -> Iterator[Visit]:
    """Visit pages in a context of their own; at the end, check that nobody else was asked and nothing complained."""
    context = browser.new_context(**options)
    context.grant_permissions(["camera", "clipboard-read", "clipboard-write"])
    visit = Visit(page=context.new_page())
    visit.page.set_default_timeout(10_000)
    visit.page.on("request", lambda request: visit.requests.append(request))
    visit.page.on("console", lambda said: visit.complaints.append(said.text) if said.type in _COMPLAINTS else None)
    visit.page.on("pageerror", lambda error: visit.complaints.append(str(error)))
    visit.page.add_init_script(
        "addEventListener('securitypolicyviolation', (one) => console.error(`${one.violatedDirective} ${one.sample}`))"
    )
    try:
        yield visit
    finally:
        context.close()


def elsewhere(visit: Visit, origin: str) -> Sequence[str]:
    """Return the addresses that were asked outside `origin`."""
    return [one.url for one in visit.requests if not one.url.startswith((f"{origin}/", "data:", f"blob:{origin}/"))]


# What a browser does with files from outside: no test can drag them into its window.
_HAND_OVER = """([kind, files]) => {
  const transfer = new DataTransfer();
  for (const [name, type, text] of files) {
    transfer.items.add(new File([Uint8Array.from(atob(text), (c) => c.charCodeAt(0))], name, { type }));
  }
  const where = document.querySelector("#stage");
  const about = { bubbles: true, cancelable: true };
  if (kind === "paste") where.dispatchEvent(new ClipboardEvent("paste", { ...about, clipboardData: transfer }));
  else for (const name of ["dragenter", "dragover", "drop"]) {
    where.dispatchEvent(new DragEvent(name, { ...about, dataTransfer: transfer }));
  }
}"""


def png(name: str, data: bytes, mime: str = "image/png") -> FilePayload:
    """Name a file to be chosen."""
    return {"name": name, "mimeType": mime, "buffer": data}


def choose(page: Page, *files: FilePayload) -> None:
    """Choose files as in the browser's own dialogue."""
    page.get_by_label("Choose").set_input_files(list(files))


def hand_over(page: Page, kind: str, *files: tuple[str, bytes]) -> None:
    """`drop` files on the page, or `paste` them."""
    sent = [[name, "image/png", base64.b64encode(data).decode()] for name, data in files]
    page.evaluate(_HAND_OVER, [kind, sent])


def verdict(page: Page) -> Locator:
    """Find the verdict."""
    return page.get_by_role("status", name="Verdict")
