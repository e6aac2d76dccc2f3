"""Products that are none of our business (STRIPE_IGNORED_PRODUCTS), and those nobody listed.

The setting itself: tests/rules/test_config_plans.py.
"""

import pytest
from service_under_test import (
    Json,
    Log,
    MakeService,
    Service,
    calls,
    days_ahead,
    edit_row,
    known_subscription,
    last_event,
    link,
    put_row,
    refused,
    rows,
    session_of,
    subscribe,
)

from sandbox.world import World

UNLISTED = "a subscription has a price that STRIPE_PLANS does not list"


@pytest.fixture
def service(make_service: MakeService, ada: str) -> Service:
    return make_service(ignored_products=("prod_other", "prod_support"))


@pytest.fixture
def other(world: World, service: Service) -> Json:
    """ada's support contract, on the customer that she also pays our plans with."""
    customer = world.stripe.create_customer()["id"]
    link(world, customer)
    subscription = world.stripe.create_subscription(None, "price_other", customer=customer)
    world.stripe.calls.clear()
    return subscription


@pytest.mark.parametrize("metadata", [{}, {"clerk_user_id": "user_ada"}])
def test_without_a_row_it_is_ignored_whoever_says_that_it_is_theirs(
    world: World, service: Service, other: Json, metadata: Json
) -> None:
    world.stripe.subscriptions[other["id"]]["metadata"] = metadata
    event = last_event(world.stripe, "customer.subscription.created")
    event["data"]["object"]["metadata"] = metadata

    assert service.outcome(event) == "ignored"
    world.stripe.act(other["id"], "change_plan", price="price_other", quantity=2)
    assert service.outcome(last_event(world.stripe)) == "ignored"
    assert world.rows() == []


def test_a_checkout_of_it_is_ignored_too(world: World, service: Service, other: Json) -> None:
    session = {"id": "cs_1", "object": "checkout.session", "livemode": False,
               "subscription": other["id"], "customer": other["customer"],
               "metadata": {"clerk_user_id": "user_ada"}}  # fmt: skip
    event = last_event(world.stripe) | {
        "type": "checkout.session.completed",
        "data": {"object": session},
    }

    assert service.outcome(event) == "ignored"
    assert world.rows() == []


def test_it_blocks_nothing_and_speaks_for_nobody(
    world: World, service: Service, other: Json, log: Log
) -> None:
    assert session_of(world.stripe, service.checkout())["customer"] == other["customer"]
    service.refresh()

    shown = service.shown()
    assert (shown["plan"], shown["status"], shown["subscribed"]) == ("free", None, False)
    assert (shown["can_manage_billing"], shown["can_checkout"]) == (True, True)
    assert world.rows() == []
    assert UNLISTED not in log.text


def test_a_row_of_it_is_kept_true_but_neither_speaks_nor_blocks(
    world: World, make_service: MakeService, service: Service, other: Json, log: Log
) -> None:
    """A row from before it was ignored."""
    make_service().outcome(last_event(world.stripe, "customer.subscription.created"))
    assert rows(world)[other["id"]]["status"] == "active"

    assert service.shown()["plan"] == "free"
    assert service.checkout().status_code == 200
    world.stripe.act(other["id"], "fail_payment")
    assert service.outcome(last_event(world.stripe, "customer.subscription.updated")) == "refreshed"
    assert rows(world)[other["id"]]["status"] == "past_due"
    world.stripe.act(other["id"], "cancel_now")
    service.refresh()
    assert rows(world)[other["id"]]["status"] == "canceled"


def test_the_customer_of_a_row_of_it_counts(world: World, service: Service) -> None:
    customer = world.stripe.create_customer()["id"]
    put_row(world, price_id="price_other", product_id="prod_other", stripe_customer_id=customer)

    assert service.shown()["can_manage_billing"]
    assert service.portal().status_code == 200
    (session,) = world.stripe.portal_sessions.values()
    assert session["customer"] == customer
    assert session_of(world.stripe, service.checkout())["customer"] == customer


@pytest.mark.parametrize("flow", ["subscription_cancel", "subscription_update"])
def test_no_flow_is_about_it(world: World, service: Service, flow: str) -> None:
    customer = world.stripe.create_customer()["id"]
    put_row(world, price_id="price_other", product_id="prod_other", stripe_customer_id=customer)

    refused(service.portal(body={"flow": flow}), "no_subscription")
    ours = known_subscription(service, customer=customer)
    assert service.portal(body={"flow": flow}).status_code == 200
    (session,) = world.stripe.portal_sessions.values()
    assert session["flow"][flow]["subscription"] == ours["id"]


def test_a_row_of_it_past_its_date_is_not_asked_about(world: World, service: Service) -> None:
    put_row(world, price_id="price_other", product_id="prod_other", as_of=None,
            cancel_at=days_ahead(-30))  # fmt: skip
    assert service.shown()["plan"] == "free"
    assert calls(world.stripe) == []


def test_beside_a_plan_it_is_part_of_ours(world: World, service: Service, log: Log) -> None:
    lines = ("price_other", 3), ("price_pro", 2)
    subscription = subscribe(service, *lines)

    shown = service.shown()
    assert (shown["plan"], shown["subscribed"], shown["quantity"]) == ("pro", True, 2)
    assert [item["product_id"] for item in shown["items"]] == ["prod_other", "prod_pro"]
    refused(service.checkout(), "already_subscribed")
    assert rows(world)[subscription["id"]]["clerk_owner_id"] == "user_ada"
    assert UNLISTED not in log.text


def test_beside_a_product_that_is_neither_it_is_not_ignored(
    world: World, service: Service, log: Log
) -> None:
    world.stripe.add_product("prod_new")
    world.stripe.add_price("price_new", "prod_new", 500)
    customer = world.stripe.create_customer()["id"]
    link(world, customer)
    subscribe(service, ("price_other", 1), ("price_new", 1), customer=customer, metadata={})

    refused(service.checkout(), "already_subscribed")
    assert log.line(UNLISTED)["level"] == "ERROR"


def test_all_of_several_ignored_ones_are_ignored(world: World, service: Service) -> None:
    world.stripe.add_product("prod_support")
    world.stripe.add_price("price_support", "prod_support", 500)
    customer = world.stripe.create_customer()["id"]
    link(world, customer)
    subscribe(service, ("price_other", 1), ("price_support", 1), customer=customer, metadata={})

    assert world.rows() == []
    assert service.checkout().status_code == 200


def test_a_price_of_ours_of_an_ignored_product_is_ours(
    world: World, service: Service, ada: str
) -> None:
    """A price that STRIPE_PLANS lists is the more exact word."""
    world.stripe.prices["price_pro"]["product"] = "prod_other"
    known_subscription(service)

    assert service.shown()["plan"] == "pro"
    refused(service.checkout(), "already_subscribed")


# One that is neither listed nor ignored


def test_one_of_a_known_customer_that_nobody_listed_blocks_and_is_told_once(
    world: World, make_service: MakeService, ada: str, log: Log
) -> None:
    service = make_service()
    customer = world.stripe.create_customer()["id"]
    link(world, customer)
    subscription = world.stripe.create_subscription(None, "price_other", customer=customer)
    before = service.metric("portal_unknown_prices_total")
    service.outcome(last_event(world.stripe, "customer.subscription.created"))

    refused(service.checkout(), "already_subscribed")
    for _ in range(3):
        assert service.shown()["plan"] is None
        service.refresh()
    line = log.line(UNLISTED)
    assert (line["level"], line["subscription"]) == ("ERROR", subscription["id"])
    assert line["product"] == "prod_other"
    assert "STRIPE_PLANS" in line["cure"] and "STRIPE_IGNORED_PRODUCTS" in line["cure"]
    assert service.metric("portal_unknown_prices_total") == before + 1

    edit_row(world, subscription["id"], price_id="price_newer")
    service.shown()
    assert len([one for one in log.lines if one["message"] == UNLISTED]) == 2
    assert make_service().shown()["plan"] is None  # another process tells it for itself
    assert len([one for one in log.lines if one["message"] == UNLISTED]) == 3
