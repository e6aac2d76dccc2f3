"""A sandbox for the tests over HTTP, and a browser for those that need one."""

from collections.abc import Iterator

import in_browser
import pytest
from playwright.sync_api import Browser, BrowserContext, Page
from playwright.sync_api import sync_playwright as playwright
from started import StartedSandbox


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartedSandbox]:
    with StartedSandbox(tmp_path_factory.mktemp("sandbox")) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(started: StartedSandbox) -> StartedSandbox:
    """Everything runs, and nothing has happened yet."""
    started.post("/reset")
    return started


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with playwright() as driver:
        browser = in_browser.launch(driver)
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
    with in_browser.without_complaints(context.new_page()) as page:
        yield page
