"""A row that has outlived its own date asks Stripe, for no webhook may ever come: at most once an
hour, for two seconds at most, and the row as it is answers where Stripe does not.

Which row has outlived its date: tests/rules/test_outlived.py.
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
        ({"cancel_at": 2}, True),
        ({"cancel_at": 0.9}, False),
        ({"trial_end": 2, "status": "trialing"}, True),
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
def asked(other_stripe: OtherStripe) -> Iterator[threading.Semaphore]:
    """Counts the questions to a Stripe that answers after 8 s, and then that there is no such
    subscription: whoever waits for that finds the row ended.
    """
    over, asked = threading.Event(), threading.Semaphore(0)

    def hang(seconds: float) -> None:
        asked.release()
        over.wait(8)

    other_stripe.slowly = hang
    yield asked
    over.set()


@pytest.fixture
def hung(
    world: World,
    service_at: Callable[..., Service],
    other_stripe: OtherStripe,
    asked: threading.Semaphore,
    monkeypatch: pytest.MonkeyPatch,
) -> Service:
    """A service whose Stripe takes questions and answers none, and a row past its date."""
    monkeypatch.setattr(refresh, "OUTLIVED_SECONDS", 3.0)  # a busy machine asks too
    put_row(world, cancel_at=ago(48), as_of=None)
    service = service_at(other_stripe, stripe_timeout=30.0)
    service.shown("eve")  # Clerk's keys are there
    other_stripe.faults.stripe = "slow"
    return service


def test_a_stripe_that_hangs_is_waited_for_a_while_and_not_again(
    hung: Service, asked: threading.Semaphore
) -> None:
    assert hung.shown()["subscribed"]
    assert asked.acquire(blocking=False)
    assert hung.shown()["subscribed"]
    assert not asked.acquire(blocking=False)


def test_those_who_ask_meanwhile_wait_with_the_first_and_ask_nothing(
    hung: Service, asked: threading.Semaphore, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ThreadPoolExecutor(4) as pool:
        first: Future[Any] = pool.submit(hung.shown)
        assert asked.acquire(timeout=30)
        monkeypatch.setattr(refresh, "OUTLIVED_SECONDS", 10.0)  # time enough for another question
        others = [pool.submit(hung.shown) for _ in range(3)]
        shown: list[Any] = [one.result(20) for one in (first, *others)]

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
