"""Stripe's stand-in with a fresh account for each test; Supabase's stand-in and, with --postgrest,
the real PostgREST beside it: both serve one database, and every test has to pass with both.
"""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import httpx
import jwt
import psycopg
import pytest
import real_postgrest
import stripe
from click.testing import CliRunner
from stripe_account import Account
from supabase import Client, ClientOptions, create_client

from portal_service.commands.migrate import migrate as write_migrations
from sandbox.faults import Faults
from sandbox.postgres import Postgres, migrate
from sandbox.supabase.api import api_key, create_app
from sandbox.web import Server

JWT_SECRET = "a secret of the tests, with 32 characters or more"

# Functions of every shape, and one that fails as it is told to.
PROBES = """
create function probe_fail(code text) returns void language plpgsql as $$
begin
  raise exception 'it failed' using errcode = code, detail = 'a detail', hint = 'a hint';
end $$;
create function probe_claims() returns jsonb language sql stable as
  $$ select current_setting('request.jwt.claims')::jsonb $$;
create function probe_role() returns text language sql stable as $$ select current_user::text $$;
create function probe_null() returns text language sql stable as $$ select null::text $$;
create function probe_texts(how_many int) returns setof text language sql stable as
  $$ select 'text ' || n from generate_series(1, how_many) n $$;
create function probe_pairs(how_many int default 2) returns table (a int, b text)
  language sql stable as $$ select * from (values (1, 'one'), (2, null)) pairs limit how_many $$;
create function probe_out(out a int, out b text) language sql stable as $$ select 1, 'one' $$;
create function probe_write_when_stable() returns bigint language sql stable as
  $$ select nextval('subscriptions_revision_seq') $$;
create function probe_types(
  a_time timestamptz, an_id uuid, a_list int[], some_json jsonb, flag boolean default true
) returns jsonb language sql stable as
  $$ select jsonb_build_array(a_time, an_id, a_list, some_json, flag) $$;
"""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if not holds_both(metafunc.module):
        return
    targets = ["stand-in"]
    if wants_real(metafunc.config) and not real_postgrest.why_not():
        targets.append("postgrest")
    for fixture, scope in [("api", "session"), ("own_api", "function"), ("two_schemas", "module")]:
        if fixture in metafunc.fixturenames:
            metafunc.parametrize(fixture, targets, indirect=True, scope=scope)


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    if wants_real(config) and (reason := real_postgrest.why_not()):
        terminalreporter.write_line(f"The stand-in was compared with nothing: {reason}.", red=True)


def holds_both(module: ModuleType) -> bool:
    """Whether the stand-in and the real one are held to it."""
    return module.__name__.startswith("test_http_")


def wants_real(config: pytest.Config) -> bool:
    return bool(config.getoption("--postgrest", default=False))


@dataclass
class Api:
    """One of the two, spoken to as supabase-py and as raw HTTP do."""

    url: str
    http: httpx.Client
    real: bool

    def call(self, method: str, path: str, token: str | None = "", **how: Any) -> httpx.Response:
        """A request, by default as the service role; token None sends none."""
        headers = how.pop("headers", {})
        if token is not None:
            headers = headers | {"Authorization": f"Bearer {token or self.key('service_role')}"}
        return self.http.request(method, f"{self.url}/rest/v1/{path}", headers=headers, **how)

    def rpc(self, function: str, token: str | None = "", **arguments: Any) -> httpx.Response:
        return self.call("POST", f"rpc/{function}", token, json=arguments)

    def client(self, token: str = "", schema: str = "public") -> Client:
        options = ClientOptions(schema=schema, httpx_client=self.http, postgrest_client_retry=False)
        return create_client(self.url, token or self.key("service_role"), options)

    def key(self, role: str) -> str:
        return api_key(role, JWT_SECRET)

    def token(self, secret: str = JWT_SECRET, **claims: Any) -> str:
        return jwt.encode(claims, secret, algorithm="HS256")

    def says(self, hosted: Any, *, older: Any) -> Any:
        """What differs between PostgREST 14, which hosted projects run, and the real one here."""
        return older if self.real else hosted


@pytest.fixture
def own_database(postgres: Postgres) -> str:
    """One for a single test, with the probes alone."""
    url = postgres.create_database(f"own_{secrets.token_hex(8)}")
    with psycopg.connect(url) as connection:
        connection.execute("create sequence subscriptions_revision_seq")
        connection.execute(PROBES)
    return url


@pytest.fixture
def own_api(request: pytest.FixtureRequest, own_database: str) -> Iterator[Api]:
    with served(request.param, own_database) as api:
        yield api


@pytest.fixture(scope="session")
def database(postgres: Postgres) -> str:
    url = postgres.create_database("conformance")
    with psycopg.connect(url) as connection:
        connection.execute(
            "create table users (id uuid primary key default gen_random_uuid(),"
            " clerk_id text unique, email text)"
        )
    migrate(url)
    with psycopg.connect(url) as connection:
        connection.execute(PROBES)
        connection.execute("grant select on users to service_role")
    return url


@pytest.fixture(scope="session")
def api(request: pytest.FixtureRequest, database: str) -> Iterator[Api]:
    with served(request.param, database) as api:
        yield api


@pytest.fixture(scope="module")
def newsletter_database(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> str:
    """One in whose public schema `subscriptions` is a newsletter, and ours are in `billing`."""
    url = postgres.create_database("newsletter")
    with psycopg.connect(url) as connection:
        connection.execute("""
            create table users (id serial primary key, clerk_id text unique);
            insert into users (clerk_id) values ('user_1');
            create table subscriptions (email text primary key);
            insert into subscriptions values ('ann@example.com');
            grant select on subscriptions to service_role;
        """)
    folder = tmp_path_factory.mktemp("migrations")
    written = CliRunner().invoke(write_migrations, ["--to", str(folder), "--schema", "billing"])
    assert written.exit_code == 0, written.output
    migrate(url, folder)
    return url


@pytest.fixture(scope="module")
def two_schemas(request: pytest.FixtureRequest, newsletter_database: str) -> Iterator[Api]:
    with served(request.param, newsletter_database, ("public", "billing")) as api:
        yield api


@contextmanager
def served(target: str, database: str, schemas: tuple[str, ...] = ("public",)) -> Iterator[Api]:
    if target == "stand-in":
        app = create_app(database, JWT_SECRET, Faults(), schemas)
        with Server(app) as server, httpx.Client() as http:
            yield Api(server.url, http, real=False)
    else:
        # It serves at the root; Supabase's gateway puts it at /rest/v1.
        hooks = {"request": [_strip_prefix]}
        with (
            real_postgrest.serve(database, JWT_SECRET, schemas) as url,
            httpx.Client(event_hooks=hooks) as http,
        ):
            yield Api(url, http, real=True)


def _strip_prefix(request: httpx.Request) -> None:
    path = request.url.raw_path.removeprefix(b"/rest/v1")
    request.url = request.url.copy_with(raw_path=path)


@pytest.fixture(autouse=True)
def _empty_tables(request: pytest.FixtureRequest) -> None:
    if not holds_both(request.module):
        return
    database = request.getfixturevalue("database")
    with psycopg.connect(database) as connection:
        connection.execute(
            "delete from subscriptions; delete from billing_customers; delete from users"
        )


@pytest.fixture
def sql(database: str) -> Iterator[psycopg.Connection]:
    """The database itself, as its owner."""
    with psycopg.connect(database, autocommit=True) as connection:
        yield connection


@pytest.fixture(scope="module")
def started() -> Iterator[Account]:
    with Account() as account:
        yield account


@pytest.fixture
def account(started: Account) -> Account:
    started.clear()
    return started


@pytest.fixture
def client(account: Account) -> stripe.StripeClient:
    return account.client
