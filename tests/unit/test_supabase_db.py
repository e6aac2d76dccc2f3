"""What goes to Supabase, and what becomes of each answer. The transport below httpx is ours."""

import json
import logging
from collections.abc import Callable, Iterator
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment

import httpx
import pytest

from portal_service import deadline
from portal_service.errors import ServiceError
from portal_service.supabase_db import ROW_COLUMNS, Database, DatabaseError
from sandbox.web import Server

from .conftest import Log
from .given import row, settings

Json = dict[str, Any]
Ask = Callable[[Database], object]


class Supabase:
    """Answers with what it was told, in turn, the last one again and again."""

    def __init__(self) -> None:
        self.requests: list[httpx.Request] = []
        self.answers: list[httpx.Response | Exception] = []

    def answer(self, status: int = 200, **content: Any) -> None:
        self.answers.append(httpx.Response(status, **content))

    def fail(self, error: Exception) -> None:
        self.answers.append(error)

    def handle(self, _: httpx.HTTPTransport, request: httpx.Request) -> httpx.Response:
        request.read()
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)

    @property
    def request(self) -> httpx.Request:
        """The only one."""
        (only,) = self.requests
        return only

    @property
    def arguments(self) -> Any:
        return json.loads(self.request.content)


@pytest.fixture
def supabase(monkeypatch: pytest.MonkeyPatch) -> Supabase:
    supabase = Supabase()
    monkeypatch.setattr(
        httpx.HTTPTransport, "handle_request", lambda self, request: supabase.handle(self, request)
    )
    return supabase


@pytest.fixture(scope="module")
def database() -> Database:
    """One for all, since a client takes its time to be made."""
    return Database(settings())


NOBODY = {"user_id": None, "stripe_customer_id": None, "subscriptions": []}


# What is sent


@pytest.mark.parametrize("schema", ["public", "billing"])
def test_reading_and_calling_name_the_schema(supabase: Supabase, schema: str) -> None:
    database = Database(settings(supabase_schema=schema))
    supabase.answer(json=[])
    supabase.answer(json=NOBODY)

    database.row("sub_1")
    database.account("user_ada")

    read, called = (asked.headers for asked in supabase.requests)
    assert (read["Accept-Profile"], called["Content-Profile"]) == (schema, schema)


def test_the_account_of_a_user_is_one_call(supabase: Supabase, database: Database) -> None:
    rows = [row(), row(stripe_subscription_id="sub_2")]
    supabase.answer(json={"user_id": "7", "stripe_customer_id": "cus_1", "subscriptions": rows})
    found = database.account("user_ada")
    assert (found.clerk_user_id, found.user_id) == ("user_ada", "7")
    assert (found.linked_customer, list(found.rows)) == ("cus_1", rows)
    asked = supabase.request
    assert asked.method == "POST"
    assert str(asked.url) == "https://unit.supabase.co/rest/v1/rpc/billing_account"
    assert supabase.arguments == {"clerk_user_id": "user_ada", "livemode": False}


def test_a_stranger_has_an_empty_account(supabase: Supabase, database: Database) -> None:
    supabase.answer(json=NOBODY)
    found = database.account("user_nobody")
    assert (found.user_id, found.linked_customer, found.rows) == (None, None, ())


def test_a_live_key_asks_for_live_rows(supabase: Supabase) -> None:
    supabase.answer(json=NOBODY)
    Database(settings(stripe_secret_key="sk_live_unit")).account("user_ada")
    assert supabase.arguments["livemode"] is True


@pytest.mark.parametrize("key", ["sb_secret_unit", "eyJhbGciOi.eyJyb2xlI.c2ln"])
def test_every_request_is_the_admins(supabase: Supabase, key: str) -> None:
    supabase.answer(json=NOBODY)
    Database(settings(supabase_key=key)).account("user_ada")
    sent = supabase.request.headers
    assert sent["apikey"] == key
    assert sent["authorization"] == f"Bearer {key}"
    assert "mozilla" not in sent["user-agent"].lower()  # secret keys are refused from browsers


def test_a_customer_is_linked(supabase: Supabase, database: Database) -> None:
    supabase.answer(204)
    database.link_customer("user_ada", "cus_1")
    assert supabase.request.url.path == "/rest/v1/rpc/link_customer"
    assert supabase.arguments == {
        "clerk_user_id": "user_ada", "livemode": False, "stripe_customer_id": "cus_1",
    }  # fmt: skip


@pytest.mark.parametrize("revision", [None, 0, 17])
@pytest.mark.parametrize("clerk_user_id", ["user_ada", None])
def test_a_write_says_what_it_expects(
    supabase: Supabase, database: Database, revision: int | None, clerk_user_id: str | None
) -> None:
    stored = row(revision=18)
    supabase.answer(json=[stored])
    assert database.upsert(row(), clerk_user_id, revision) == stored
    assert supabase.request.url.path == "/rest/v1/rpc/upsert_subscription"
    assert supabase.arguments == {
        "subscription": row(), "clerk_user_id": clerk_user_id, "expected_revision": revision,
    }  # fmt: skip


def test_a_write_that_is_not_decisive_stores_nothing(
    supabase: Supabase, database: Database
) -> None:
    supabase.answer(json=[])
    assert database.upsert(row(), None, None) is None


@pytest.mark.parametrize("found", [row(), None], ids=["there", "not there"])
def test_a_row_is_read_by_its_subscription(
    supabase: Supabase, database: Database, found: Json | None
) -> None:
    supabase.answer(json=[found] if found else [])
    assert database.row("sub_1") == found
    asked = supabase.request
    assert (asked.method, asked.url.path) == ("GET", "/rest/v1/subscriptions")
    assert dict(asked.url.params) == {
        "select": ",".join(ROW_COLUMNS), "stripe_subscription_id": "eq.sub_1", "limit": "1",
    }  # fmt: skip
    assert "pgrst.object" not in asked.headers["accept"]  # `.single()` is an error without a row


@pytest.mark.parametrize(
    "odd", ["sub_1&user_id=eq.7", "sub_1,sub_2", "eq.sub_1", "sub 1", 'sub"1', "é", "(sub_1)", ""]
)
def test_an_odd_id_stays_one_value(supabase: Supabase, database: Database, odd: str) -> None:
    supabase.answer(json=[])
    database.row(odd)
    assert supabase.request.url.params.get_list("stripe_subscription_id") == [f"eq.{odd}"]
    assert set(supabase.request.url.params) == {"select", "stripe_subscription_id", "limit"}


@pytest.mark.parametrize(
    ("answers", "known", "tables"),
    [
        ([[{"clerk_user_id": "user_ada"}]], True, ["billing_customers"]),
        ([[], [{"stripe_customer_id": "cus_1"}]], True, ["billing_customers", "subscriptions"]),
        ([[], []], False, ["billing_customers", "subscriptions"]),
    ],
)
def test_a_customer_is_known_by_a_link_or_by_a_row(
    supabase: Supabase, database: Database, answers: list[Any], known: bool, tables: list[str]
) -> None:
    for answer in answers:
        supabase.answer(json=answer)
    assert database.knows_customer("cus_1") is known
    assert [asked.url.path for asked in supabase.requests] == [f"/rest/v1/{t}" for t in tables]
    assert all(asked.url.params["stripe_customer_id"] == "eq.cus_1" for asked in supabase.requests)


@pytest.mark.parametrize("found", [[{"clerk_user_id": "user_ada"}], []])
def test_a_customer_is_linked_to_a_user_or_to_none(
    supabase: Supabase, database: Database, found: list[Json]
) -> None:
    supabase.answer(json=found)
    assert database.linked_user("cus_1") == ("user_ada" if found else None)
    assert supabase.request.url.path == "/rest/v1/billing_customers"
    assert supabase.request.url.params["stripe_customer_id"] == "eq.cus_1"


@pytest.mark.parametrize("customer", ["cus_1", None])
def test_rows_are_read_in_pages(
    supabase: Supabase, database: Database, customer: str | None
) -> None:
    supabase.answer(json=[row()])
    assert database.rows("sub_0", customer) == [row()]
    asked = supabase.request.url.params
    assert asked["stripe_subscription_id"] == "gt.sub_0"
    assert asked.get("stripe_customer_id") == (customer and "eq.cus_1")
    assert asked["order"].startswith("stripe_subscription_id")
    assert int(asked["limit"]) > 100


def test_rows_are_found_by_their_ids(supabase: Supabase, database: Database) -> None:
    supabase.answer(json=[row(stripe_subscription_id="sub_2")])
    assert set(database.rows_by_id(["sub_1", "sub_2"])) == {"sub_2"}
    assert supabase.request.url.params["stripe_subscription_id"] == "in.(sub_1,sub_2)"


# The connection


@pytest.fixture
def served() -> Iterator[tuple[list[WSGIEnvironment], str]]:
    """A real server, and what it was asked."""
    asked: list[WSGIEnvironment] = []

    def app(environ: WSGIEnvironment, start: StartResponse) -> list[bytes]:
        asked.append(environ)
        start("200 OK", [("Content-Type", "application/json")])
        return [json.dumps(NOBODY).encode()]

    with Server(app) as server:
        yield asked, server.url


def test_one_client_speaks_http_1_1(served: tuple[list[WSGIEnvironment], str]) -> None:
    asked, url = served
    database = Database(settings(supabase_url=url))
    for _ in range(3):
        database.account("user_ada")
    assert {environ["SERVER_PROTOCOL"] for environ in asked} == {"HTTP/1.1"}
    assert database._client is database._client
    # httpx's HTTP/2, which TLS would negotiate, is not thread-safe.
    assert database._client.options.httpx_client._transport._pool._http2 is False  # type: ignore


def test_nothing_is_connected_before_the_first_question() -> None:
    database = Database(settings())
    assert "_client" not in vars(database)


# Time


def granted(supabase: Supabase) -> set[float]:
    return set(supabase.request.extensions["timeout"].values())


class Clock:
    now = 5000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(deadline, "time", clock)
    return clock


@pytest.mark.parametrize("seconds", [0.5, 2.0, 2.9])
def test_an_attempt_has_the_configured_time(supabase: Supabase, seconds: float) -> None:
    supabase.answer(json=NOBODY)
    Database(settings(database_timeout=seconds)).account("user_ada")
    assert granted(supabase) == {seconds}


@pytest.mark.parametrize(("spent", "seconds"), [(0, 2), (8, 2), (9, 1), (9.75, 0.25)])
def test_an_attempt_has_at_most_what_is_left_of_the_budget(
    supabase: Supabase, database: Database, clock: Clock, spent: float, seconds: float
) -> None:
    supabase.answer(json=NOBODY)
    deadline.begin()
    clock.now += spent
    database.account("user_ada")
    assert granted(supabase) == {seconds}


@pytest.mark.parametrize("ask", [lambda d: d.account("user_ada"), lambda d: d.row("sub_1")])
def test_nothing_is_asked_when_no_time_is_left(
    supabase: Supabase, database: Database, clock: Clock, ask: Ask
) -> None:
    deadline.begin()
    clock.now += 10
    with pytest.raises(DatabaseError) as error:
        ask(database)
    assert (error.value.code, supabase.requests) == ("database_unavailable", [])


# Failures

ASKS: dict[str, Ask] = {
    "account": lambda d: d.account("user_ada"),
    "link": lambda d: d.link_customer("user_ada", "cus_1"),
    "write": lambda d: d.upsert(row(), None, 5),
    "row": lambda d: d.row("sub_1"),
    "customer": lambda d: d.knows_customer("cus_1"),
    "schema": lambda d: d.missing_schema(),
}


def complaint(code: str, message: str = "oops") -> Json:
    return {"code": code, "details": None, "hint": None, "message": message}


FAILURES: list[Any] = [
    pytest.param({"status": 503, "json": complaint("PGRST000")}, id="database down"),
    pytest.param({"status": 503, "json": complaint("PGRST002")}, id="no schema cache"),
    pytest.param({"status": 504, "json": complaint("PGRST003")}, id="no connection free"),
    pytest.param({"status": 500, "json": complaint("57014")}, id="statement timeout"),
    pytest.param({"status": 503, "json": complaint("57P01")}, id="shutting down"),
    pytest.param({"status": 401, "json": complaint("PGRST301")}, id="bad key"),
    pytest.param({"status": 401, "content": b""}, id="an empty 401"),
    pytest.param({"status": 403, "json": complaint("42501")}, id="no grant"),
    pytest.param({"status": 400, "json": complaint("23502")}, id="not null"),
    pytest.param({"status": 429, "content": b"slow down"}, id="too many requests"),
    pytest.param({"status": 502, "content": b"<html>Bad gateway</html>"}, id="a proxy's page"),
    pytest.param({"status": 500, "json": {}}, id="an error without a code"),
    pytest.param({"status": 500, "json": []}, id="an error that is a list"),
    pytest.param({"status": 500, "json": None}, id="an error that is null"),
    pytest.param({"status": 200, "content": b"<html>hello</html>"}, id="a page with 200"),
    pytest.param({"status": 200, "json": "text"}, id="a text with 200"),
    pytest.param({"status": 200, "json": 7}, id="a number with 200"),
    pytest.param({"status": 200, "content": b"\xff\xfe"}, id="bytes with 200"),
]
BROKEN_LINES = [
    httpx.ConnectError("refused"), httpx.ConnectTimeout("slow"), httpx.ReadTimeout("slow"),
    httpx.WriteTimeout("slow"), httpx.PoolTimeout("full"), httpx.ReadError("reset"),
    httpx.WriteError("reset"), httpx.CloseError("x"), httpx.RemoteProtocolError("bye"),
    httpx.LocalProtocolError("x"), httpx.ProxyError("x"), httpx.UnsupportedProtocol("x"),
    httpx.DecodingError("x"), httpx.TooManyRedirects("x"),
]  # fmt: skip


def unavailable(ask: Ask, database: Database) -> DatabaseError:
    with pytest.raises(ServiceError) as error:
        ask(database)
    assert (error.value.code, error.value.status) == ("database_unavailable", 503)
    assert error.value.retry_after
    assert isinstance(error.value, DatabaseError)
    return error.value


@pytest.mark.parametrize("ask", ASKS.values(), ids=ASKS)
@pytest.mark.parametrize("failure", FAILURES)
def test_every_failure_is_the_database_unavailable_after_one_try(
    supabase: Supabase, database: Database, ask: Ask, failure: Json
) -> None:
    supabase.answer(**failure)
    unavailable(ask, database)
    assert len(supabase.requests) == 1


@pytest.mark.parametrize("ask", ASKS.values(), ids=ASKS)
@pytest.mark.parametrize("error", BROKEN_LINES, ids=lambda error: type(error).__name__)
def test_every_broken_line_is_the_database_unavailable_after_one_try(
    supabase: Supabase, database: Database, ask: Ask, error: Exception
) -> None:
    supabase.fail(error)
    assert unavailable(ask, database).database_code == type(error).__name__
    assert len(supabase.requests) == 1


@pytest.mark.parametrize("code", ["40P01", "40001"])
def test_somebody_else_writing_is_no_failure_of_a_write(
    supabase: Supabase, database: Database, log: Log, code: str
) -> None:
    supabase.answer(500, json=complaint(code))
    assert database.upsert(row(), None, 5) is None
    assert log.at(logging.ERROR) == []


@pytest.mark.parametrize("code", ["40P01", "40001"])
def test_somebody_else_writing_is_a_failure_of_anything_else(
    supabase: Supabase, database: Database, code: str
) -> None:
    supabase.answer(500, json=complaint(code))
    assert unavailable(ASKS["account"], database).database_code == code


def test_the_log_has_the_code_and_the_message_and_no_key(
    supabase: Supabase, database: Database, log: Log
) -> None:
    supabase.answer(400, json=complaint("23502", "null value in column"))
    unavailable(ASKS["account"], database)
    assert log.at(logging.ERROR) == ["supabase call failed"]
    assert log.fields("supabase call failed")["code"] == "23502"
    assert "null value in column" in log.text
    assert "sb_secret_unit" not in log.text


# The schema


def test_nothing_is_missing_when_all_is_there(supabase: Supabase, database: Database) -> None:
    supabase.answer(json=[])
    supabase.answer(json=NOBODY)
    assert database.missing_schema() is None
    assert [asked.url.path.removeprefix("/rest/v1/") for asked in supabase.requests] == [
        "subscriptions", "rpc/billing_account",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("status", "code", "message", "missing"),
    [
        (400, "42703", "column subscriptions.revision does not exist", "subscriptions.revision"),
        (400, "42703", 'column subscriptions.price_id does not exist', "subscriptions.price_id"),
        (404, "42P01", 'relation "public.subscriptions" does not exist', "subscriptions"),
        (404, "PGRST205", "Could not find the table 'public.subscriptions' in the schema cache",
         "subscriptions"),
        (404, "42883", "function billing_account(text, boolean) does not exist",
         "billing_account"),
        (404, "PGRST202", "Could not find the function public.billing_account(clerk_user_id, "
         "livemode) in the schema cache", "billing_account"),
        (404, "42P01", 'relation "public.billing_customers" does not exist', "billing_customers"),
        (404, "PGRST202", "Could not find the function billing.billing_account(clerk_user_id, "
         "livemode) in the schema cache", "billing_account"),
        (400, "PGRST204", "something else", "schema"),
        (406, "PGRST106", "Invalid schema: billing", "schema"),
    ],
)  # fmt: skip
def test_what_a_migration_would_have_made_is_named(
    supabase: Supabase, database: Database, status: int, code: str, message: str, missing: str
) -> None:
    supabase.answer(status, json=complaint(code, message))
    assert database.missing_schema() == missing


@pytest.mark.parametrize("column", ROW_COLUMNS)
def test_every_missing_column_is_named_by_itself(
    supabase: Supabase, database: Database, column: str
) -> None:
    message = f"column subscriptions.{column} does not exist"
    supabase.answer(400, json=complaint("42703", message))
    assert database.missing_schema() == f"subscriptions.{column}"
