"""SUPABASE_SCHEMA: a team whose public.subscriptions is a newsletter has us beside it."""

from collections.abc import Callable, Iterator

import psycopg
import pytest
from click.testing import CliRunner
from psycopg.rows import dict_row
from service_under_test import Json, MakeService, Service, last_event

from portal_service.commands.migrate import migrate as write_migrations
from sandbox.postgres import Postgres, migrate
from sandbox.supabase import api as supabase_api
from sandbox.web import Server
from sandbox.world import JWT_SECRET, World

NEWSLETTER = """
    create table users (id serial primary key, clerk_id text unique);
    insert into users (clerk_id) values ('user_ada');
    create table subscriptions (email text primary key, user_id integer, status text);
    insert into subscriptions values ('ada@example.com', 1, 'weekly');
"""
READERS = [{"email": "ada@example.com", "user_id": 1, "status": "weekly"}]

Read = Callable[[str], list[Json]]


@pytest.fixture(scope="module")
def database(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> str:
    url = postgres.create_database("schema_of_its_own")
    with psycopg.connect(url) as connection:
        connection.execute(NEWSLETTER)
    folder = tmp_path_factory.mktemp("migrations")
    written = CliRunner().invoke(write_migrations, ["--to", str(folder), "--schema", "billing"])
    assert written.exit_code == 0, written.output
    migrate(url, folder)
    return url


@pytest.fixture
def read(database: str) -> Iterator[Read]:
    with psycopg.connect(database, autocommit=True, row_factory=dict_row) as connection:
        yield lambda query: connection.execute(query).fetchall()


@pytest.fixture
def exposed() -> tuple[str, ...]:
    return ("public", "billing")


@pytest.fixture
def service(
    world: World, database: str, exposed: tuple[str, ...], make_service: MakeService
) -> Iterator[Service]:
    app = supabase_api.create_app(database, JWT_SECRET, world.faults, exposed)
    with Server(app) as server:
        yield make_service(supabase_url=server.url, supabase_schema="billing")


def test_a_purchase_goes_there_and_the_newsletter_is_untouched(
    world: World, service: Service, read: Read
) -> None:
    assert service.root("/readyz").status_code == 200
    assert service.checkout().status_code == 200
    (session_id,) = world.stripe.sessions
    world.stripe.checkout(session_id, "pay")
    for event in list(world.stripe.events.values()):
        assert service.deliver(event).status_code == 200

    shown = service.shown()
    assert (shown["subscribed"], shown["plan"]) == (True, "pro")
    (row,) = read("select user_id, status, stripe_customer_id from billing.subscriptions")
    assert (row["user_id"], row["status"]) == ("1", "active")
    linked = read("select stripe_customer_id from billing.billing_customers")
    assert linked == [{"stripe_customer_id": row["stripe_customer_id"]}]
    assert service.portal().status_code == 200
    assert read("select * from public.subscriptions") == READERS
    assert read("select relname from pg_class where relnamespace = 'public'::regnamespace"
                " and relkind = 'r' order by 1") == [{"relname": "subscriptions"},
                                                     {"relname": "users"}]  # fmt: skip


@pytest.mark.parametrize("exposed", [("public",)])
def test_where_the_api_does_not_serve_the_schema_readiness_says_so(service: Service) -> None:
    answer = service.root("/readyz")

    assert answer.status_code == 503
    assert (answer.json or {})["missing"] == ["schema"]
    assert service.status().status_code == 503


def test_a_service_that_was_not_told_of_it_never_reads_the_newsletter(
    world: World, service: Service, make_service: MakeService
) -> None:
    untold = make_service(supabase_url=service.settings.supabase_url)

    assert untold.root("/readyz").status_code == 503
    assert untold.status().status_code == 503
    world.stripe.create_subscription("user_ada", "price_pro")
    assert untold.deliver(last_event(world.stripe)).status_code == 503
