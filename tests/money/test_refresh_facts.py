"""POST /subscription/refresh: every customer of the caller is asked about, once."""

import pytest
from service_under_test import Json, Service, calls, execute, link, put_row, rows

from sandbox.world import World

LIST_SUBSCRIPTIONS = "GET /v1/subscriptions"


def questions(world: World) -> int:
    """How many customers were asked about."""
    return calls(world.stripe).count(LIST_SUBSCRIPTIONS)


def subscribed(world: World, price: str = "price_pro", status: str = "active") -> Json:
    """A subscription of ada's on a customer of its own, which nobody has linked."""
    customer = world.stripe.create_customer(metadata={"clerk_user_id": "user_ada"})["id"]
    made: Json = world.stripe.create_subscription("user_ada", price, status, customer=customer)
    return made


def test_every_customer_is_asked_about_once(world: World, service: Service) -> None:
    first, second, third = subscribed(world), subscribed(world, "price_team"), subscribed(world)
    for made in (first, second):
        put_row(world, stripe_subscription_id=made["id"], stripe_customer_id=made["customer"],
                status="past_due", as_of=None)  # fmt: skip
    put_row(world, stripe_customer_id=second["customer"], status="canceled")
    link(world, third["customer"])

    assert service.refresh().status_code == 200
    assert questions(world) == 3
    assert {rows(world)[one["id"]]["status"] for one in (first, second, third)} == {"active"}


def test_a_customer_whom_stripe_lost_does_not_hide_the_others(
    world: World, service: Service
) -> None:
    made = subscribed(world)
    put_row(world, stripe_subscription_id=made["id"], stripe_customer_id=made["customer"],
            status="past_due")  # fmt: skip
    link(world, "cus_lost")

    assert service.refresh().status_code == 200
    assert questions(world) == 2
    assert service.shown()["status"] == "active"
    assert service.shown()["can_manage_billing"]


def test_a_row_without_a_customer_is_nothing_to_ask_about(world: World, service: Service) -> None:
    put_row(world, stripe_customer_id=None, stripe_subscription_id="sub_row")

    assert service.refresh().status_code == 200
    assert questions(world) == 0


@pytest.mark.parametrize("metadata", [{}, None])
def test_a_complete_session_of_nobody_changes_nothing(
    world: World, service: Service, metadata: Json | None
) -> None:
    service.checkout()
    (session,) = world.stripe.sessions.values()
    world.stripe.checkout(session["id"], "pay")
    session.update(customer=None, metadata=metadata)
    execute(world, "delete from billing_customers")

    answer = service.refresh(body={"checkout_session_id": session["id"]})
    assert answer.status_code == 200
    assert world.rows() == []
