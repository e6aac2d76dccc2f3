"""Chromium as the tests start it, and a tab as a person with a mouse knows it. Nothing here knows
which app it shows.
"""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, Playwright, Request, expect
from started import ROOT, StartedSandbox

# Debian's first: what .ci/run installs.
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = (
    "--headless=new",
    "--no-sandbox",  # Chromium refuses to run as root with it
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

ARTIFACTS = ROOT / ".artifacts" / "e2e"
WIDTHS = {1280: 800, 375: 720}

CHECKOUT = re.compile(r"/c/pay/cs_")
PORTAL = re.compile(r"/p/session/")
DATE = re.compile(r"\d{1,2} \w+ 20\d\d")

expect.set_options(timeout=15_000)


def chromium() -> str | None:
    named = os.environ.get("CHROMIUM")
    return next(filter(None, map(shutil.which, [named] if named else BROWSERS)), None)


def why_not() -> str | None:
    if chromium() is None:
        return "no Chromium is installed (Debian: apt-get install chromium; else set CHROMIUM)"
    return None


def refuse_a_missing_browser(config: pytest.Config, option: str) -> None:
    """Whoever names a browser wants it used: without it there is nothing to skip."""
    named = os.environ.get("CHROMIUM")
    if named and config.getoption(option, default=False) and chromium() is None:
        raise pytest.UsageError(f"CHROMIUM is {named}, and there is no such program")


def leave_out(items: list[pytest.Item], folder: Path, reason: str | None) -> None:
    """Where a folder's tests can't run, one test stands for all, and one line says why."""
    if reason is None:
        return
    ours = [item for item in items if item.path.parent == folder]
    for item in ours[:1]:
        item.add_marker(pytest.mark.skip(reason))
    items[:] = [item for item in items if item not in ours[1:]]


def launch(driver: Playwright) -> Browser:
    return driver.chromium.launch(
        executable_path=chromium(),
        args=FLAGS,
        # The back button is to find the page as people's browsers keep it.
        ignore_default_args=["--disable-back-forward-cache"],
    )


@contextmanager
def without_complaints(page: Page, *expected: str) -> Iterator[Page]:
    """Fails where a script failed in the tab, or something came from another machine.

    expected: parts of what the console may say.
    """
    may_say = ("Failed to load resource", *expected)  # a 503 that a test asked for
    complaints: list[str] = []

    def listen(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not any(m in message.text for m in may_say):
            complaints.append(message.text)

    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", listen)
    page.on("request", lambda request: complaints.extend(_stranger(request.url)))
    yield page
    assert complaints == [], complaints


def _stranger(url: str) -> list[str]:
    parts = urlsplit(url)
    host = parts.hostname or ""
    ours = (
        parts.scheme in ("data", "blob")
        or host == "127.0.0.1"
        or host.split(".")[-1] == "localhost"
    )
    return [] if ours else [f"asked for {url}"]


class Tab:
    """A tab with an app in it, in front of a sandbox.

    api: the address of the service's routes, as this app calls them.
    calls: what was asked there, as "POST /checkout".
    """

    def __init__(self, page: Page, sandbox: StartedSandbox, api: str) -> None:
        self.page = page
        self.sandbox = sandbox
        self.calls: list[str] = []
        self._api = api
        page.on("request", self._note)

    def _note(self, request: Request) -> None:
        if request.url.startswith(self._api) and request.method != "OPTIONS":
            self.calls.append(f"{request.method} {request.url.removeprefix(self._api)}")

    def button(self, name: str) -> Locator:
        return self.page.get_by_role("button", name=name, exact=True)

    def click(self, name: str) -> None:
        self.button(name).click()

    def at(self, address: str | re.Pattern[str]) -> None:
        expect(self.page).to_have_url(address)

    def picture(self, name: str) -> None:
        """Keep what is seen: at two widths, in both themes."""
        ARTIFACTS.mkdir(parents=True, exist_ok=True)
        for width, height in WIDTHS.items():
            self.page.set_viewport_size({"width": width, "height": height})
            for scheme in ("dark", "light"):
                self.page.emulate_media(color_scheme=scheme)
                self._keep(ARTIFACTS / f"{name}-{width}-{scheme}.png")
            assert self.page.evaluate("document.documentElement.scrollWidth") <= width
        self.page.set_viewport_size({"width": 1280, "height": 800})

    def _keep(self, path: Path) -> None:
        self.page.screenshot(path=path, full_page=True, animations="disabled")
