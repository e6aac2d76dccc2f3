"""Apps of teams as production builds of Next.js. Only with --nextjs: `make nextjs`."""

from collections.abc import Iterator
from pathlib import Path

import guest
import in_browser
import next_app
import pytest
from guest import Guest
from playwright.sync_api import BrowserContext, Page
from started import ROOT

from sandbox import example

HERE = Path(__file__).parent
EXAMPLE = ROOT / "examples" / "nextjs"


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
    folder = next_app.copied(HERE / "tutorial", "tutorial")
    next_app.install(folder)
    with guest.invited(folder, tmp_path_factory.mktemp("tutorial")) as app:
        yield app


@pytest.fixture
def tutorial(tutorial_app: Guest) -> Guest:
    """Everything runs, and nothing has happened yet."""
    return anew(tutorial_app)


def example_copy(name: str) -> Path:
    """Of examples/nextjs, where the sandbox finds Clerk's script too."""
    folder = next_app.copied(EXAMPLE, name)
    next_app.share(EXAMPLE, folder)
    return folder


PATHS = {name: value for name, value in example.DEFAULTS.items() if name.endswith("_PATH")}


@pytest.fixture(scope="session")
def rewrites_app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guest]:
    """The example whose browsers call its own origin."""
    folder = example_copy("rewrites")
    with guest.invited(folder, tmp_path_factory.mktemp("rewrites"), **PATHS) as app:
        yield app


@pytest.fixture
def rewrites(rewrites_app: Guest) -> Guest:
    return anew(rewrites_app)


@pytest.fixture(scope="session")
def across_app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guest]:
    """The example whose browsers call the service across origins, with a Bearer token. Previews of
    the app are welcome too; they and Clerk are on one site, as with a domain of one's own.
    """
    folder, data = example_copy("across"), tmp_path_factory.mktemp("across")
    told = PATHS | {"ALLOWED_ORIGINS": "http://*.acme.localhost:{port}"}
    with guest.invited(folder, data, host="app.acme.localhost", across=True, **told) as app:
        yield app


@pytest.fixture
def across(across_app: Guest) -> Guest:
    return anew(across_app)


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    """A tab in which no script fails and nothing comes from another machine."""
    expected = "development keys"  # Clerk's own warning, of keys such as the sandbox's
    with in_browser.without_complaints(context.new_page(), expected) as page:
        yield page


def anew(app: Guest) -> Guest:
    app.sandbox.post("/service", running=True)
    app.sandbox.post("/reset")
    return app
