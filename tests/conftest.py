"""The world and the service in it, which every kind of test may ask for."""

import gc
import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from clock import moved_clock
from flask import Flask
from flask.testing import FlaskClient
from service_under_test import APP_URL, Clock, Log, MakeService, OtherStripe, Service

from portal_service import Settings, create_app
from portal_service.portal_choice import PortalChoice
from portal_service.readiness import Readiness
from portal_service.sync_runs import LastSync
from sandbox.postgres import Postgres
from sandbox.web import Server
from sandbox.world import World

TESTS = Path(__file__).parent
_WORKERS = "PYTEST_XDIST_WORKER_COUNT"


def pytest_addoption(parser: pytest.Parser) -> None:
    """What the suite leaves out: each has a make target of its own."""
    for option, what in (
        ("--postgrest", "hold the real PostgREST to the same tests"),
        ("--traced", "install OpenTelemetry beside the service, and look at its traces"),
        ("--postgres-15", "run the schema's tests on Postgres 15"),
        ("--e2e", "click through the sandbox in Chromium"),
        ("--nextjs", "build Next.js apps and click through them in Chromium"),
        ("--image", "build the Docker image and run it"),
        ("--wheel", "build the wheel, install it, use it"),
    ):
        parser.addoption(option, action="store_true", help=what)


def pytest_xdist_auto_num_workers() -> int:
    """More than there are cores: tests wait as well."""
    return len(os.sched_getaffinity(0)) + 2


@pytest.hookimpl(tryfirst=True)
def pytest_collection(session: pytest.Session) -> None:
    """In a fresh clone the tests get compiled first. Each of several workers begins with a share of
    its own, and finds the others' done; else each would compile them all.
    """
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    if worker and session.config.args_source is pytest.Config.ArgsSource.TESTPATHS:
        share = slice(int(worker.removeprefix("gw")), None, int(os.environ[_WORKERS]))
        for file in sorted(TESTS.rglob("test_*.py"))[share]:
            with suppress(Exception, pytest.skip.Exception):  # told when it is collected
                pytest.Module.from_parent(session, path=file).obj  # noqa: B018  (imports it)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files of few tests first: those start processes and wait, which others fill. What is many and
    quick goes last, so that all workers end at once.
    """
    tests = Counter(item.path for item in items if not item.get_closest_marker("long"))
    items.sort(key=lambda item: tests[item.path])


def pytest_collection_finish() -> None:
    """The garbage collector need not look through 5,000 tests again and again: 8% of the time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000)


def pytest_report_header() -> str:
    """The date that is in force."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    if not moved_clock.ahead():
        return f"date: {now}, as the machine has it"
    return f"date: {now}, MOVED by {moved_clock.ahead() / 86_400:+.1f} days"


@pytest.fixture(autouse=True)
def no_background_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """A probe looks by itself, and nothing looks beside a test's own requests."""
    monkeypatch.setattr(Readiness, "begin_once", lambda self: None)
    monkeypatch.setattr(Readiness, "_begin", Readiness.look)
    monkeypatch.setattr(PortalChoice, "_begin", lambda self: None)
    monkeypatch.setattr(LastSync, "begin_where_due", lambda self: None)


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """A real Postgres server, one for all tests."""
    with Postgres(tmp_path_factory.mktemp("postgres")) as server:
        yield server


@pytest.fixture(scope="session")
def shared_world(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with World(tmp_path_factory.mktemp("world"), postgres) as world:
        yield world


@pytest.fixture
def world(shared_world: World) -> World:
    """Postgres and the stand-ins, in which nothing has happened yet."""
    shared_world.webhooks.url = shared_world.clerk_webhooks.url = None
    shared_world.reset()
    return shared_world


@pytest.fixture
def app(settings: Settings) -> Flask:
    """The service in this process, told of the world."""
    return create_app(settings)


@pytest.fixture
def service_client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def service_url(app: Flask, world: World) -> Iterator[str]:
    """The same service at an address, where Stripe's webhooks reach it."""
    with Server(app) as server:
        world.deliver_to(server.url)
        yield server.url
        world.webhooks.url = world.clerk_webhooks.url = None


@pytest.fixture
def settings(world: World) -> Settings:
    """Those of the sandbox, but that a busy machine is no vendor who is down."""
    settings = Settings.from_environment(world.environment(APP_URL))
    return replace(settings, database_timeout=10.0, stripe_timeout=10.0)


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def make_service(log: Log, world: World, settings: Settings) -> MakeService:
    """Makes a service with some settings changed."""

    def make(**changes: Any) -> Service:
        return Service(world, replace(settings, **changes), log)

    return make


@pytest.fixture
def service(make_service: MakeService, ada: str) -> Service:
    """A service with the settings of the sandbox, and ada among the app's users."""
    return make_service()


@pytest.fixture
def ada(world: World) -> str:
    """The id of ada's row in the app's own table."""
    return world.add_user("ada")


@pytest.fixture
def clock(world: World, monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock(world.stripe.clock())
    monkeypatch.setattr(world.stripe, "clock", clock)
    return clock


@pytest.fixture(scope="session")
def _test_stripe() -> Iterator[OtherStripe]:
    yield from _served(OtherStripe(livemode=False))


@pytest.fixture(scope="session")
def _live_stripe() -> Iterator[OtherStripe]:
    yield from _served(OtherStripe(livemode=True))


def _served(stripe: OtherStripe) -> Iterator[OtherStripe]:
    with Server(stripe.app) as server:
        stripe.url = server.url
        yield stripe


@pytest.fixture
def other_stripe(_test_stripe: OtherStripe) -> OtherStripe:
    """An account in test mode whose answers can be held back."""
    _test_stripe.forget()
    return _test_stripe


@pytest.fixture
def live_stripe(_live_stripe: OtherStripe) -> OtherStripe:
    """An account in live mode."""
    _live_stripe.forget()
    return _live_stripe


@pytest.fixture
def service_at(make_service: MakeService, ada: str) -> Callable[..., Service]:
    """Makes a service whose Stripe is another one."""

    def make(stripe: OtherStripe, **changes: Any) -> Service:
        return make_service(stripe_secret_key=stripe.key, stripe_api_base=stripe.url, **changes)

    return make
