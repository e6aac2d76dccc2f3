"""Databases of any shape, and one with the migration."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from postgres_15 import running, why_not
from project import Project
from schema_database import USERS, Database
from shape import Shape

from sandbox.postgres import HOSTED, Postgres


@pytest.fixture(scope="session")
def postgres(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Postgres]:
    """The wheel's server or, with --postgres-15, Debian's."""
    older = request.config.getoption("--postgres-15", default=False)
    if older and (reason := why_not()):
        pytest.skip(reason)
    with running() if older else Postgres(tmp_path_factory.mktemp("postgres")) as server:
        yield server


@pytest.fixture(scope="session")
def url(postgres: Postgres) -> str:
    return postgres.create_database("shapes")


@pytest.fixture
def make(url: str) -> Iterator[Callable[..., Database]]:
    """make(sql): a database in which the app has made its tables by `sql`, not yet migrated."""
    database = Database(url)
    # Several times as fast as a new database.
    database.owner(
        "drop schema if exists billing_private cascade;"
        "drop schema public cascade; create schema public authorization postgres"
    )
    database.owner(HOSTED)

    def make(tables: str = "") -> Database:
        if tables:
            database.owner(tables)
        return database

    yield make
    database.close()


@pytest.fixture(scope="module")
def installed(postgres: Postgres, request: pytest.FixtureRequest) -> Iterator[Database]:
    database = Database(postgres.create_database(f"schema_{request.module.__name__}"))
    database.owner(USERS)
    database.migrate()
    yield database
    database.close()


@pytest.fixture
def db(installed: Database) -> Database:
    """A database with the tutorial's `users` and the migration, and nothing in it."""
    installed.owner(
        "delete from subscriptions; delete from billing_customers; delete from gone_customers;"
        "delete from users;"
        "delete from billing_private.sync_leases; delete from billing_private.syncs"
    )
    return installed


@pytest.fixture
def subscription() -> dict[str, Any]:
    """What the service says of an active subscription, every key."""
    return {
        "stripe_subscription_id": "sub_1",
        "stripe_customer_id": "cus_1",
        "status": "active",
        "plan": "pro",
        "price_id": "price_1",
        "product_id": "prod_1",
        "quantity": 1,
        "items": [{"price_id": "price_1", "product_id": "prod_1", "quantity": 1}],
        "collection_method": "charge_automatically",
        "current_period_end": "2026-12-01T00:00:00Z",
        "cancel_at": None,
        "canceled_at": None,
        "trial_end": None,
        "ended_at": None,
        "pause_resumes_at": None,
        "cancel_at_period_end": False,
        "pause_collection": None,
        "paused_reason": None,
        "livemode": False,
        "as_of": "2026-11-01T12:00:00Z",
    }


@pytest.fixture
def project(postgres: Postgres, shape: Shape) -> Iterator[Project]:
    """A project with the tables of this shape, not yet upgraded."""
    project = Project(postgres, f"shape_{shape.name}", shape)
    yield project
    project.drop()
