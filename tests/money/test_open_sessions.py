"""Of all Checkout sessions that a customer could pay one stays open, and is given back to whoever
wants the very same; two clicks at once and changes of Stripe's mind included.

Every order of unequal clicks: tests/capacity/test_every_order.py; over HTTP: tests/capacity/
test_unequal_clicks.py.
"""

import itertools
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from service_under_test import (
    Json,
    MakeService,
    OtherStripe,
    Service,
    calls,
    link,
    linked,
    refused,
    session_of,
)

from sandbox.stripe import checkout as stripe_checkout
from sandbox.stripe.errors import StripeError
from sandbox.stripe.state import StripeState
from sandbox.world import World

LIST_SUBSCRIPTIONS = "GET /v1/subscriptions"
LIST_SESSIONS = "GET /v1/checkout/sessions"
CREATE = "POST /v1/checkout/sessions"
PLANS = ("pro", "team")


def statuses(stripe: StripeState) -> list[str]:
    return [session["status"] for session in stripe.sessions.values()]


def test_a_second_call_gives_the_open_session_back(world: World, service: Service) -> None:
    first, second = service.checkout(), service.checkout()

    assert first.json == second.json
    assert statuses(world.stripe) == ["open"]
    assert calls(world.stripe).count(CREATE) == 1


@pytest.mark.parametrize(
    "body", [{"plan": "team"}, {"quantity": 2}, {"locale": "de"}, {"return_path": "/elsewhere"}]
)
def test_an_open_session_for_anything_else_is_expired(
    world: World, service: Service, body: Json
) -> None:
    first = session_of(world.stripe, service.checkout())
    second = session_of(world.stripe, service.checkout(body=body))

    assert world.stripe.sessions[first["id"]]["status"] == "expired"
    assert second["status"] == "open"


def test_a_changed_operators_parameter_makes_another_session(
    world: World, make_service: MakeService, ada: str
) -> None:
    make_service().checkout()
    make_service(checkout_params={"allow_promotion_codes": True}).checkout()
    assert statuses(world.stripe) == ["expired", "open"]


def test_back_and_forth_between_plans_leaves_one_open_session(
    world: World, service: Service
) -> None:
    for plan in ("pro", "team", "pro", "team", "pro"):
        assert service.checkout(body={"plan": plan}).status_code == 200
    assert statuses(world.stripe) == ["expired"] * 4 + ["open"]


@pytest.mark.parametrize("how", ["expire", "pay"])
def test_after_a_session_is_over_the_next_is_a_new_one(
    world: World, service: Service, how: str
) -> None:
    first = session_of(world.stripe, service.checkout())
    paid = world.stripe.checkout(first["id"], how)
    if how == "pay":
        world.stripe.act(paid["subscription"], "cancel_now")

    second = session_of(world.stripe, service.checkout())
    assert second["id"] != first["id"]
    assert second["status"] == "open"


def test_all_other_open_sessions_of_ours_expire_before_one_is_given_back(
    world: World, service: Service
) -> None:
    customer = world.stripe.create_customer()["id"]
    link(world, customer)
    first = service.checkout(body={"plan": "pro"})
    (session,) = world.stripe.sessions.values()
    for name, changes in {
        "ours": {"metadata": {"clerk_user_id": "user_ada"}},
        "foreign": {"metadata": {}},
        "of one payment": {"mode": "payment"},
        "complete": {"status": "complete"},
    }.items():
        id_ = f"cs_test_{name.replace(' ', '_')}"
        world.stripe.sessions[id_] = {**session, "id": id_, **changes}
        world.stripe.orders[id_] = world.stripe.orders[session["id"]]
    world.stripe.calls.clear()

    assert service.checkout(body={"plan": "pro"}).json == first.json
    assert calls(world.stripe) == [
        LIST_SESSIONS, LIST_SUBSCRIPTIONS, "POST /v1/checkout/sessions/cs_test_ours/expire",
    ]  # fmt: skip
    assert statuses(world.stripe) == ["open", "expired", "open", "open", "complete"]


def test_a_session_that_is_paid_this_very_moment_is_a_conflict(
    service_at: Callable[..., Service], other_stripe: OtherStripe
) -> None:
    service, stripe = service_at(other_stripe), other_stripe.state
    first = session_of(stripe, service.checkout())

    def pay_once_listed(method: str, path: str) -> None:
        if f"{method} {path}" == LIST_SESSIONS and stripe.sessions[first["id"]]["url"]:
            stripe.checkout(first["id"], "pay")

    other_stripe.held = pay_once_listed

    refused(service.checkout(body={"plan": "team"}), "already_subscribed")
    assert statuses(stripe) == ["complete"]


def test_a_session_that_expires_this_very_moment_is_no_conflict(
    service_at: Callable[..., Service], other_stripe: OtherStripe
) -> None:
    service, stripe = service_at(other_stripe), other_stripe.state
    first = session_of(stripe, service.checkout())

    def expire_once_listed(method: str, path: str) -> None:
        if f"{method} {path}" == LIST_SESSIONS and stripe.sessions[first["id"]]["url"]:
            stripe.checkout(first["id"], "expire")

    other_stripe.held = expire_once_listed

    assert service.checkout(body={"plan": "team"}).status_code == 200
    assert statuses(stripe) == ["expired", "open"]


def test_a_session_that_stripe_does_not_let_expire_is_not_doubled(
    world: World, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.checkout(body={"plan": "pro"})

    def refuse(state: StripeState, session_id: str) -> None:
        raise StripeError("This session cannot be expired at the moment.")

    monkeypatch.setattr(stripe_checkout, "expire", refuse)

    refused(service.checkout(body={"plan": "team"}), "stripe_refused")
    assert statuses(world.stripe) == ["open"]


@pytest.mark.parametrize("customer", ["known", "new"])
def test_a_double_click_makes_one_session_and_one_customer(
    world: World, service_at: Callable[..., Service], other_stripe: OtherStripe, customer: str
) -> None:
    service, stripe = service_at(other_stripe), other_stripe.state
    service.shown()  # Clerk's keys are there
    if customer == "known":
        link(world, stripe.create_customer()["id"])
    both_listed = threading.Barrier(2, timeout=30)
    first_two = iter(range(2))

    def meet(method: str, path: str) -> None:
        if f"{method} {path}" == LIST_SESSIONS and next(first_two, None) is not None:
            both_listed.wait()

    other_stripe.held = meet

    with ThreadPoolExecutor(2) as clicks:
        answers = list(clicks.map(lambda _: service.checkout(), range(2)))

    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].json == answers[1].json
    assert statuses(stripe) == ["open"]
    assert len(stripe.customers) == 1
    assert list(linked(world).values()) == list(stripe.customers)


def test_two_different_wishes_at_once_leave_one_open_session(
    service_at: Callable[..., Service], other_stripe: OtherStripe
) -> None:
    service, stripe = service_at(other_stripe), other_stripe.state
    service.checkout(body={"plan": "pro"})  # the customer is known from here on
    (first,) = stripe.sessions.values()
    stripe.checkout(first["id"], "expire")
    both_listed, listings = threading.Barrier(2, timeout=30), itertools.count()

    def meet_once(method: str, path: str) -> None:
        if f"{method} {path}" == LIST_SESSIONS and next(listings) < 2:
            both_listed.wait()

    other_stripe.held = meet_once

    with ThreadPoolExecutor(2) as tabs:
        answers = list(tabs.map(lambda plan: service.checkout(body={"plan": plan}), PLANS))

    assert [answer.status_code for answer in answers] == [200, 200]
    assert sorted(statuses(stripe)) == ["expired", "expired", "open"]
    (still_open,) = (s["url"] for s in stripe.sessions.values() if s["status"] == "open")
    assert still_open in [(answer.json or {})["url"] for answer in answers]
