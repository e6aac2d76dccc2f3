"""POST /portal: the customer where rows have none, and flows that need no running subscription."""

from typing import Any

import pytest
from service_under_test import Json, Service, calls, execute, last_event, link, put_row, refused

from sandbox.world import World


def only_session(world: World) -> Json:
    (session,) = world.stripe.portal_sessions.values()
    return dict(session)


def test_a_running_row_without_a_customer_leaves_that_of_another_row(
    world: World, service: Service
) -> None:
    customer = world.stripe.create_customer()["id"]
    put_row(world, stripe_customer_id=None)
    put_row(world, stripe_subscription_id="sub_old", stripe_customer_id=customer, status="canceled")

    assert service.portal().status_code == 200
    assert only_session(world)["customer"] == customer


def test_a_row_without_a_customer_has_no_subscription(world: World, service: Service) -> None:
    put_row(world, stripe_customer_id=None)

    refused(service.portal(), "no_subscription")
    assert calls(world.stripe) == []


def test_a_row_without_a_customer_of_an_owner_whom_the_app_does_not_know(
    world: World, service: Service
) -> None:
    put_row(world, stripe_customer_id=None, user_id=None)
    execute(world, "update subscriptions set clerk_owner_id = 'user_stranger'")

    refused(service.portal("stranger"), "user_not_found")


@pytest.mark.parametrize("flow", ["payment_method_update", "customer_update"])
@pytest.mark.parametrize("held", ["an ended row", "a customer alone"])
def test_a_flow_about_the_customer_needs_no_running_subscription(
    world: World, service: Service, flow: str, held: str
) -> None:
    customer = world.stripe.create_customer()["id"]
    if held == "an ended row":
        put_row(world, stripe_customer_id=customer, status="canceled")
    else:
        link(world, customer)

    assert service.portal(body={"flow": flow}).status_code == 200
    session = only_session(world)
    assert (session["customer"], session["flow"]["type"]) == (customer, flow)


@pytest.mark.parametrize(
    "flow", ["subscription_cancel", "subscription_update", "subscription_pause"]
)
def test_a_flow_about_a_subscription_needs_more_than_a_customer(
    world: World, service: Service, flow: str
) -> None:
    link(world, world.stripe.create_customer()["id"])

    refused(service.portal(body={"flow": flow}), "no_subscription")
    assert calls(world.stripe) == []


@pytest.mark.parametrize("form", ["flexible", "classic"])
def test_what_is_set_to_end_can_still_be_changed(
    world: World, service: Service, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(world.stripe, "billing_mode", form)
    subscription = world.stripe.create_subscription("user_ada", "price_pro")
    world.stripe.act(subscription["id"], "cancel_at_period_end")
    service.outcome(last_event(world.stripe))

    assert service.portal(body={"flow": "subscription_update"}).status_code == 200
    assert only_session(world)["flow"]["type"] == "subscription_update"


@pytest.mark.parametrize("wish", [{"return_path": "//evil.com"}, {"locale": 7, "flow": "x"}])
def test_a_bad_wish_is_refused_before_anybody_is_asked(
    world: World, service: Service, wish: dict[str, Any]
) -> None:
    world.faults.database = "down"

    refused(service.portal(body=wish), "invalid_request")
    assert calls(world.stripe) == []
