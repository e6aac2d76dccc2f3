"""What several kinds of tests share."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from clock import moved_clock
from flask import Flask
from flask.testing import FlaskClient

from portal_service import Settings, create_app
from sandbox.postgres import Postgres
from sandbox.web import Server
from sandbox.world import World

APP_URL = "http://localhost:8000"


def pytest_report_header() -> str:
    """The date that is in force."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    if not moved_clock.ahead():
        return f"date: {now}, as the machine has it"
    return f"date: {now}, MOVED by {moved_clock.ahead() / 86_400:+.1f} days"


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
    shared_world.webhooks.url = None
    shared_world.reset()
    return shared_world


@pytest.fixture
def app(world: World) -> Flask:
    """The service in this process, told of the world."""
    return create_app(Settings.from_environment(world.environment(APP_URL)))


@pytest.fixture
def service_client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def service_url(app: Flask, world: World) -> Iterator[str]:
    """The same service at an address, where Stripe's webhooks reach it."""
    with Server(app) as server:
        world.deliver_to(server.url)
        yield server.url
        world.webhooks.url = None
