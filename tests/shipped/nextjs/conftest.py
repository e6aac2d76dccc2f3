"""Apps of teams as production builds of Next.js. Only with --nextjs: `make nextjs`."""

from collections.abc import Iterator
from pathlib import Path

import guest
import in_browser
import next_app
import pytest
from guest import Guest
from started import StartedSandbox

HERE = Path(__file__).parent


def pytest_configure(config: pytest.Config) -> None:
    in_browser.refuse_a_missing_browser(config, "--nextjs")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    reason: str | None = "`make nextjs` builds Next.js apps and clicks through them"
    if config.getoption("--nextjs", default=False):
        reason = in_browser.why_not() or next_app.why_not()
    in_browser.leave_out(items, HERE, reason)


@pytest.fixture(scope="session")
def tutorial_app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guest]:
    """The app of somebody who followed the tutorial, and then put the service in."""
    with guest.invited(HERE / "tutorial", tmp_path_factory.mktemp("tutorial")) as app:
        yield app


@pytest.fixture
def tutorial(tutorial_app: Guest) -> Guest:
    """Everything runs, and nothing has happened yet."""
    return anew(tutorial_app)


def anew(app: Guest) -> Guest:
    app.sandbox.post("/service", running=True)
    app.sandbox.post("/reset")
    return app


@pytest.fixture
def sandbox(tutorial: Guest) -> StartedSandbox:
    return tutorial.sandbox
