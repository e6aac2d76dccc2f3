"""A row that has outlived its own date asks Stripe, for no webhook may ever come: at most once an
hour, for two seconds at most, and the row as it is answers where Stripe does not.
"""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from service_under_test import (
    Json,
    Log,
    MakeService,
    OtherStripe,
    Service,
    calls,
    days_ahead,
    edit_row,
    execute,
    iso,
    known_subscription,
    last_event,
    put_row,
    rows,
)

from portal_service import refresh
from sandbox.world import World

HOUR = 1 / 24
UNHEARD = "a row past its own date could not be refreshed"


def ago(hours: float) -> str:
    return iso(days_ahead(-hours * HOUR))


@pytest.fixture
def lost(world: World, service: Service) -> Json:
    """A subscription that ended at Stripe, and nobody told."""
    subscription = known_subscription(service)
    world.stripe.act(subscription["id"], "cancel_now")
    world.stripe.calls.clear()
    return subscription


def question(subscription: Json) -> str:
    return f"GET /v1/subscriptions/{subscription['id']}"


@pytest.mark.parametrize(
    "hours_ago, asked",
    [
        ({"current_period_end": 25}, True),
        ({"current_period_end": 23}, False),
        ({"current_period_end": 30 * 24}, True),
        ({"cancel_at": 2}, True),
        ({"cancel_at": 30 * 24}, True),
        ({"cancel_at": 0.9}, False),
        ({"cancel_at": -24}, False),
        ({"trial_end": 2, "status": "trialing"}, True),
        ({"trial_end": 10 * 24, "status": "trialing"}, True),
        ({"trial_end": 0.9, "status": "trialing"}, False),
        ({"trial_end": 10 * 24, "status": "active"}, False),  # over since long, and paid
        ({"current_period_end": None}, False),
        ({}, False),
    ],
)
def test_its_own_date_is_past_by_an_hour_or_its_period_by_a_day(
    world: World, service: Service, lost: Json, hours_ago: Json, asked: bool
) -> None:
    now = datetime.now(UTC)  # a slow suite may have begun an hour ago
    dates = {
        name: iso(now - timedelta(hours=value)) if isinstance(value, (int, float)) else value
        for name, value in hours_ago.items()
    }
    edit_row(world, lost["id"], as_of=ago(48), **dates)

    shown = service.shown()
    assert calls(world.stripe) == ([question(lost)] if asked else [])
    assert shown["subscribed"] is not asked
    assert rows(world)[lost["id"]]["status"] == (
        "canceled" if asked else dates.get("status", "active")
    )


@pytest.mark.parametrize(
    "minutes, asked", [(None, True), (0, False), (58, False), (61, True), (60 * 48, True)]
)
def test_it_is_asked_unless_stripe_was_heard_of_within_the_hour(
    world: World, service: Service, lost: Json, minutes: int | None, asked: bool
) -> None:
    as_of = None if minutes is None else iso(datetime.now(UTC) - timedelta(minutes=minutes))
    edit_row(world, lost["id"], as_of=as_of, cancel_at=ago(48))

    assert service.shown()["subscribed"] is not asked
    assert calls(world.stripe) == ([question(lost)] if asked else [])


@pytest.mark.parametrize("status", ["past_due", "unpaid", "incomplete", "paused"])
def test_whatever_has_not_ended_is_asked_about(
    world: World, service: Service, lost: Json, status: str
) -> None:
    edit_row(world, lost["id"], as_of=ago(48), status=status, current_period_end=ago(48))

    assert service.shown()["status"] == "canceled"


@pytest.mark.parametrize("status", ["canceled", "incomplete_expired"])
def test_what_has_ended_is_never_asked_about(world: World, service: Service, status: str) -> None:
    put_row(world, status=status, current_period_end=ago(48), cancel_at=ago(48), as_of=None)

    assert service.shown()["plan"] == "free"
    assert calls(world.stripe) == []


def test_a_row_without_a_subscription_id_has_nothing_to_ask_about(
    world: World, service: Service
) -> None:
    execute(world, "alter table subscriptions drop constraint subscriptions_pkey")
    execute(world, "alter table subscriptions alter stripe_subscription_id drop not null")
    try:
        put_row(world, stripe_subscription_id=None, current_period_end=ago(48), as_of=None)
        assert service.shown()["subscribed"]
        assert calls(world.stripe) == []
    finally:
        execute(world, "delete from subscriptions")
        execute(world, "alter table subscriptions add primary key (stripe_subscription_id)")


def test_only_the_row_that_speaks_is_asked_about(
    world: World, service: Service, lost: Json
) -> None:
    edit_row(world, lost["id"], as_of=ago(48), cancel_at=ago(48))
    better = known_subscription(service, "price_team")

    assert service.shown()["plan"] == "team"
    assert calls(world.stripe) == []
    world.stripe.act(better["id"], "cancel_now")
    service.deliver(last_event(world.stripe))
    world.stripe.calls.clear()
    assert service.shown()["plan"] == "free"
    assert calls(world.stripe) == [question(lost)]


def test_what_stripe_says_moves_as_of_so_that_the_next_hour_is_quiet(
    world: World, make_service: MakeService, ada: str
) -> None:
    subscription = known_subscription(make_service())
    edit_row(world, subscription["id"], as_of=ago(48), current_period_end=ago(48))
    end = rows(world)[subscription["id"]]["current_period_end"]

    for _ in range(3):  # replicas
        assert make_service().shown()["subscribed"]
    assert calls(world.stripe) == [question(subscription)]
    assert rows(world)[subscription["id"]]["current_period_end"] > end


def test_a_row_that_is_still_past_its_date_is_asked_about_once(
    world: World, service: Service
) -> None:
    """Stripe itself is late: its renewal has not happened."""
    subscription = known_subscription(service)
    for item in world.stripe.subscriptions[subscription["id"]]["items"]["data"]:
        item["current_period_end"] = int(days_ahead(-2).timestamp())
    edit_row(world, subscription["id"], as_of=ago(48), current_period_end=ago(48))

    for _ in range(3):
        assert service.shown()["subscribed"]
    assert calls(world.stripe) == [question(subscription)]


# Where Stripe does not answer


def test_a_try_that_failed_counts_too_for_each_row(
    world: World, service: Service, lost: Json, log: Log
) -> None:
    edit_row(world, lost["id"], as_of=ago(48), cancel_at=ago(48))
    world.faults.stripe = "error"

    assert service.shown()["subscribed"]
    asked = len(calls(world.stripe))
    assert asked in (1, 2)  # the SDK tries once more
    world.faults.stripe = "up"
    assert service.shown()["subscribed"]
    assert len(calls(world.stripe)) == asked
    line = log.line(UNHEARD)
    assert (line["level"], line["subscription"]) == ("WARNING", lost["id"])

    other = known_subscription(service, "price_team")
    world.stripe.act(other["id"], "cancel_now")
    edit_row(world, other["id"], as_of=ago(48), cancel_at=ago(48))
    world.stripe.calls.clear()
    service.shown()
    assert calls(world.stripe) == [question(other)]


def test_after_an_hour_it_is_tried_again(
    world: World, service: Service, lost: Json, monkeypatch: pytest.MonkeyPatch
) -> None:
    edit_row(world, lost["id"], as_of=ago(48), cancel_at=ago(48))
    world.faults.stripe = "error"
    assert service.shown()["subscribed"]
    world.faults.stripe = "up"

    now = time.monotonic()
    monkeypatch.setattr("portal_service.once.time.monotonic", lambda: now + 3590)
    assert service.shown()["subscribed"]
    monkeypatch.setattr("portal_service.once.time.monotonic", lambda: now + 3610)
    assert not service.shown()["subscribed"]


@pytest.mark.parametrize("trouble", ["rate_limited", "error"])
def test_stripes_trouble_never_is_the_callers(
    world: World, service: Service, lost: Json, trouble: str
) -> None:
    edit_row(world, lost["id"], as_of=None, cancel_at=ago(48))
    world.faults.stripe = trouble
    assert service.shown()["subscribed"]


def test_a_live_subscription_that_the_key_does_not_see_is_shown_as_the_row_is(
    world: World, service_at: Callable[..., Service], live_stripe: OtherStripe
) -> None:
    put_row(world, livemode=True, cancel_at=ago(48), as_of=None)
    service = service_at(live_stripe)

    assert service.shown()["subscribed"]
    assert service.shown()["subscribed"]
    assert calls(live_stripe.state) == ["GET /v1/subscriptions/sub_row"]


@pytest.fixture
def hung(
    world: World,
    service_at: Callable[..., Service],
    other_stripe: OtherStripe,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Service]:
    """A service whose Stripe takes questions and answers none, and a row past its date."""
    monkeypatch.setattr(refresh, "OUTLIVED_SECONDS", 0.5)
    put_row(world, cancel_at=ago(48), as_of=None)
    service = service_at(other_stripe, stripe_timeout=30.0)
    service.shown("eve")  # Clerk's keys are there
    over = threading.Event()
    other_stripe.faults.stripe = "slow"
    other_stripe.slowly = lambda seconds: over.wait(20) and None
    yield service
    over.set()


def test_a_stripe_that_hangs_is_waited_for_two_seconds_and_not_again(
    hung: Service, other_stripe: OtherStripe
) -> None:
    assert refresh.OUTLIVED_SECONDS < 2
    began = time.monotonic()
    assert hung.shown()["subscribed"]
    waited = time.monotonic() - began
    assert 0.4 < waited < 5

    other_stripe.slowly = lambda seconds: pytest.fail("a second question")
    assert hung.shown()["subscribed"]


def test_those_who_ask_meanwhile_wait_with_the_first_and_ask_nothing(
    hung: Service, other_stripe: OtherStripe, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer, asked = other_stripe.slowly, threading.Semaphore(0)

    def count(seconds: float) -> None:
        asked.release()
        answer(seconds)

    other_stripe.slowly = count
    with ThreadPoolExecutor(4) as pool:
        first: Future[Any] = pool.submit(hung.shown)
        assert asked.acquire(timeout=10)
        monkeypatch.setattr(refresh, "OUTLIVED_SECONDS", 10.0)  # time enough for another question
        others = [pool.submit(hung.shown) for _ in range(3)]
        shown: list[Any] = [one.result(10) for one in (first, *others)]

    assert [one["subscribed"] for one in shown] == [True] * 4
    assert not asked.acquire(blocking=False)


def test_refresh_asks_whenever_it_is_called(world: World, service: Service, lost: Json) -> None:
    edit_row(world, lost["id"], as_of=ago(48), cancel_at=ago(48))
    world.faults.stripe = "error"
    assert service.shown()["subscribed"]
    world.faults.stripe = "up"

    assert not (service.refresh().json or {})["subscribed"]


def test_two_seconds_is_what_the_contract_says() -> None:
    assert refresh.OUTLIVED_SECONDS == 2.0
