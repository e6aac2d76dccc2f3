"""What is for sale, asked of Stripe: how often, by whom, and what counts while it does not answer.
What is shown of a price: tests/money/test_plans.py.
"""

import logging
import threading
from collections.abc import Callable
from typing import Any

import pytest
import requests
import responses
from alone import Clock, Log
from given import settings
from service_under_test import wait_until_waiting
from stripe_answers import API, BROKEN, refused

from portal_service import deadline, plans
from portal_service.plans import Plans
from portal_service.stripe_api import Stripe
from portal_service.stripe_errors import StripeUnavailable

Json = dict[str, Any]
MINUTE, DAY = 60, 86_400
NOT_THERE = refused(404, code="resource_missing", param="price")
FORBIDDEN = refused(403, code="more_permissions_required", message="rk_test_x may not")
LEFT_OUT = "a plan is left out of GET /plans"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    clock.now = DAY * 2  # a machine that has run for a while
    monkeypatch.setattr(plans, "time", clock)
    monkeypatch.setattr("portal_service.once.time", clock)
    return clock


class Shop:
    """The plan basic with its one price, in front of Stripe's wire."""

    def __init__(self, at_stripe: responses.RequestsMock) -> None:
        self.at_stripe = at_stripe
        told = settings(plans=settings().plans[:1])
        self.plans = Plans(told, Stripe(told), threading.RLock)
        self.sells(500)
        self.answers("products/prod_basic", PRODUCT)

    def sells(self, amount: int) -> None:
        recurring = {"interval": "month", "interval_count": 1, "usage_type": "licensed"}
        price = {"id": "price_basic", "object": "price", "product": "prod_basic", "active": True}
        price |= {"recurring": recurring, "currency": "usd", "unit_amount": amount}
        price |= {"unit_amount_decimal": str(amount), "lookup_key": None, "tiers_mode": None}
        self.answers("prices/price_basic", {"json": price})

    def answers(self, path: str, answer: Json) -> None:
        """Stripe's answer from now on."""
        self.at_stripe.remove("GET", f"{API}/{path}")
        self.at_stripe.get(f"{API}/{path}", **answer)

    def holds(self, until: threading.Event) -> threading.Event:
        """Let Stripe's answer about the price wait; it has come when the other event is set."""
        come, price = threading.Event(), f"{API}/prices/price_basic"
        (answer,) = (r for r in self.at_stripe.registered() if r.url == price)
        body = answer.body

        def answered(_: Any) -> tuple[int, dict[str, str], Any]:
            come.set()
            assert until.wait(10)
            return 200, {}, body

        self.at_stripe.remove("GET", price)
        self.at_stripe.add_callback("GET", price, callback=answered)
        return come

    def shown(self) -> list[int]:
        offer = self.plans.for_sale()
        return [price["amount"] for plan in offer["plans"] for price in plan["prices"]]

    @property
    def asked(self) -> int:
        """How often Stripe was asked about the price."""
        return sum("/prices/" in (call.request.url or "") for call in self.at_stripe.calls)


PRODUCT: Json = {
    "json": {
        "id": "prod_basic",
        "object": "product",
        "active": True,
        "name": "Basic",
        "description": None,
        "marketing_features": [],
    }
}
DOWN: list[Any] = [
    pytest.param(BROKEN, id="500"),
    pytest.param(refused(429, code="rate_limit"), id="429"),
    pytest.param({"body": requests.ConnectionError("reset")}, id="connection"),
    pytest.param({"body": requests.ReadTimeout("slow")}, id="timeout"),
    pytest.param(FORBIDDEN, id="forbidden"),
    pytest.param(refused(401, message="no such key"), id="no key"),
]


@pytest.fixture
def shop(at_stripe: responses.RequestsMock, clock: Clock) -> Shop:
    return Shop(at_stripe)


def in_thread(ask: Callable[[], Any], answers: list[Any]) -> threading.Thread:
    thread = threading.Thread(target=lambda: answers.append(ask()))
    thread.start()
    return thread


# How often


def test_an_answer_is_kept_for_a_minute(shop: Shop, clock: Clock) -> None:
    for _ in range(3):
        assert shop.shown() == [500]
        shop.sells(600)
        clock.now += MINUTE / 3 - 0.1
    assert shop.asked == 1
    clock.now += 1
    assert shop.shown() == [600]


def test_the_first_callers_share_one_question(shop: Shop) -> None:
    go_on, answers = threading.Event(), list[Any]()
    come = shop.holds(go_on)
    threads = [in_thread(shop.shown, answers)]
    assert come.wait(10)
    threads += [in_thread(shop.shown, answers) for _ in range(4)]
    wait_until_waiting(threads)
    go_on.set()
    for thread in threads:
        thread.join(10)
    assert (answers, shop.asked) == ([[500]] * 5, 1)


def test_while_one_asks_for_a_newer_list_the_others_have_the_old_one(
    shop: Shop, clock: Clock
) -> None:
    shop.shown()
    clock.now += MINUTE + 1
    shop.sells(600)
    go_on, answers = threading.Event(), list[Any]()
    come = shop.holds(go_on)
    thread = in_thread(shop.shown, answers)
    assert come.wait(10)
    assert shop.shown() == [500]  # at once
    go_on.set()
    thread.join(10)
    assert (answers, shop.shown(), shop.asked) == ([[600]], [600], 2)


# While Stripe does not answer


@pytest.mark.parametrize("down", DOWN)
def test_what_was_known_counts_for_a_day(shop: Shop, clock: Clock, down: Json) -> None:
    shop.shown()
    shop.answers("prices/price_basic", down)
    clock.now += DAY - 1
    assert shop.shown() == [500]
    clock.now += 2
    with pytest.raises(StripeUnavailable):
        shop.shown()


@pytest.mark.parametrize("down", DOWN)
def test_who_was_never_told_is_refused_and_stripe_left_alone(
    shop: Shop, clock: Clock, down: Json
) -> None:
    shop.answers("prices/price_basic", down)
    with pytest.raises(StripeUnavailable):
        shop.shown()
    asked = shop.asked
    for _ in range(3):
        with pytest.raises(StripeUnavailable):
            shop.shown()
    assert shop.asked == asked
    shop.sells(500)
    clock.now += 5
    assert shop.shown() == [500]


def test_a_product_that_cannot_be_asked_for_is_no_half_list(shop: Shop) -> None:
    shop.answers("products/prod_basic", BROKEN)
    with pytest.raises(StripeUnavailable):
        shop.shown()


def test_stripe_has_a_minute_to_recover(shop: Shop, clock: Clock) -> None:
    shop.shown()
    shop.answers("prices/price_basic", BROKEN)
    clock.now += MINUTE
    shop.shown()
    asked = shop.asked
    assert shop.shown() == [500]
    assert shop.asked == asked
    shop.sells(600)
    clock.now += MINUTE
    assert shop.shown() == [600]


def test_a_caller_without_time_has_the_old_list(shop: Shop, clock: Clock) -> None:
    shop.shown()
    clock.now += MINUTE
    deadline.begin(0)
    assert (shop.shown(), shop.asked) == ([500], 1)


def test_a_newer_list_may_take_five_seconds_only(
    shop: Shop, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.shown()
    clock.now += MINUTE
    deadline.begin(100)
    left = list[float | None]()
    monkeypatch.setattr(Stripe, "product", lambda *_: left.append(deadline.remaining()))
    shop.shown()
    assert left[0] is not None and left[0] <= 5


# What an operator is told


def test_a_key_that_may_not_is_one_line_an_hour(shop: Shop, clock: Clock, log: Log) -> None:
    shop.answers("prices/price_basic", FORBIDDEN)
    for _ in range(3):
        with pytest.raises(StripeUnavailable):
            shop.shown()
        clock.now += MINUTE
    (told,) = log.at(logging.ERROR)
    assert told.startswith("GET /plans has no prices")
    clock.now += 3600
    with pytest.raises(StripeUnavailable):
        shop.shown()
    assert len(log.at(logging.ERROR)) == 2


def test_so_is_a_plan_that_is_not_sold(shop: Shop, clock: Clock, log: Log) -> None:
    shop.answers("prices/price_basic", NOT_THERE)
    for _ in range(3):
        assert shop.shown() == []
        clock.now += MINUTE
    assert [line for line in log.messages if line.startswith(LEFT_OUT)] == [
        f"{LEFT_OUT}: Stripe sells none of its prices"
    ]
