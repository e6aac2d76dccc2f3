"""A customer that Stripe no longer has is remembered as gone, until Stripe says otherwise."""

from collections.abc import Callable

import pytest
from service_under_test import (
    Json,
    MakeService,
    OtherStripe,
    Service,
    calls,
    execute,
    known_subscription,
    last_event,
    link,
    linked,
    put_row,
    refused,
    rows,
    session_of,
)

from sandbox.world import World


def gone(world: World) -> list[str]:
    found = execute(world, "select stripe_customer_id from gone_customers where not livemode")
    return [row["stripe_customer_id"] for row in found]


@pytest.fixture
def deleted(world: World, service: Service) -> Json:
    """ada's subscription, whose customer was deleted in Stripe's dashboard; no webhook came."""
    subscription = known_subscription(service)
    world.stripe.delete_customer(subscription["customer"])
    return subscription


def test_the_portal_says_so_once_and_then_that_there_is_none(
    world: World, service: Service, deleted: Json
) -> None:
    assert service.shown()["can_manage_billing"]

    refused(service.portal(), "customer_not_found")
    assert gone(world) == [deleted["customer"]]
    assert rows(world)[deleted["id"]]["status"] == "canceled"
    shown = service.shown()
    assert (shown["can_manage_billing"], shown["can_checkout"]) == (False, True)
    world.stripe.calls.clear()
    refused(service.portal(), "no_subscription")
    assert calls(world.stripe) == []


def test_the_next_checkout_links_a_new_one(world: World, service: Service, deleted: Json) -> None:
    refused(service.portal(), "customer_not_found")

    new = session_of(world.stripe, service.checkout())["customer"]
    assert new != deleted["customer"]
    assert linked(world) == {"user_ada": new}
    assert service.shown()["can_manage_billing"]
    assert service.portal().status_code == 200
    assert session_of(world.stripe, service.checkout())["customer"] == new


def test_checkout_remembers_what_it_finds_too(
    world: World, service: Service, deleted: Json
) -> None:
    session = session_of(world.stripe, service.checkout())
    assert session["customer"] != deleted["customer"]
    assert gone(world) == [deleted["customer"]]
    assert rows(world)[deleted["id"]]["status"] == "canceled"


def test_a_customer_of_ours_that_was_deleted_is_not_given_back_by_its_key(
    world: World, service: Service
) -> None:
    session = session_of(world.stripe, service.checkout())
    old = session["customer"]
    world.stripe.checkout(session["id"], "expire")
    world.stripe.delete_customer(old)

    new = session_of(world.stripe, service.checkout())["customer"]
    assert new != old
    assert linked(world) == {"user_ada": new}


def test_another_customer_of_the_owner_manages_billing(
    world: World, service: Service, deleted: Json
) -> None:
    other = world.stripe.create_customer()["id"]
    put_row(world, status="canceled", stripe_customer_id=other)

    refused(service.portal(), "customer_not_found")
    assert service.shown()["can_manage_billing"]
    assert service.portal().status_code == 200
    (session,) = world.stripe.portal_sessions.values()
    assert session["customer"] == other


def test_a_refresh_asks_about_it_once_more_and_it_stays_gone(
    world: World, service: Service, deleted: Json
) -> None:
    refused(service.portal(), "customer_not_found")
    world.stripe.calls.clear()

    assert service.refresh().status_code == 200
    assert calls(world.stripe) == ["GET /v1/subscriptions"]
    assert gone(world) == [deleted["customer"]]


def test_a_refresh_finds_out_by_itself(world: World, service: Service, deleted: Json) -> None:
    shown = service.refresh().json or {}
    assert (shown["plan"], shown["can_manage_billing"]) == ("free", False)
    assert gone(world) == [deleted["customer"]]


def test_one_that_is_alive_again_is_taken_back(world: World, service: Service) -> None:
    """The key was another account's for a while."""
    subscription = known_subscription(service)
    customer = world.stripe.customers.pop(subscription["customer"])
    refused(service.portal(), "customer_not_found")
    refused(service.portal(), "no_subscription")
    world.stripe.customers[customer["id"]] = customer

    refused(service.portal(), "no_subscription")
    assert (service.refresh().json or {})["can_manage_billing"]
    assert gone(world) == []
    assert service.portal().status_code == 200


def test_a_webhook_that_merely_names_it_is_no_sign_of_life(
    world: World, service: Service, deleted: Json
) -> None:
    refused(service.portal(), "customer_not_found")

    service.outcome(last_event(world.stripe, "customer.subscription.deleted"))
    assert gone(world) == [deleted["customer"]]
    assert not service.shown()["can_manage_billing"]


def test_a_linked_customer_without_any_row_can_be_gone(world: World, service: Service) -> None:
    link(world, "cus_of_another_account")

    refused(service.portal(), "customer_not_found")
    assert not service.shown()["can_manage_billing"]
    refused(service.portal(), "no_subscription")
    new = session_of(world.stripe, service.checkout())["customer"]
    assert linked(world) == {"user_ada": new}


def test_it_is_gone_under_a_key_of_that_mode_only(
    world: World,
    make_service: MakeService,
    service_at: Callable[..., Service],
    live_stripe: OtherStripe,
) -> None:
    link(world, "cus_1")
    link(world, "cus_live", livemode=True)
    refused(make_service().portal(), "customer_not_found")

    live = service_at(live_stripe)
    assert live.shown()["can_manage_billing"]
    refused(live.portal(), "customer_not_found")
    modes = execute(world, "select livemode from gone_customers order by livemode")
    assert [row["livemode"] for row in modes] == [False, True]


def test_a_deleted_customer_of_somebody_else_changes_nothing(
    world: World, service: Service, deleted: Json
) -> None:
    world.add_user("eve")
    refused(service.portal(), "customer_not_found")

    refused(service.portal("eve"), "no_subscription")
    assert service.checkout("eve").status_code == 200
    assert gone(world) == [deleted["customer"]]


def test_one_without_any_subscription_is_asked_for_by_itself(
    world: World, service: Service
) -> None:
    """An empty list is what Stripe says of a deleted customer too."""
    customer = world.stripe.create_customer()["id"]
    link(world, customer)
    world.stripe.delete_customer(customer)
    refused(service.portal(), "customer_not_found")

    assert not (service.refresh().json or {})["can_manage_billing"]
    assert gone(world) == [customer]
    del world.stripe.customers[customer]["deleted"]
    assert (service.refresh().json or {})["can_manage_billing"]
    assert gone(world) == []


def test_a_customer_that_stripe_never_had_ends_its_rows(world: World, service: Service) -> None:
    put_row(world, stripe_customer_id="cus_of_another_account")

    refused(service.portal(), "customer_not_found")
    assert rows(world)["sub_row"]["status"] == "canceled"


# Replaced while checkout is under way


def test_a_customer_that_vanishes_again_and_again_is_replaced_once_only(
    service_at: Callable[..., Service], other_stripe: OtherStripe
) -> None:
    def vanish(method: str, path: str) -> None:
        if f"{method} {path}" == "GET /v1/checkout/sessions":
            for customer in other_stripe.state.customers.values():
                customer["deleted"] = True

    other_stripe.held = vanish

    refused(service_at(other_stripe).checkout(), "customer_not_found")
    assert calls(other_stripe.state).count("POST /v1/customers") == 2


def test_a_customer_that_is_deleted_at_the_last_moment_is_replaced_too(
    world: World, service_at: Callable[..., Service], other_stripe: OtherStripe
) -> None:
    service, stripe = service_at(other_stripe), other_stripe.state
    lost = stripe.create_customer()["id"]
    link(world, lost)

    def delete_once_listed(method: str, path: str) -> None:
        if f"{method} {path}" == "GET /v1/subscriptions" and lost in stripe.customers:
            stripe.customers.pop(lost)

    other_stripe.held = delete_once_listed

    session = session_of(stripe, service.checkout())
    assert session["customer"] != lost
    assert linked(world) == {"user_ada": session["customer"]}
    assert [one["status"] for one in stripe.sessions.values()] == ["open"]
