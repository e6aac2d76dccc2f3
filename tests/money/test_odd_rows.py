"""Rows and answers that nobody expects: written by hand, or of another customer of the owner."""

import pytest
from service_under_test import (
    Json,
    MakeService,
    Service,
    calls,
    execute,
    link,
    linked,
    put_row,
    refused,
    rows,
)

from sandbox.world import World

TIMES = ["infinity", "-infinity", "10000-01-01 00:00:00+00", "0001-01-01 00:00:00+09",
         "0044-03-15 00:00:00+00 BC"]  # fmt: skip


def everything_answers(service: Service) -> Json:
    """Stripe has neither the customer nor the subscription of the row; nothing of it is a fault."""
    shown = service.shown()
    for answer in (service.portal(), service.portal(), service.refresh(), service.checkout()):
        assert answer.status_code in (200, 404, 409), answer.text
    return shown


@pytest.mark.parametrize("time", TIMES)
@pytest.mark.parametrize("column", ["current_period_end", "cancel_at", "as_of", "trial_end"])
def test_a_time_that_python_has_no_date_for(
    world: World, service: Service, column: str, time: str
) -> None:
    put_row(world)
    execute(world, f"update subscriptions set {column} = %s", time)
    put_row(world, stripe_subscription_id="sub_other", stripe_customer_id=None)
    assert everything_answers(service)["subscribed"]


@pytest.mark.parametrize(
    "items",
    ['{"a": 1}', "[null]", "[{}]", '["x"]', "5", '"x"', "true", "[]",
     '[{"price_id": 7, "product_id": ["x"], "quantity": "many"}]'],
)  # fmt: skip
def test_items_that_are_none(world: World, service: Service, items: str) -> None:
    put_row(world)
    execute(world, "update subscriptions set items = %s", items)
    shown = everything_answers(service)
    for item in shown["items"]:
        assert set(item) == {"price_id", "product_id", "quantity", "plan"}


# Several customers of one owner


def open_sessions(world: World) -> list[str]:
    return [s["customer"] for s in world.stripe.sessions.values() if s["status"] == "open"]


def test_the_customer_of_a_row_is_kept_and_no_session_stays_open_on_another(
    world: World, service: Service
) -> None:
    first, second = (world.stripe.create_customer()["id"] for _ in range(2))
    put_row(world, stripe_subscription_id="sub_a", stripe_customer_id=first, status="canceled")
    put_row(world, stripe_subscription_id="sub_b", stripe_customer_id=second, status="canceled",
            price_id="price_team", product_id="prod_team")  # fmt: skip

    assert service.checkout().status_code == 200
    assert open_sessions(world) == [second]
    assert linked(world) == {"user_ada": second}
    execute(world, "update billing_customers set stripe_customer_id = %s", first)
    assert service.checkout().status_code == 200
    assert open_sessions(world) == [first]


def test_what_runs_on_another_customer_of_the_owner_is_seen_at_stripe(
    world: World, service: Service
) -> None:
    link(world, world.stripe.create_customer()["id"])
    running = world.stripe.create_subscription("user_ada", "price_pro")
    put_row(world, stripe_customer_id=running["customer"], status="canceled")

    refused(service.checkout(), "already_subscribed")
    assert running["id"] in rows(world)


def test_an_ignored_rows_customer_is_sold_to(world: World, make_service: MakeService) -> None:
    world.add_user("ada")
    customer = world.stripe.create_customer()["id"]
    put_row(world, stripe_customer_id=customer, price_id="price_other", product_id="prod_other")

    assert make_service(ignored_products=("prod_other",)).checkout().status_code == 200
    assert open_sessions(world) == [customer]


# Stripe


def test_a_running_row_blocks_before_the_first_price_is_asked_for(
    world: World, service: Service
) -> None:
    put_row(world)
    world.faults.update({"stripe": "error"})
    refused(service.checkout(), "already_subscribed")
    assert not [call for call in calls(world.stripe) if "/prices" in call]


def test_a_price_that_is_paid_once_is_not_configured(world: World, service: Service) -> None:
    world.stripe.prices["price_pro"] |= {"type": "one_time", "recurring": None}
    refused(service.checkout(), "checkout_not_configured")


def test_a_flow_about_a_subscription_that_stripe_lost_ends_its_row(
    world: World, service: Service
) -> None:
    link(world, world.stripe.create_customer()["id"])
    put_row(world, stripe_customer_id=next(iter(world.stripe.customers)))
    confirm = {"flow": "subscription_update_confirm", "plan": "team"}

    refused(service.portal(body=confirm), "no_subscription")
    assert rows(world)["sub_row"]["status"] == "canceled"
