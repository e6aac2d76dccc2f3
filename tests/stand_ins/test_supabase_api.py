"""What is the stand-in's alone; what it shares with PostgREST is in the modules `test_http_…`."""

import gc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import psycopg
import pytest
from flask import Flask
from flask.testing import FlaskClient
from supabase import ClientOptions, PostgrestAPIError, create_client

from sandbox import faults as switches
from sandbox.faults import Faults
from sandbox.postgres import Postgres
from sandbox.supabase.api import api_key, create_app
from sandbox.web import Server

JWT_SECRET = "a secret of the tests, with 32 characters or more"
SERVICE_ROLE = {"Authorization": f"Bearer {api_key('service_role', JWT_SECRET)}"}
LOST = "Database connection error. Retrying the connection."


@pytest.fixture(scope="module")
def database(postgres: Postgres) -> str:
    url = postgres.create_database("supabase_api")
    with psycopg.connect(url) as connection:
        connection.execute("""
            create table notes (id int primary key, text text);
            insert into notes values (1, 'one'), (2, 'two');
            grant select on notes to service_role;
            create function twice(n int) returns int language sql as $$ select 2 * n $$;
            create function either(n int) returns int language sql as $$ select n $$;
            create function either(n text) returns text language sql as $$ select n $$;
        """)
    return url


@pytest.fixture
def faults() -> Faults:
    return Faults()


@pytest.fixture
def app_name(request: pytest.FixtureRequest) -> str:
    """What tells this test's connections from the others'."""
    return request.node.name[:60]


@pytest.fixture
def app(database: str, app_name: str, faults: Faults) -> Flask:
    url = psycopg.conninfo.make_conninfo(database, application_name=app_name)
    return create_app(url, JWT_SECRET, faults)


@pytest.fixture
def api(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def backends(database: str, app_name: str) -> Iterator[Callable[[str], int]]:
    """How many connections the stand-in has; `doing` something to each."""
    query = "select count({}) from pg_stat_activity where application_name = %s"
    with psycopg.connect(database, autocommit=True) as connection:
        yield lambda doing="*": connection.execute(query.format(doing), [app_name]).fetchone()[0]


def twice(api: FlaskClient, n: int):
    return api.post("/rest/v1/rpc/twice", json={"n": n}, headers=SERVICE_ROLE)


def test_a_database_that_is_down(api, faults):
    faults.database = "down"
    answer = twice(api, 2)

    assert (answer.status_code, answer.json["code"], answer.json["message"]) == (
        503,
        "PGRST000",
        LOST,
    )
    faults.reset()
    assert twice(api, 2).json == 4


def test_a_bad_token_is_bad_also_when_the_database_is_down(api, faults):
    faults.database = "down"

    answer = api.get("/rest/v1/notes", headers={"Authorization": "Bearer abc"})

    assert (answer.status_code, answer.json["code"]) == (401, "PGRST301")


def test_a_database_that_is_slow(api, faults, monkeypatch):
    waited = []
    monkeypatch.setattr("sandbox.supabase.api.time.sleep", waited.append)

    assert twice(api, 2).json == 4
    assert waited == []
    faults.database = "slow"
    assert twice(api, 2).json == 4
    assert waited == [switches.SLOW_SECONDS]
    faults.update({"database": "up", "database_latency_ms": 250})
    assert twice(api, 2).json == 4
    assert waited[1:] == [0.25]


def test_nobody_listens_at_the_databases_address():
    api = create_app("postgresql://postgres@127.0.0.1:1/app", JWT_SECRET, Faults()).test_client()

    answer = twice(api, 2)

    assert (answer.status_code, answer.json["message"]) == (503, LOST)
    assert "Connection refused" in answer.json["details"]


def test_a_restarted_postgres_is_met_with_new_connections(api, backends):
    twice(api, 1)
    assert backends("pg_terminate_backend(pid, 5000)") == 1

    assert twice(api, 2).json == 4


def test_threads_share_ten_connections(app, backends):
    with Server(app) as server, httpx.Client(base_url=server.url, headers=SERVICE_ROLE) as http:

        def ask(n: int) -> int:
            return http.post("/rest/v1/rpc/twice", json={"n": n}).json()

        with ThreadPoolExecutor(30) as threads:
            assert list(threads.map(ask, range(200))) == [2 * n for n in range(200)]
    assert 1 <= backends() <= 10


def test_an_app_that_is_gone_leaves_no_connection(database, app_name, backends):
    url = psycopg.conninfo.make_conninfo(database, application_name=app_name)
    app = create_app(url, JWT_SECRET, Faults())
    twice(app.test_client(), 1)
    assert backends() == 1

    del app
    gc.collect()

    assert ended(backends)


def ended(backends: Callable[[str], int]) -> bool:
    """A closed connection is gone from Postgres' list a moment later."""
    return any(backends() == 0 for _ in range(1000))


def test_supabase_py_sees_an_outage(app, faults):
    faults.database = "down"
    with Server(app) as server, httpx.Client() as http:
        options = ClientOptions(httpx_client=http, postgrest_client_retry=False)
        client = create_client(server.url, api_key("service_role", JWT_SECRET), options)
        with pytest.raises(PostgrestAPIError) as caught:
            client.table("notes").select("id").execute()

    assert caught.value.code == "PGRST000"


def test_the_key_alone_is_a_token_too(api):
    headers = {"apikey": api_key("service_role", JWT_SECRET)}

    assert len(api.get("/rest/v1/notes", headers=headers).json) == 2
    assert api.get("/rest/v1/notes").status_code == 401


def test_a_browser_of_another_origin_may_read(api):
    origin = {"Origin": "http://localhost:3000"}
    preflight = origin | {
        "Access-Control-Request-Method": "GET",
        "Access-Control-Request-Headers": "apikey, authorization",
    }

    allowed = api.options("/rest/v1/notes", headers=preflight).headers
    answer = api.get("/rest/v1/notes", headers=SERVICE_ROLE | origin)

    assert allowed["Access-Control-Allow-Origin"] == "*"
    assert allowed["Access-Control-Allow-Headers"] == "apikey, authorization"
    assert answer.headers["Access-Control-Allow-Origin"] == "*"


@pytest.mark.parametrize(
    "query",
    [
        *["id=not.eq.1", "id=ilike.*1*", "text=fts.one", "id=eq(any).{1}"],
        *["id=1", "id=", "id=is.5", "id=in.1", 'text=in.("one)', "or=(id.eq.1)", "and=(id.eq.1)"],
        *["select=a:id", "select=id::text", "select=text->a", "select=count()", "select=notes(id)"],
        *["select=id,,text", "order=id.up", "order=notes(id)", "order=id.asc,", "limit=-1"],
        *["limit=x", "offset=-1", "notes.id=eq.1", "columns=id", "on_conflict=id", "text=eq.%00"],
    ],
)
def test_a_query_that_it_does_not_know_is_refused(api, query):
    answer = api.get(f"/rest/v1/notes?{query}", headers=SERVICE_ROLE)

    assert (answer.status_code, answer.json["code"]) == (400, "SANDBOX")
    assert query.split("=")[0] in answer.json["details"]


@pytest.mark.parametrize("header", ["Prefer: count=planned", "Prefer: tx=rollback", "Range: 0-1"])
def test_a_header_that_it_does_not_know_is_refused(api, header):
    name, value = header.split(": ")

    answer = api.get("/rest/v1/notes", headers=SERVICE_ROLE | {name: value})

    assert (answer.status_code, answer.json["code"]) == (400, "SANDBOX")


@pytest.mark.parametrize("accept", ["text/csv", "application/vnd.pgrst.object+json;nulls=stripped"])
def test_a_media_type_that_it_does_not_know_is_refused(api, accept):
    answer = api.get("/rest/v1/notes", headers=SERVICE_ROLE | {"Accept": accept})

    assert (answer.status_code, answer.json["code"]) == (406, "PGRST107")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        *[("POST", "notes"), ("PATCH", "notes?id=eq.1"), ("DELETE", "notes?id=eq.1")],
        *[("PUT", "notes?id=eq.1"), ("GET", "rpc/twice?n=1")],
    ],
)
def test_a_method_that_it_does_not_know_is_refused(api, method, path):
    answer = api.open(f"/rest/v1/{path}", method=method, json={}, headers=SERVICE_ROLE)

    assert (answer.status_code, answer.json["code"]) == (405, "SANDBOX")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        pytest.param("twice?select=*", {"json": {"n": 1}}, id="a query string"),
        pytest.param("twice", {"json": [{"n": 1}]}, id="a list of arguments"),
        pytest.param("twice", {"data": "{}", "content_type": "text/csv"}, id="another type"),
        pytest.param("either", {"json": {"n": 1}}, id="an overloaded function"),
    ],
)
def test_a_call_that_it_does_not_know_is_refused(api, path, body):
    answer = api.post(f"/rest/v1/rpc/{path}", headers=SERVICE_ROLE, **body)

    assert (answer.status_code, answer.json["code"]) == (400, "SANDBOX")
