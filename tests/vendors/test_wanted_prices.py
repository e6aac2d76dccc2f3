"""What Stripe says of a price: asked for once, kept for five minutes, told of when wrong."""

import logging
from collections.abc import Callable
from typing import Any

import pytest
import requests
import responses
from alone import Clock, Log
from given import settings
from stripe_answers import API, BROKEN, refused

from portal_service import deadline, prices
from portal_service.errors import ServiceError
from portal_service.prices import Prices, Problem
from portal_service.stripe_api import Stripe
from portal_service.stripe_errors import StripeUnavailable

Json = dict[str, Any]
FIVE_MINUTES = 300
NOT_THERE = refused(404, code="resource_missing", param="price")
FORBIDDEN = refused(403, code="more_permissions_required", message="rk_test_x may not")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(prices, "time", clock)
    return clock


def price(interval: str = "month", count: int = 1, usage: str = "licensed", **more: Any) -> Json:
    recurring = {"interval": interval, "interval_count": count, "usage_type": usage}
    return {"object": "price", "active": True, "recurring": recurring} | more


class Shop:
    """The prices in front of Stripe's wire."""

    def __init__(self, at_stripe: responses.RequestsMock, **changes: Any) -> None:
        self.at_stripe = at_stripe
        told = settings(**changes)
        self.prices = Prices(told, Stripe(told))

    def sells(self, price_id: str, answer: Json) -> None:
        """Stripe's answer from now on: a price, or what goes wrong."""
        if "object" in answer:
            answer = {"json": answer | {"id": price_id}}
        url = f"{API}/prices/{price_id}"
        self.at_stripe.remove("GET", url)
        self.at_stripe.get(url, **answer)

    @property
    def asked(self) -> list[str]:
        return [call.request.url.rpartition("/")[2] for call in self.at_stripe.calls]


@pytest.fixture
def shop(at_stripe: responses.RequestsMock) -> Shop:
    """Sells pro by the month and by the year, and basic and team by the month."""
    shop = Shop(at_stripe)
    for price_id in ("price_basic", "price_pro", "price_team"):
        shop.sells(price_id, price())
    shop.sells("price_pro_year", price("year"))
    return shop


def refusal(ask: Callable[[], object]) -> str:
    with pytest.raises(ServiceError) as refused_:
        ask()
    assert (refused_.value.code, refused_.value.status) == ("invalid_request", 400)
    return refused_.value.sentence


# Which price


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ({}, "price_basic"),
        ({"plan": "pro"}, "price_pro"),
        ({"plan": "team"}, "price_team"),
        ({"price": "price_pro_year"}, "price_pro_year"),
    ],
)
def test_without_an_interval_it_is_the_first_price_and_stripe_is_not_asked(
    shop: Shop, fields: Json, wanted: str
) -> None:
    assert shop.prices.wanted_price(fields) == wanted
    assert shop.asked == []


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ({"plan": "pro", "interval": "month"}, "price_pro"),
        ({"plan": "pro", "interval": "year"}, "price_pro_year"),
        ({"interval": "month"}, "price_basic"),
    ],
)
def test_an_interval_chooses_among_the_plans_prices(shop: Shop, fields: Json, wanted: str) -> None:
    assert shop.prices.wanted_price(fields) == wanted


def test_an_interval_of_the_callers_counts_where_the_request_names_none(shop: Shop) -> None:
    wanted = shop.prices.wanted_price
    assert wanted({"plan": "pro"}, "year") == "price_pro_year"
    assert wanted({"plan": "pro", "interval": "month"}, "year") == "price_pro"
    assert wanted({"price": "price_pro"}, "year") == "price_pro"
    assert wanted({"plan": "pro"}, None) == "price_pro"


@pytest.mark.parametrize(
    ("year", "two_years"),
    [
        pytest.param(price("year", active=False), price("year"), id="the first is archived"),
        pytest.param(price("year", 2), price("year"), id="the first is every other year"),
        pytest.param(price("month"), price("year"), id="the first is another interval"),
        pytest.param(price(recurring=None), price("year"), id="the first is not recurring"),
        pytest.param(NOT_THERE, price("year"), id="the first does not exist"),
    ],
)
def test_the_first_active_price_of_one_such_interval_is_sold(
    at_stripe: responses.RequestsMock, year: Json, two_years: Json
) -> None:
    pro = settings().plans[1]
    shop = Shop(at_stripe, plans=(pro,))
    shop.sells("price_pro", year)
    shop.sells("price_pro_year", two_years)
    assert shop.prices.wanted_price({"interval": "year"}) == "price_pro_year"


def test_of_two_prices_of_an_interval_the_first_is_sold(shop: Shop) -> None:
    shop.sells("price_pro", price("year"))
    assert shop.prices.wanted_price({"plan": "pro", "interval": "year"}) == "price_pro"


def test_an_interval_that_is_not_sold_is_refused_with_those_that_are(shop: Shop) -> None:
    wanted = shop.prices.wanted_price
    assert refusal(lambda: wanted({"plan": "pro", "interval": "week"})) == (
        "The plan pro is sold by the month, year"
    )
    assert refusal(lambda: wanted({"plan": "team", "interval": "year"})) == (
        "The plan team is sold by the month"
    )


@pytest.mark.parametrize("other", [price("month", 3), price(recurring=None)])
def test_a_plan_that_is_sold_by_no_interval_says_so(shop: Shop, other: Json) -> None:
    shop.sells("price_team", other)
    sentence = refusal(lambda: shop.prices.wanted_price({"plan": "team", "interval": "month"}))
    assert sentence == "The plan team is not sold by an interval; send its price"


@pytest.mark.parametrize(
    "other", [NOT_THERE, FORBIDDEN, price(active=False), price("year", active=False)]
)
def test_a_plan_that_has_no_price_at_stripe_is_not_sold_by_another_interval(
    shop: Shop, other: Json
) -> None:
    """The wish is as it should be; the setting, or the key, is wrong."""
    shop.sells("price_team", other)
    with pytest.raises(ServiceError) as refused:
        shop.prices.wanted_price({"plan": "team", "interval": "year"})
    assert refused.value.code == "checkout_not_configured"


@pytest.mark.parametrize(
    "fields", [{"interval": "monthly"}, {"plan": "x"}, {"plan": "pro", "price": "price_pro"}]
)
def test_a_bad_wish_is_refused_before_stripe_is_asked(shop: Shop, fields: Json) -> None:
    refusal(lambda: shop.prices.wanted_price(fields))
    assert shop.asked == []


@pytest.mark.parametrize(
    ("answer", "metered"),
    [
        (price(), False),
        (price(usage="metered"), True),
        (price(recurring=None), False),
        (NOT_THERE, False),
        (FORBIDDEN, False),
    ],
)
def test_a_metered_price_can_be_told(shop: Shop, answer: Json, metered: bool) -> None:
    shop.sells("price_pro", answer)
    assert shop.prices.is_metered("price_pro") is metered


# Kept


@pytest.mark.parametrize("answer", [price(), NOT_THERE, FORBIDDEN], ids=["there", "not", "no key"])
def test_an_answer_is_kept_for_five_minutes(shop: Shop, clock: Clock, answer: Json) -> None:
    shop.sells("price_pro", answer)
    for _ in range(3):
        shop.prices.is_metered("price_pro")
        clock.now += FIVE_MINUTES / 3 - 0.1
    assert shop.asked == ["price_pro"]
    clock.now += 1
    shop.prices.is_metered("price_pro")
    assert shop.asked == ["price_pro", "price_pro"]


def test_a_price_that_changed_is_known_after_that(shop: Shop, clock: Clock) -> None:
    assert not shop.prices.is_metered("price_pro")
    shop.sells("price_pro", price(usage="metered"))
    assert not shop.prices.is_metered("price_pro")
    clock.now += FIVE_MINUTES + 1
    assert shop.prices.is_metered("price_pro")


DOWN: list[Any] = [
    pytest.param(BROKEN, id="500"),
    pytest.param(refused(429, code="rate_limit"), id="429"),
    pytest.param({"body": requests.ConnectionError("reset")}, id="connection"),
    pytest.param({"body": requests.ReadTimeout("slow")}, id="timeout"),
]


@pytest.mark.parametrize("down", DOWN)
def test_while_stripe_does_not_answer_the_old_answer_counts(
    shop: Shop, clock: Clock, down: Json
) -> None:
    shop.sells("price_pro", price(usage="metered"))
    assert shop.prices.is_metered("price_pro")
    shop.sells("price_pro", down)
    clock.now += 86_400
    assert shop.prices.is_metered("price_pro")
    asked = len(shop.asked)
    assert shop.prices.is_metered("price_pro")
    assert len(shop.asked) == asked  # and Stripe has five minutes to recover


@pytest.mark.parametrize("down", DOWN)
def test_a_price_that_was_never_known_cannot_be_sold_meanwhile(shop: Shop, down: Json) -> None:
    shop.sells("price_pro", down)
    for _ in range(2):
        with pytest.raises(StripeUnavailable):
            shop.prices.is_metered("price_pro")


def test_a_caller_without_time_left_has_the_old_answer(
    shop: Shop, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.prices.is_metered("price_pro")
    clock.now += FIVE_MINUTES + 1
    deadline.begin(0)
    assert not shop.prices.is_metered("price_pro")
    assert shop.asked == ["price_pro"]


# A key that may not


def test_a_key_that_may_not_read_prices_is_one_log_line(shop: Shop, clock: Clock, log: Log) -> None:
    for price_id in ("price_basic", "price_pro", "price_pro_year", "price_team"):
        shop.sells(price_id, FORBIDDEN)
    for _ in range(3):
        assert list(shop.prices.problems()) == []
        assert shop.prices.wanted_price({"plan": "pro"}) == "price_pro"
        clock.now += FIVE_MINUTES + 1
    told = "the Stripe key may not read prices, so they can't be checked"
    assert log.messages.count(told) == 1
    assert "STRIPE_SECRET_KEY" in log.fields(told)["cure"]


def test_a_key_that_may_not_read_configurations_is_another_line(
    at_stripe: responses.RequestsMock, log: Log
) -> None:
    shop = Shop(at_stripe, portal_configuration="bpc_1")
    for price_id in ("price_basic", "price_pro", "price_pro_year", "price_team"):
        shop.sells(price_id, FORBIDDEN)
    at_stripe.get(f"{API}/billing_portal/configurations/bpc_1", **FORBIDDEN)
    assert list(shop.prices.problems()) == []
    told = [line for line in log.at(logging.WARNING) if line.startswith("the Stripe key may not")]
    assert told == [
        f"the Stripe key may not read {what}, so they can't be checked"
        for what in ("prices", "portal configurations")
    ]


# What is wrong with the settings


@pytest.mark.parametrize(
    ("price_id", "answer", "reason"),
    [
        ("price_pro", NOT_THERE, "does not exist under this key"),
        ("price_pro", price(active=False), "is archived"),
        ("price_pro", price(recurring=None), "is not recurring"),
        ("price_pro_year", NOT_THERE, "does not exist under this key"),
        ("price_pro_year", price(recurring=None), "is not recurring"),
        ("price_pro_year", price(active=False), None),  # only the first is sold by default
        ("price_pro", price("month", 3), None),
        ("price_pro", price(usage="metered"), None),
    ],
)
def test_a_price_that_cannot_be_sold_is_a_problem_of_its_variable(
    shop: Shop, price_id: str, answer: Json, reason: str | None
) -> None:
    shop.sells(price_id, answer)
    wanted = [Problem("STRIPE_PLANS", price_id, reason)] if reason else []
    assert list(shop.prices.problems()) == wanted


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ({"json": {"id": "bpc_1", "active": True}}, None),
        ({"json": {"id": "bpc_1", "active": False}}, "is archived"),
        (refused(404, code="resource_missing", param="configuration"),
         "does not exist under this key"),
        (refused(404, code="resource_missing", param="id"), "does not exist under this key"),
    ],
)  # fmt: skip
def test_so_is_a_portal_configuration(
    at_stripe: responses.RequestsMock, answer: Json, reason: str | None
) -> None:
    shop = Shop(at_stripe, portal_configuration="bpc_1", plans=settings().plans[:1])
    shop.sells("price_basic", price())
    at_stripe.get(f"{API}/billing_portal/configurations/bpc_1", **answer)
    wanted = [Problem("STRIPE_PORTAL_CONFIGURATION", "bpc_1", reason)] if reason else []
    assert list(shop.prices.problems()) == wanted


def test_without_a_portal_configuration_none_is_asked_for(shop: Shop) -> None:
    assert list(shop.prices.problems()) == []
    assert sorted(shop.asked) == ["price_basic", "price_pro", "price_pro_year", "price_team"]


def test_while_stripe_does_not_answer_nobody_says_that_something_is_wrong(shop: Shop) -> None:
    shop.sells("price_basic", BROKEN)
    with pytest.raises(StripeUnavailable):
        list(shop.prices.problems())
