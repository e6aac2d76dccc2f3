"""A trial is given once: whoever had one, whatever the plan and whoever knows of it, pays from the
first day, and the pricing page is told so.
"""

from typing import Any

import pytest
from service_under_test import (
    Json,
    MakeService,
    Service,
    days_ahead,
    edit_row,
    execute,
    iso,
    known_subscription,
    last_event,
    link,
    order_of,
    put_row,
    session_of,
)

from sandbox.world import World

PARAMS = {
    "subscription_data": {
        "trial_period_days": 14,
        "trial_settings": {"end_behavior": {"missing_payment_method": "cancel"}},
        "description": "Fourteen days on us",
    },
    "payment_method_collection": "if_required",
}


@pytest.fixture
def service(make_service: MakeService, ada: str) -> Service:
    """A service whose checkout begins with a trial."""
    return make_service(checkout_params=PARAMS)


def trial_of(order: Json) -> list[str]:
    return sorted(name for name in order["subscription_data"] if name.startswith("trial_"))


def buy(world: World, service: Service, body: Any = None) -> Json:
    """Go through checkout, pay, and let the webhook come."""
    session = session_of(world.stripe, service.checkout(body=body))
    paid = world.stripe.checkout(session["id"], "pay")
    service.outcome(last_event(world.stripe, "customer.subscription.created"))
    return world.stripe.subscriptions[paid["subscription"]]


def test_the_first_checkout_begins_with_the_trial(world: World, service: Service) -> None:
    assert service.shown()["trial_available"]

    order = order_of(world.stripe, service.checkout())
    assert trial_of(order) == ["trial_period_days", "trial_settings"]
    assert order["payment_method_collection"] == "if_required"


def test_the_second_does_not_and_keeps_all_else(world: World, service: Service) -> None:
    first = buy(world, service)
    assert first["status"] == "trialing"
    world.stripe.act(first["id"], "cancel_now")
    service.outcome(last_event(world.stripe))

    assert not service.shown()["trial_available"]
    order = order_of(world.stripe, service.checkout())
    assert trial_of(order) == []
    assert order["subscription_data"] == {
        "metadata": {"clerk_user_id": "user_ada"},
        "description": "Fourteen days on us",
    }
    second = buy(world, service)
    assert (second["status"], second["trial_end"]) == ("active", None)


def test_a_trial_of_another_plan_was_one_too(world: World, service: Service) -> None:
    first = buy(world, service, {"plan": "team"})
    world.stripe.act(first["id"], "cancel_now")
    service.outcome(last_event(world.stripe))

    assert trial_of(order_of(world.stripe, service.checkout(body={"plan": "pro"}))) == []


def test_a_trial_that_only_stripe_knows_was_one_too(world: World, service: Service) -> None:
    first = world.stripe.create_subscription("user_ada", "price_pro", "trialing")
    link(world, first["customer"])
    world.stripe.act(first["id"], "cancel_now")

    assert service.shown()["trial_available"]  # the table does not know it yet
    assert trial_of(order_of(world.stripe, service.checkout())) == []
    assert not service.shown()["trial_available"]


def test_a_trial_that_only_the_table_knows_was_one_too(world: World, service: Service) -> None:
    """On a customer that Stripe no longer has, say."""
    put_row(world, status="canceled", stripe_customer_id="cus_gone", trial_end=iso(days_ahead(-90)))
    link(world, world.stripe.create_customer()["id"])

    assert not service.shown()["trial_available"]
    assert trial_of(order_of(world.stripe, service.checkout())) == []


def test_a_trial_on_another_customer_of_the_owner_was_one_too(
    world: World, service: Service
) -> None:
    other = world.stripe.create_customer()["id"]
    old = known_subscription(service, status="trialing", customer=other)
    world.stripe.act(old["id"], "cancel_now")
    service.outcome(last_event(world.stripe))
    link_to = world.stripe.create_customer()["id"]
    execute(world, "update billing_customers set stripe_customer_id = %s", link_to)

    order = order_of(world.stripe, service.checkout())
    assert (order["customer"], trial_of(order)) == (link_to, [])


def test_a_subscription_without_a_trial_leaves_it_open(world: World, service: Service) -> None:
    old = known_subscription(service)
    world.stripe.act(old["id"], "cancel_now")
    service.outcome(last_event(world.stripe))

    assert service.shown()["trial_available"]
    assert trial_of(order_of(world.stripe, service.checkout()))


def test_an_ignored_products_trial_is_none_of_ours(
    world: World, make_service: MakeService, ada: str
) -> None:
    service = make_service(checkout_params=PARAMS, ignored_products=("prod_other",))
    put_row(world, status="canceled", price_id="price_other", product_id="prod_other",
            trial_end=iso(days_ahead(-90)))  # fmt: skip
    other = world.stripe.create_subscription("user_ada", "price_other", "trialing")
    world.stripe.act(other["id"], "cancel_now")
    link(world, other["customer"])

    assert service.shown()["trial_available"]
    assert trial_of(order_of(world.stripe, service.checkout()))


def test_while_something_runs_none_is_available(world: World, service: Service) -> None:
    subscription = known_subscription(service)
    assert not service.shown()["trial_available"]
    edit_row(world, subscription["id"], status="canceled")
    assert service.shown()["trial_available"]


@pytest.mark.parametrize(
    "params",
    [None, {"allow_promotion_codes": True}, {"subscription_data": {"description": "Pro"}},
     {"subscription_data": {"trial_settings": {"end_behavior": {}}}}],
)  # fmt: skip
def test_without_one_in_the_settings_none_is_available(
    make_service: MakeService, ada: str, params: Json | None
) -> None:
    assert not make_service(checkout_params=params).shown()["trial_available"]


def test_an_end_of_the_trial_is_one_too(world: World, make_service: MakeService, ada: str) -> None:
    end = int(days_ahead(20).timestamp())
    service = make_service(checkout_params={"subscription_data": {"trial_end": end}})
    assert service.shown()["trial_available"]
    assert trial_of(order_of(world.stripe, service.checkout())) == ["trial_end"]

    first = buy(world, service)
    world.stripe.act(first["id"], "cancel_now")
    service.outcome(last_event(world.stripe))
    assert trial_of(order_of(world.stripe, service.checkout())) == []


def test_an_open_session_with_a_trial_is_no_longer_given_out_once_it_was_used(
    world: World, service: Service
) -> None:
    """The fingerprint is that of what is really sent."""
    with_trial = session_of(world.stripe, service.checkout())
    old = world.stripe.create_subscription("user_ada", "price_team", "trialing")
    world.stripe.act(old["id"], "cancel_now")

    without = session_of(world.stripe, service.checkout())
    assert without["id"] != with_trial["id"]
    assert world.stripe.sessions[with_trial["id"]]["status"] == "expired"
    assert session_of(world.stripe, service.checkout())["id"] == without["id"]
