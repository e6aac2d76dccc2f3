"""Which price checkout sells, and in what quantity: by plan, by interval, metered ones, ids of
another form. The prices by themselves: tests/vendors/test_wanted_prices.py.
"""

import json
from typing import Any

import pytest
from service_under_test import (
    Json,
    Log,
    MakeService,
    Service,
    known_subscription,
    last_event,
    order_of,
    price_questions,
    refused,
    session_of,
    subscribe,
)

from portal_service import Settings, prices
from portal_service.config import Plan
from sandbox.world import STRIPE_KEY, World

PRO = Plan("pro", ("price_pro", "price_pro_year"), ("prod_pro",))
TEAM = Plan("team", ("price_team", "price_team_year"), ("prod_team",))
SOLD_BY_USE = Plan("usage", ("price_metered",), ("prod_metered",))


@pytest.fixture
def service(make_service: MakeService, ada: str) -> Service:
    return make_service(plans=(PRO, TEAM, SOLD_BY_USE))


def line(world: World, service: Service, body: Any = None) -> Json:
    (only,) = order_of(world.stripe, service.checkout(body=body))["line_items"]
    return dict(only)


# Intervals


@pytest.mark.parametrize(
    "body, price",
    [
        ({"plan": "team", "interval": "year"}, "price_team_year"),
        ({"interval": "year"}, "price_pro_year"),
        ({"plan": "team", "interval": None}, "price_team"),
    ],
)
def test_a_plan_is_sold_by_the_interval_that_is_asked_for(
    world: World, service: Service, body: Json, price: str
) -> None:
    assert line(world, service, body) == {"price": price, "quantity": 1}


def test_an_interval_that_is_not_sold_is_refused_with_those_that_are(
    world: World, service: Service
) -> None:
    body = {"plan": "pro", "interval": "week"}
    sentence = refused(service.checkout(body=body), "invalid_request")["error"]
    assert "month" in sentence and "year" in sentence
    assert world.stripe.sessions == world.stripe.customers == {}


@pytest.mark.parametrize("body", [{"interval": 1}, {"price": "price_pro", "interval": "month"}])
def test_what_is_no_interval_or_stands_beside_a_price_is_refused(
    world: World, service: Service, body: Json
) -> None:
    refused(service.checkout(body=body), "invalid_request")
    assert price_questions(world.stripe) == []


def test_every_three_months_go_by_price(world: World, make_service: MakeService, ada: str) -> None:
    month = world.stripe.prices["price_pro"]["recurring"]
    world.stripe.add_price(
        "price_quarter", "prod_pro", 5000, recurring=month | {"interval_count": 3}
    )
    service = make_service(plans=(Plan("pro", ("price_quarter",)),))

    assert line(world, service, {"price": "price_quarter"})["price"] == "price_quarter"
    refused(service.checkout(body={"interval": "month"}), "invalid_request")


def test_another_interval_is_another_wish(world: World, service: Service) -> None:
    monthly = session_of(world.stripe, service.checkout())
    yearly = session_of(world.stripe, service.checkout(body={"interval": "year"}))

    assert world.stripe.sessions[monthly["id"]]["status"] == "expired"
    again = session_of(world.stripe, service.checkout(body={"price": "price_pro_year"}))
    assert again["id"] == yearly["id"]


# Metered prices


@pytest.mark.parametrize("body", [{"plan": "usage"}, {"price": "price_metered"}])
def test_a_metered_price_is_sent_no_quantity(world: World, service: Service, body: Json) -> None:
    assert line(world, service, body) == {"price": "price_metered"}


def test_a_quantity_for_a_metered_price_is_not_sent(world: World, service: Service) -> None:
    assert line(world, service, {"plan": "usage", "quantity": 5}) == {"price": "price_metered"}


def test_a_metered_subscription_has_no_quantity(world: World, service: Service) -> None:
    session = session_of(world.stripe, service.checkout(body={"plan": "usage"}))
    world.stripe.checkout(session["id"], "pay")
    service.outcome(last_event(world.stripe, "customer.subscription.created"))

    shown = service.shown()
    assert (shown["plan"], shown["subscribed"], shown["quantity"]) == ("usage", True, None)
    assert shown["items"][0]["quantity"] is None


def test_metered_beside_licensed_speaks_by_the_higher_plan(world: World, service: Service) -> None:
    subscribe(service, ("price_metered", None), ("price_team", 4))
    shown = service.shown()
    assert (shown["plan"], shown["quantity"]) == ("usage", None)


# What Stripe is asked about prices


def test_a_price_is_asked_for_once_per_process_and_five_minutes(
    world: World, make_service: MakeService, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = ["GET /v1/prices/price_pro"]
    for user in ("ada", "eve", "ada"):
        assert service.checkout(user).status_code == 200
    assert price_questions(world.stripe) == asked

    assert make_service(plans=(PRO,)).checkout().status_code == 200
    assert price_questions(world.stripe) == asked * 2
    monkeypatch.setattr(prices, "KEPT_SECONDS", 0.0)
    assert service.checkout().status_code == 200
    assert price_questions(world.stripe) == asked * 3


def test_what_was_known_counts_while_stripe_does_not_answer(
    world: World, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.checkout("eve", {"plan": "usage"})
    subscription = known_subscription(service)
    monkeypatch.setattr(prices, "KEPT_SECONDS", 0.0)
    world.faults.stripe = "error"

    # As far as the question whether anything runs, which the row answers.
    refused(service.checkout(body={"plan": "usage"}), "already_subscribed")
    assert subscription["status"] == "active"


def test_a_key_that_may_not_read_prices_sells_all_the_same(
    world: World, service: Service, log: Log
) -> None:
    world.stripe.forbidden[STRIPE_KEY] = ["/v1/prices"]

    for plan in ("pro", "team"):
        assert service.checkout(body={"plan": plan}).status_code == 200
    line = log.line("the Stripe key may not read prices")
    assert line["level"] == "WARNING"
    assert not any("stripe call failed" in one["message"] for one in log.lines)


# Ids that a team chose itself


def test_ids_of_another_form_are_marked(
    world: World, settings: Settings, make_service: MakeService, ada: str
) -> None:
    found, problems = Settings.collect(
        world.environment("http://localhost:8000")
        | {"STRIPE_PLANS": "basic=product:premium_product,price:basic-monthly-2017;team=price_team"}
    )
    assert found is not None, problems
    world.stripe.add_product("premium_product")
    world.stripe.add_price("basic-monthly-2017", "premium_product", 900)
    world.stripe.add_price("price_newer", "premium_product", 900)
    service = make_service(plans=found.plans)

    assert line(world, service)["price"] == "basic-monthly-2017"
    assert line(world, service, {"price": "basic-monthly-2017"})["quantity"] == 1
    assert service.root("/readyz").status_code == 200
    known_subscription(service, "price_newer")
    assert service.shown()["plan"] == "basic"


def test_a_plan_of_old_counts_as_a_price(world: World, service: Service) -> None:
    """Very old payloads call an item's price a plan, which has the same id."""
    subscription = known_subscription(service)
    event = json.loads(json.dumps(last_event(world.stripe, "customer.subscription.created")))
    (item,) = event["data"]["object"]["items"]["data"]
    item["plan"] = item.pop("price")

    assert service.deliver(event).status_code == 200
    assert service.shown()["price_id"] == subscription["items"]["data"][0]["price"]["id"]
