"""Somebody else acts between two calls of a deletion: the user pays, or ends it in the portal, or
Clerk delivers twice at once. It ends right all the same.
"""

from collections.abc import Callable
from typing import Any

import pytest
from service_under_test import Json, OtherStripe, Service, last_event, rows, session_of

from sandbox.stripe import schedules
from sandbox.world import World

LIST = ("GET", "/v1/subscriptions")


def ends_with_its_period(subscription: Json) -> bool:
    period_end = max(item["current_period_end"] for item in subscription["items"]["data"])
    return subscription["cancel_at_period_end"] and subscription["cancel_at"] == period_end


def known(service: Service, stripe: OtherStripe) -> str:
    """ada's subscription at that Stripe, with its row."""
    subscription = stripe.state.create_subscription("user_ada", "price_pro")
    service.deliver(last_event(stripe.state, "customer.subscription.created"))
    return str(subscription["id"])


def once(stripe: OtherStripe, call: tuple[str, str], act: Callable[[], Any]) -> None:
    """Act when Stripe has executed this call for the first time, and its answer is held back."""
    waiting = [act]

    def held(method: str, path: str) -> None:
        if (method, path) == call and waiting:
            waiting.pop()()

    stripe.held = held


def test_a_session_that_is_paid_this_moment_makes_what_ends(
    world: World, service_at: Callable[..., Service], other_stripe: OtherStripe
) -> None:
    service = service_at(other_stripe)
    state = other_stripe.state
    session = session_of(state, service.checkout())

    checkout = ("GET", "/v1/checkout/sessions")  # before the session expires
    once(other_stripe, checkout, lambda: state.checkout(session["id"], "pay"))
    assert service.told(world.clerk_users.delete("user_ada")) == "scheduled"
    name = state.sessions[session["id"]]["subscription"]
    assert ends_with_its_period(state.subscriptions[name])
    assert rows(world)[name]["cancel_at_period_end"]


@pytest.mark.parametrize("how", ["cancel_at_period_end", "cancel_now"])
def test_what_ended_since_it_was_listed_is_done(
    world: World, service_at: Callable[..., Service], other_stripe: OtherStripe, how: str
) -> None:
    service = service_at(other_stripe, on_owner_deleted=how)
    name = known(service, other_stripe)
    once(other_stripe, LIST, lambda: other_stripe.state.act(name, "cancel_now"))

    assert service.told(world.clerk_users.delete("user_ada")) == "canceled"
    assert rows(world)[name]["status"] == "canceled"


@pytest.mark.parametrize("how", ["cancel_at_period_end", "cancel_now"])
def test_what_was_deleted_since_it_was_listed_is_done(
    world: World, service_at: Callable[..., Service], other_stripe: OtherStripe, how: str
) -> None:
    service = service_at(other_stripe, on_owner_deleted=how)
    name = known(service, other_stripe)
    once(other_stripe, LIST, lambda: other_stripe.state.subscriptions.pop(name))

    assert service.told(world.clerk_users.delete("user_ada")) == "canceled"
    assert rows(world)[name]["status"] == "canceled"


@pytest.mark.parametrize("how", ["cancel_at_period_end", "cancel_now"])
def test_a_schedule_that_was_released_since_is_no_obstacle(
    world: World, service_at: Callable[..., Service], other_stripe: OtherStripe, how: str
) -> None:
    service = service_at(other_stripe, on_owner_deleted=how)
    name, state = known(service, other_stripe), other_stripe.state
    schedule = schedules.attach(state, name)["id"]

    def release() -> None:
        with state.lock:
            schedules.release(state, {}, schedule)

    once(other_stripe, LIST, release)
    service.told(world.clerk_users.delete("user_ada"))
    subscription = state.subscriptions[name]
    assert ends_with_its_period(subscription) or subscription["status"] == "canceled"


def test_a_schedule_that_came_since_makes_it_come_again(
    world: World, service_at: Callable[..., Service], other_stripe: OtherStripe
) -> None:
    service = service_at(other_stripe)
    name = known(service, other_stripe)
    once(other_stripe, LIST, lambda: schedules.attach(other_stripe.state, name))
    deleted = world.clerk_users.delete("user_ada")

    assert service.deliver_clerk(deleted).status_code == 500
    assert service.told(deleted) == "scheduled"
    assert ends_with_its_period(other_stripe.state.subscriptions[name])


def test_the_same_delivery_at_the_same_moment(
    world: World, service_at: Callable[..., Service], other_stripe: OtherStripe
) -> None:
    """One is done while the other waits for its list."""
    service = service_at(other_stripe, on_owner_deleted="cancel_now")
    name = known(service, other_stripe)
    deleted = world.clerk_users.delete("user_ada")
    said: list[str] = []
    once(other_stripe, LIST, lambda: said.append(service.told(deleted)))

    assert service.told(deleted) == "canceled"
    assert said == ["canceled"]
    assert rows(world)[name]["status"] == "canceled"
