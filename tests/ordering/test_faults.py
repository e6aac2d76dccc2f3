"""Whatever breaks in the middle of a delivery, the answer is no 2xx and comes in time, and Stripe's
redelivery ends in the right row.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
import stripe
from flask.testing import FlaskClient
from outside import Outside, assert_right, events_of, signed

from portal_service import Settings, create_app, deadline
from sandbox.world import WEBHOOK_PATH

Json = dict[str, Any]
BUDGET = 1.0
READ = ("GET", "/rest/v1/subscriptions")
WRITE = ("POST", "/rest/v1/rpc/upsert_subscription")


def client_of(out: Outside, **changes: str) -> FlaskClient:
    """A service with the time that it has by default (a busy machine is no fault), or with less."""
    return create_app(Settings.from_environment(out.environment | changes)).test_client()


@pytest.fixture
def client(out: Outside, monkeypatch: pytest.MonkeyPatch) -> FlaskClient:
    monkeypatch.setattr(stripe.HTTPClient, "INITIAL_DELAY", 0.01)  # before the SDK's own retry
    return client_of(out, STRIPE_TIMEOUT_SECONDS="0.2", DATABASE_TIMEOUT_SECONDS="0.5")


def deliver(client: FlaskClient, event: Json) -> Any:
    body, headers = signed(event)
    return client.post(WEBHOOK_PATH, data=body, headers=headers)


def at(place: tuple[str, str], kind: Any) -> Any:
    """A fault of one kind of request."""
    return lambda method, path: kind if (method, path) == place else None


# What each answer of a vendor's means is in vendors/; here is one of each kind.
DATABASE_FAULTS = {
    "refuses": lambda method, path: "refused",
    "hangs": lambda method, path: "hanging",
    "is gone when the row is to be read": at(READ, "refused"),
}
WRITE_FAULTS = {
    "hangs when the row is to be written": ("hanging", 1),
    "answers garbage to the write": ("garbage", 1),
    # A reset connection is asked once more, so it takes two.
    "dies between read and write, and again": ("refused", 2),
    "dies when the row is written, before it says so, and again": ("cut", 2),
}
RESETS = {"dies between read and write": "refused",
          "dies when the row is written, before it says so": "cut"}  # fmt: skip
STRIPE_FAULTS = {
    "answers 500": 500,
    "answers 401": 401,
    "says nothing": "hanging",
    "dies when it has answered": "cut",
}


def at_the_slow_write(kind: str, times: int = 1) -> Any:
    """The first write is the fast path's, which finds no row."""
    seen: list[str] = []

    def fault(method: str, path: str) -> str | None:
        if (method, path) != WRITE:
            return None
        seen.append(path)
        return kind if 2 <= len(seen) < 2 + times else None

    return fault


@pytest.mark.parametrize("fault", DATABASE_FAULTS)
def test_the_database_breaks(fault: str, out: Outside, client: FlaskClient, rows) -> None:
    out.database.fault = DATABASE_FAULTS[fault]
    _refused_then_right(out, client, rows, "database_unavailable")


@pytest.mark.parametrize("fault", WRITE_FAULTS)
def test_the_database_breaks_at_the_write(fault: str, out: Outside, client, rows) -> None:
    out.database.fault = at_the_slow_write(*WRITE_FAULTS[fault])
    _refused_then_right(out, client, rows, "database_unavailable")


@pytest.mark.parametrize("reset", RESETS)
def test_one_reset_of_the_connection_is_nobodys_trouble(reset: str, out: Outside, rows) -> None:
    out.database.fault = at_the_slow_write(RESETS[reset])
    subscription = out.world.stripe.create_subscription("user_ada", "price_pro")["id"]
    assert deliver(client_of(out), events_of(out.world, subscription)[0]).status_code == 200
    assert_right(out, rows, subscription)


@pytest.mark.parametrize("fault", STRIPE_FAULTS)
def test_stripe_breaks(fault: str, out: Outside, client: FlaskClient, rows) -> None:
    out.stripe.fault = lambda method, path: STRIPE_FAULTS[fault]
    code = "internal_error" if fault == "answers 401" else "stripe_unavailable"
    _refused_then_right(out, client, rows, code)


def test_the_database_refuses_connections(out: Outside, rows, monkeypatch) -> None:
    nobody_listens = out.environment | {"SUPABASE_URL": "http://127.0.0.1:1"}
    client = create_app(Settings.from_environment(nobody_listens)).test_client()
    out.world.stripe.create_subscription("user_ada", "price_pro")
    (subscription,) = out.world.stripe.subscriptions
    answer = deliver(client, events_of(out.world, subscription)[0])
    assert (answer.status_code, answer.json["code"]) == (503, "database_unavailable")


def _refused_then_right(out: Outside, client: FlaskClient, rows, code: str) -> None:
    """A first delivery meets the fault; a second one comes when it is over."""
    subscription = out.world.stripe.create_subscription("user_ada", "price_pro")["id"]
    event = events_of(out.world, subscription)[0]

    answer = deliver(client, event)
    assert not (out.database.outwaited or out.stripe.outwaited)
    assert answer.status_code >= 500
    assert answer.json["code"] == code
    assert (answer.status_code == 503) == ("Retry-After" in answer.headers)

    out.heal()
    out.world.stripe.act(subscription, "cancel_at_period_end")
    assert deliver(client_of(out), event).status_code == 200
    assert_right(out, rows, subscription)


# Time


@contextmanager
def short_budget() -> Iterator[None]:
    """A request has a tenth of its time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stripe.HTTPClient, "INITIAL_DELAY", 0.05)
        patch.setattr(deadline, "REQUEST_SECONDS", BUDGET)
        patch.setattr(deadline.begin, "__defaults__", (BUDGET,))
        yield


@pytest.mark.parametrize("who", ["database", "stripe"])
def test_no_answer_takes_longer_than_the_budget(who: str, out: Outside) -> None:
    client = client_of(out, STRIPE_TIMEOUT_SECONDS="0.5", DATABASE_TIMEOUT_SECONDS="0.5")
    getattr(out, who).fault = lambda method, path: "hanging"
    subscription = out.world.stripe.create_subscription("user_ada", "price_pro")["id"]
    event = events_of(out.world, subscription)[0]

    with short_budget(), ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: deliver(client, event), range(6)))
    assert not getattr(out, who).outwaited
    assert {answer.status_code for answer in answers} == {503}


def test_who_always_loses_gives_up_in_time(out: Outside, rows) -> None:
    client = client_of(out)
    subscription = out.world.stripe.create_subscription("user_ada", "price_pro")["id"]
    event = events_of(out.world, subscription)[0]
    assert deliver(client, event).status_code == 200
    asked = []

    def somebody_else_writes(method: str, path: str) -> None:
        asked.append(path)
        with psycopg.connect(out.world.database_url) as connection:
            connection.execute("update subscriptions set revision = revision + 1")

    out.stripe.fault = somebody_else_writes
    with short_budget():
        answer = deliver(client, event)
    assert answer.status_code == 503
    assert len(asked) > 2
    out.heal()
    assert deliver(client, event).status_code == 200
    assert_right(out, rows, subscription)
