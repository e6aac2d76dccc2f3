"""The service of the integration tests, and the real one under Gunicorn, under attack."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "integration"))
from integration.conftest import (  # noqa: E402
    ada,
    log,
    make_service,
    nothing_leaks,
    one_ssl_context,
    settings,
)  # fmt: skip
from service_under_test import APP_URL, MakeService, Service  # noqa: E402
from under_attack import Counted  # noqa: E402

from sandbox.service import Service as Gunicorn  # noqa: E402
from sandbox.supabase import api as supabase_api  # noqa: E402
from sandbox.web import Server  # noqa: E402
from sandbox.world import JWT_SECRET, World  # noqa: E402

__all__ = ["ada", "log", "make_service", "nothing_leaks", "one_ssl_context", "settings"]


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


@pytest.fixture(scope="session")
def gunicorn(shared_world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gunicorn]:
    """The real server with one process of four threads, believing no proxy."""
    environment = shared_world.environment(APP_URL)
    environment |= {"WEB_CONCURRENCY": "1", "THREADS": "4", "RATE_LIMIT": "1000/minute"}
    with Gunicorn(environment, tmp_path_factory.mktemp("gunicorn")) as running:
        yield running
