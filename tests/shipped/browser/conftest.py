"""A browser in front of a sandbox as a person starts it. Only with --e2e: `make e2e`."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from demo import Demo
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect
from playwright.sync_api import sync_playwright as playwright
from started import StartedSandbox

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

expect.set_options(timeout=15_000)


def why_not(config: pytest.Config) -> str | None:
    if not config.getoption("--e2e", default=False):
        return "`make e2e` clicks through the sandbox in a browser"
    if chromium() is None:
        return "no Chromium is installed (Debian: apt-get install chromium; else set CHROMIUM)"
    return None


def chromium() -> str | None:
    named = os.environ.get("CHROMIUM")
    return next(filter(None, map(shutil.which, [named] if named else BROWSERS)), None)


def pytest_configure(config: pytest.Config) -> None:
    """Whoever names a browser wants it used: without it there is nothing to skip."""
    named = os.environ.get("CHROMIUM")
    if named and config.getoption("--e2e", default=False) and chromium() is None:
        raise pytest.UsageError(f"CHROMIUM is {named}, and there is no such program")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Where they can't run, one test stands for all, and one line says why."""
    reason = why_not(config)
    if reason is None:
        return
    here = Path(__file__).parent
    ours = [item for item in items if item.path.parent == here]
    for item in ours[:1]:
        item.add_marker(pytest.mark.skip(reason))
    items[:] = [item for item in items if item not in ours[1:]]


@pytest.fixture(scope="session")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartedSandbox]:
    with StartedSandbox(tmp_path_factory.mktemp("sandbox")) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(started: StartedSandbox) -> StartedSandbox:
    """Everything runs, and nothing has happened yet."""
    started.post("/service", running=True)
    started.post("/reset")
    return started


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=chromium(),
            args=FLAGS,
            # The back button is to find the page as people's browsers keep it.
            ignore_default_args=["--disable-back-forward-cache"],
        )
        yield browser
        browser.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(viewport={"width": 1280, "height": 800}, locale="en-GB")
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    """A tab in which no script fails and nothing comes from another machine."""
    page = context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: complaints.extend(_complaint(message)))
    page.on("request", lambda request: complaints.extend(_stranger(request.url)))
    yield page
    assert complaints == []


def _complaint(message: ConsoleMessage) -> list[str]:
    expected = "Failed to load resource"  # a 503 that a test asked for
    bad = message.type in ("error", "warning") and expected not in message.text
    return [message.text] if bad else []


def _stranger(url: str) -> list[str]:
    parts = urlsplit(url)
    ours = parts.scheme == "data" or parts.hostname in ("localhost", "127.0.0.1")
    return [] if ours else [f"asked for {url}"]


@pytest.fixture
def demo(page: Page, sandbox: StartedSandbox) -> Demo:
    """The demo page, opened by ada, who has not bought anything."""
    demo = Demo(page, sandbox)
    demo.open()
    demo.says("Free")
    return demo
