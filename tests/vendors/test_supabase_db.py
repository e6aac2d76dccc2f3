"""What goes to Supabase, and what becomes of each answer. The transport below httpx is ours."""

import json
from collections.abc import Callable, Iterator
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment

import pytest
from alone import Clock
from given import row, settings
from supabase_answers import NOBODY, Supabase

from portal_service import deadline
from portal_service.supabase_db import ROW_COLUMNS, Database
from portal_service.supabase_errors import DatabaseError
from sandbox.web import Server

Json = dict[str, Any]
Ask = Callable[[Database], object]


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
    supabase.answer(
        json={
            "user_id": "7",
            "stripe_customer_id": "cus_1",
            "gone_customers": ["cus_0"],
            "subscriptions": rows,
        }
    )
    found = database.account("user_ada")
    assert (found.clerk_owner_id, found.user_id) == ("user_ada", "7")
    assert (found.linked_customer, list(found.rows)) == ("cus_1", rows[::-1])  # the best first
    assert (found.gone_customers, found.ignored_rows) == ({"cus_0"}, ())
    asked = supabase.request
    assert asked.method == "POST"
    assert str(asked.url) == "https://unit.supabase.co/rest/v1/rpc/billing_account"
    assert supabase.arguments == {"clerk_owner_id": "user_ada", "livemode": False}


def test_a_stranger_has_an_empty_account(supabase: Supabase, database: Database) -> None:
    supabase.answer(json=NOBODY)
    found = database.account("user_nobody")
    assert (found.user_id, found.linked_customer, found.rows) == (None, None, ())


def test_rows_of_ignored_products_are_told_from_those_that_count(supabase: Supabase) -> None:
    support = row(
        stripe_subscription_id="sub_2", price_id="price_support", product_id="prod_support"
    )
    supabase.answer(json=NOBODY | {"subscriptions": [support, row()]})
    found = Database(settings(ignored_products=("prod_support",))).account("user_ada")
    assert (found.rows, found.ignored_rows) == ((row(),), (support,))


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
        "clerk_owner_id": "user_ada", "livemode": False, "stripe_customer_id": "cus_1",
    }  # fmt: skip


def test_an_owner_is_forgotten(supabase: Supabase, database: Database) -> None:
    counts = {"subscriptions": 2, "customers": 1, "of_the_other_mode": 0}
    supabase.answer(200, json=counts)
    assert database.forget_owner("user_ada") == counts
    assert supabase.request.url.path == "/rest/v1/rpc/forget_owner"
    assert supabase.arguments == {"clerk_owner_id": "user_ada", "livemode": False}


@pytest.mark.parametrize("gone", [True, False])
def test_a_customer_is_marked_as_gone_or_not(
    supabase: Supabase, database: Database, gone: bool
) -> None:
    supabase.answer(204)
    database.mark_customer("cus_1", gone)
    assert supabase.request.url.path == "/rest/v1/rpc/mark_customer"
    assert supabase.arguments == {
        "stripe_customer_id": "cus_1", "livemode": False, "gone": gone,
    }  # fmt: skip


@pytest.mark.parametrize("revision", [None, 0, 17])
@pytest.mark.parametrize("clerk_owner_id", ["user_ada", None])
def test_a_write_says_what_it_expects(
    supabase: Supabase, database: Database, revision: int | None, clerk_owner_id: str | None
) -> None:
    stored = row(revision=18)
    supabase.answer(json=[stored])
    assert database.upsert(row(), clerk_owner_id, revision) == stored
    assert supabase.request.url.path == "/rest/v1/rpc/upsert_subscription"
    assert supabase.arguments == {
        "subscription": row(), "clerk_owner_id": clerk_owner_id, "expected_revision": revision,
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
        ([[{"clerk_owner_id": "user_ada"}]], True, ["billing_customers"]),
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


@pytest.mark.parametrize("found", [[{"clerk_owner_id": "user_ada"}], []])
def test_a_customer_is_linked_to_an_owner_or_to_none(
    supabase: Supabase, database: Database, found: list[Json]
) -> None:
    supabase.answer(json=found)
    assert database.owner_of_customer("cus_1") == ("user_ada" if found else None)
    assert supabase.request.url.path == "/rest/v1/billing_customers"
    assert supabase.request.url.params["stripe_customer_id"] == "eq.cus_1"


@pytest.mark.parametrize("customer", ["cus_1", None])
def test_rows_are_read_in_pages(
    supabase: Supabase, database: Database, customer: str | None
) -> None:
    for page in ([row()], []):
        supabase.answer(json=page)
    assert list(database.rows(customer)) == [row()]
    first, asked = (request.url.params for request in supabase.requests)
    assert first["stripe_subscription_id"] == "gt."
    assert asked["stripe_subscription_id"] == "gt.sub_1"
    assert asked.get("stripe_customer_id") == (customer and "eq.cus_1")
    assert asked["order"].startswith("stripe_subscription_id")
    assert int(asked["limit"]) > 100


def test_gone_customers_are_those_of_the_keys_mode(supabase: Supabase, database: Database) -> None:
    supabase.answer(json=[{"stripe_customer_id": "cus_0"}, {"stripe_customer_id": "cus_9"}])
    assert database.gone_customers() == ["cus_0", "cus_9"]
    assert supabase.request.url.path == "/rest/v1/gone_customers"
    assert supabase.request.url.params["livemode"].lower() == "eq.false"


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


def test_nothing_is_connected_before_the_first_question() -> None:
    database = Database(settings())
    assert "_client" not in vars(database)


# Time


def granted(supabase: Supabase) -> set[float]:
    return set(supabase.request.extensions["timeout"].values())


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
