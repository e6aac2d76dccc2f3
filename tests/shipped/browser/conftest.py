"""A browser in front of a sandbox as a person starts it. Only with --e2e: `make e2e`."""

from collections.abc import Iterator
from pathlib import Path

import in_browser
import pytest
from demo import Demo
from playwright.sync_api import Page
from started import StartedSandbox


def pytest_configure(config: pytest.Config) -> None:
    in_browser.refuse_a_missing_browser(config, "--e2e")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    reason: str | None = "`make e2e` clicks through the sandbox in a browser"
    if config.getoption("--e2e", default=False):
        reason = in_browser.why_not()
    in_browser.leave_out(items, Path(__file__).parent, reason)


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


@pytest.fixture
def demo(page: Page, sandbox: StartedSandbox) -> Demo:
    """The demo page, opened by ada, who has not bought anything."""
    demo = Demo(page, sandbox)
    demo.open()
    demo.says("Free")
    return demo
