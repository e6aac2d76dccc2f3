"""The service in this process and under Gunicorn, under attack."""

from collections.abc import Iterator

import pytest
from service_under_test import APP_URL, MakeService, Service, calls
from under_attack import Counted
from watch import cheap_apps, no_label_leaks, nothing_leaks  # noqa: F401  (each test is watched)

from sandbox.service import Service as Gunicorn
from sandbox.supabase import api as supabase_api
from sandbox.web import Server
from sandbox.world import JWT_SECRET, World


@pytest.fixture(scope="session")
def _counted_database(shared_world: World) -> Iterator[tuple[str, Counted]]:
    app = supabase_api.create_app(shared_world.database_url, JWT_SECRET, shared_world.faults)
    counted = Counted(app)
    with Server(counted) as server:
        yield server.url, counted


@pytest.fixture
def database_calls(_counted_database: tuple[str, Counted]) -> list[str]:
    """What the service asked the database, as `POST /rest/v1/rpc/…`."""
    calls = _counted_database[1].calls
    calls.clear()
    return calls


@pytest.fixture
def service(
    make_service: MakeService,
    ada: str,
    _counted_database: tuple[str, Counted],
    database_calls: list[str],
) -> Service:
    """A service whose calls to the database are counted, and ada among the app's users."""
    return make_service(supabase_url=_counted_database[0])


@pytest.fixture
def nothing_is_asked(world: World, service: Service, database_calls: list[str]) -> Iterator[None]:
    """Neither the database nor Stripe, until the test is over."""
    yield
    assert database_calls == []
    assert calls(world.stripe) == []


@pytest.fixture(scope="session")
def gunicorn(shared_world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gunicorn]:
    """The real server with one process of four threads, believing no proxy."""
    environment = shared_world.environment(APP_URL)
    environment |= {"WEB_CONCURRENCY": "1", "THREADS": "4", "RATE_LIMIT": "1000/minute"}
    environment |= {"DATABASE_TIMEOUT_SECONDS": "10"}  # a busy machine is no outage
    with Gunicorn(environment, tmp_path_factory.mktemp("gunicorn")) as running:
        yield running
