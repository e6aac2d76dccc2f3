"""A subscription that the service has heard of; databases with the migration, and stages for
simulated runs.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from at_the_terminal import Terminal
from frontend import APP_URL
from outside import Outside, outside
from service_under_test import Clock, Json, Service, last_event
from simulation import Stage
from table import PlainDatabase, connect
from watch import cheap_apps, no_label_leaks, nothing_leaks  # noqa: F401  (each test is watched)

from portal_service.config import Settings
from sandbox.postgres import Postgres, migrate
from sandbox.world import PLANS, World

USERS = "create table users (id uuid primary key default gen_random_uuid(), clerk_id text unique)"


@pytest.fixture
def out(world: World) -> Iterator[Outside]:
    """The vendors at addresses of their own, where they can fail."""
    with outside(world, APP_URL) as out:
        yield out


@pytest.fixture
def terminal(out: Outside, monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """An operator, who runs commands against `out`."""
    return Terminal(out, monkeypatch)


@pytest.fixture(scope="session")
def simulated_settings() -> Settings:
    return Settings.from_environment(
        {
            "STRIPE_SECRET_KEY": "sk_test_simulated",
            "STRIPE_WEBHOOK_SECRET": "whsec_simulated",
            "STRIPE_PLANS": PLANS,
            "SUPABASE_URL": "http://localhost:1",
            "SUPABASE_SERVICE_ROLE_KEY": "sb_secret_simulated",
            "CLERK_ISSUER": "https://clerk.example.com",
            "APP_URL": "https://app.example.com",
        }
    )


@pytest.fixture(scope="module")
def table_url(postgres: Postgres, request: pytest.FixtureRequest) -> str:
    """A database of this module's own, with the migration."""
    url = postgres.create_database(f"mirror_{request.module.__name__}")
    with connect(url) as connection:
        connection.execute(USERS)
    migrate(url)
    return url


@pytest.fixture(scope="module")
def stage(table_url: str, simulated_settings: Settings) -> Iterator[Callable[..., Stage]]:
    """stage(…): a Stage over the table, without HTTP."""
    with ExitStack() as stack:
        owner = stack.enter_context(connect(table_url))
        service = stack.enter_context(connect(table_url, "service_role"))

        def make(**parts: Any) -> Stage:
            return Stage(simulated_settings, owner, PlainDatabase(service), **parts)

        yield make


@pytest.fixture
def subscription(world: World, service: Service, clock: Clock) -> Json:
    """ada's active subscription, in the table as of the present moment of Stripe's clock."""
    subscription = world.stripe.create_subscription("user_ada", "price_pro")
    assert service.outcome(last_event(world.stripe)) == "refreshed"
    world.stripe.calls.clear()
    return subscription


@pytest.fixture
def rows(world: World) -> Iterator[PlainDatabase]:
    """The world's table."""
    with connect(world.database_url) as connection:
        yield PlainDatabase(connection)
