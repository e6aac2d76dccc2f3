"""What becomes of Supabase's failures, what is asked once more, what the migrations would mend."""

import logging
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from alone import Clock, Log
from given import row
from supabase_answers import NOBODY, Supabase

from portal_service import deadline
from portal_service.errors import ServiceError
from portal_service.supabase_db import ROW_COLUMNS, Database
from portal_service.supabase_errors import DatabaseAway, DatabaseError, ValueRefused

Json = dict[str, Any]
Ask = Callable[[Database], object]

ASKS: dict[str, Ask] = {
    "account": lambda d: d.account("user_ada"),
    "link": lambda d: d.link_customer("user_ada", "cus_1"),
    "mark": lambda d: d.mark_customer("cus_1", gone=True),
    "forget": lambda d: d.forget_owner("user_ada"),
    "write": lambda d: d.upsert(row(), None, 5),
    "row": lambda d: d.row("sub_1"),
    "customer": lambda d: d.knows_customer("cus_1"),
    "rows": lambda d: next(d.rows(), None),
    "gone": lambda d: d.gone_customers(),
    "rows by id": lambda d: d.rows_by_id(["sub_1"]),
    "schema": lambda d: d.missing_schema(),
}


def complaint(code: str, message: str = "oops") -> Json:
    return {"code": code, "details": None, "hint": None, "message": message}


FAILURES: dict[str, Json] = {
    "database down": {"status": 503, "json": complaint("PGRST000")},
    "no schema cache": {"status": 503, "json": complaint("PGRST002")},
    "no connection free": {"status": 504, "json": complaint("PGRST003")},
    "statement timeout": {"status": 500, "json": complaint("57014")},
    "shutting down": {"status": 503, "json": complaint("57P01")},
    "bad key": {"status": 401, "json": complaint("PGRST301")},
    "an empty 401": {"status": 401, "content": b""},
    "no grant": {"status": 403, "json": complaint("42501")},
    "our own mistake": {"status": 400, "json": complaint("42601")},
    "no state of SQL": {"status": 400, "json": complaint("22")},
    "a code of PostgREST's": {"status": 400, "json": complaint("PGRST100")},
    "too many requests": {"status": 429, "content": b"slow down"},
    "a proxy's page": {"status": 502, "content": b"<html>Bad gateway</html>"},
    "an error without a code": {"status": 500, "json": {}},
    "an error that is a list": {"status": 500, "json": []},
    "an error that is null": {"status": 500, "json": None},
    "a page with 200": {"status": 200, "content": b"<html>hello</html>"},
    "a text with 200": {"status": 200, "json": "text"},
    "a number with 200": {"status": 200, "json": 7},
    "bytes with 200": {"status": 200, "content": b"\xff\xfe"},
}
# What the transport raises of a broken line, and how often it asked by then.
BROKEN_LINES = [
    (httpx.ConnectError("refused"), 1), (httpx.ReadTimeout("slow"), 1),
    (httpx.ReadError("reset"), 2),
]  # fmt: skip


def unavailable(ask: Ask, database: Database) -> DatabaseError:
    with pytest.raises(ServiceError) as error:
        ask(database)
    assert (error.value.code, error.value.status) == ("database_unavailable", 503)
    assert error.value.retry_after
    assert isinstance(error.value, DatabaseError)
    return error.value


@pytest.mark.parametrize("ask", ASKS.values(), ids=ASKS)
def test_every_failure_is_the_database_unavailable_after_one_try(
    supabase: Supabase, database: Database, ask: Ask
) -> None:
    for what, failure in FAILURES.items():
        supabase.forget()
        supabase.answer(**failure)
        unavailable(ask, database)
        assert len(supabase.requests) == 1, what


@pytest.mark.parametrize("ask", ASKS.values(), ids=ASKS)
def test_every_broken_line_is_the_database_unavailable(
    supabase: Supabase, database: Database, ask: Ask
) -> None:
    for error, asked in BROKEN_LINES:
        supabase.forget()
        supabase.fail(error)
        assert unavailable(ask, database).database_code == type(error).__name__
        assert len(supabase.requests) == asked, error


ANSWERS: dict[str, Any] = {
    "account": NOBODY, "link": [], "mark": [], "write": [row()], "row": [row()],
    "customer": [{"clerk_owner_id": "user_ada"}], "rows": [row()], "rows by id": [row()],
    "gone": [{"stripe_customer_id": "cus_0"}],
}  # fmt: skip


@pytest.mark.parametrize("asked", ANSWERS)
def test_a_connection_that_was_reset_is_no_failure_of_any_call(
    supabase: Supabase, database: Database, log: Log, asked: str
) -> None:
    supabase.answer(json=ANSWERS[asked])
    undisturbed = ASKS[asked](database)
    supabase.forget()
    supabase.fail(httpx.ReadError("reset"))
    supabase.answer(json=ANSWERS[asked])
    assert ASKS[asked](database) == undisturbed
    sent = [(one.method, one.url, one.content) for one in supabase.requests]
    assert len(sent) == 2 and sent[0] == sent[1]
    assert log.messages == []


def test_it_is_not_asked_again_when_no_time_is_left(
    supabase: Supabase, database: Database, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    handle = supabase.handle

    def slow(request: httpx.Request) -> httpx.Response:
        clock.now += 10
        return handle(request)

    monkeypatch.setattr(supabase, "handle", slow)
    supabase.fail(httpx.ReadError("reset"))
    deadline.begin()
    unavailable(ASKS["row"], database)
    assert len(supabase.requests) == 1


REFUSED = [
    "22003",  # a number too large
    "22007",  # no time at all
    "22P02",  # not of its type
    "23502",  # null
    "23505",  # there already
    "23514",  # a check
    "P0001",  # `raise` of a trigger, or of link_customer: somebody else's
]


@pytest.mark.parametrize("code", REFUSED)
def test_a_value_that_is_refused_for_good_is_no_unavailable_database(
    supabase: Supabase, database: Database, log: Log, code: str
) -> None:
    supabase.answer(400, json=complaint(code, "value out of range"))
    for count, ask in enumerate(ASKS.values(), start=1):
        log.records.clear()
        with pytest.raises(ValueRefused) as error:
            ask(database)
        assert (error.value.code, error.value.status) == ("internal_error", 500)
        assert error.value.retry_after is None
        assert error.value.database_code == code
        assert log.at(logging.ERROR) == ["supabase call failed"]
        assert log.fields("supabase call failed")["code"] == code
        assert len(supabase.requests) == count


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


PASSES = [
    "PGRST000",
    "PGRST002",
    "PGRST003",
    "57014",
    "57P01",
    "53300",
    "08006",
    "55P03",
    "",
    "502",
]
STAYS = ["PGRST301", "PGRST202", "PGRST106", "42501", "42P01", "40001", "40P01", "23505", "401"]


@pytest.mark.parametrize("code", [*PASSES, *STAYS])
def test_a_command_tries_again_where_the_next_moment_can_be_another(
    supabase: Supabase, database: Database, code: str
) -> None:
    supabase.answer(503, json=complaint(code))
    with pytest.raises(DatabaseError) as error:
        database.account("user_ada")
    assert isinstance(error.value, DatabaseAway) == (code in PASSES)


def test_the_log_has_the_code_and_the_message_and_no_key(
    supabase: Supabase, database: Database, log: Log
) -> None:
    supabase.answer(500, json=complaint("57014", "null value in column"))
    unavailable(ASKS["account"], database)
    assert log.at(logging.ERROR) == ["supabase call failed"]
    assert log.fields("supabase call failed")["code"] == "57014"
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
        (404, "PGRST202", "Could not find the function public.billing_account(clerk_owner_id, "
         "livemode) in the schema cache", "billing_account"),
        (404, "42P01", 'relation "public.billing_customers" does not exist', "billing_customers"),
        (404, "42P01", 'relation "public.gone_customers" does not exist', "gone_customers"),
        (400, "PGRST204", "something else", "schema"),
    ],
)  # fmt: skip
def test_what_a_migration_would_have_made_is_named(
    supabase: Supabase, database: Database, status: int, code: str, message: str, missing: str
) -> None:
    supabase.answer(status, json=complaint(code, message))
    assert database.missing_schema() == missing


def test_every_missing_column_is_named_by_itself(supabase: Supabase, database: Database) -> None:
    for column in ROW_COLUMNS:
        supabase.forget()
        message = f"column subscriptions.{column} does not exist"
        supabase.answer(400, json=complaint("42703", message))
        assert database.missing_schema() == f"subscriptions.{column}"
