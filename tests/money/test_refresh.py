"""POST /subscription/refresh: the caller's own subscriptions, asked from Stripe."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from service_under_test import (
    Clock,
    Json,
    OtherStripe,
    Service,
    calls,
    execute,
    last_event,
    link,
    linked,
    put_row,
    refused,
    rows,
    wait_until_waiting,
)

from sandbox.world import World

LIST_SUBSCRIPTIONS = "GET /v1/subscriptions"


def bought(world: World, service: Service, user: str = "ada") -> Json:
    """A checkout session that was paid, and of which no webhook has come."""
    service.checkout(user)
    session = next(reversed(world.stripe.sessions.values()))
    return world.stripe.checkout(session["id"], "pay")


def test_without_a_customer_there_is_nothing_to_ask(world: World, service: Service) -> None:
    for user in ("ada", "stranger"):
        answer = service.refresh(user)
        assert (answer.status_code, (answer.json or {})["plan"]) == (200, "free")
    assert calls(world.stripe) == []


def test_after_checkout_it_needs_no_webhook(world: World, service: Service) -> None:
    session = bought(world, service)
    assert not service.shown()["subscribed"]

    shown = service.refresh(body={"checkout_session_id": session["id"]}).json or {}
    assert (shown["subscribed"], shown["plan"]) == (True, "pro")
    assert rows(world)[session["subscription"]]["user_id"] == world.user_id("ada")
    assert shown == service.shown()


def test_the_customer_is_enough(world: World, service: Service) -> None:
    bought(world, service)
    assert (service.refresh().json or {})["subscribed"]


def test_every_change_at_stripe_is_written_ended_subscriptions_too(
    world: World, service: Service
) -> None:
    ended = world.stripe.create_subscription("user_ada", "price_pro")
    live = world.stripe.create_subscription("user_ada", "price_pro")
    link(world, ended["customer"])
    service.refresh()
    world.stripe.act(ended["id"], "cancel_now")
    world.stripe.act(live["id"], "change_plan", price="price_team")

    assert (service.refresh().json or {})["plan"] == "team"
    assert {row["status"] for row in world.rows()} == {"canceled", "active"}


def test_nothing_new_moves_as_of_and_revision_and_no_content(
    world: World, service: Service, clock: Clock
) -> None:
    subscription = world.stripe.create_subscription("user_ada", "price_pro")
    service.outcome(last_event(world.stripe))
    before = rows(world)[subscription["id"]]
    clock.advance(5)

    service.refresh()
    after = rows(world)[subscription["id"]]
    moved = {name for name in before if before[name] != after[name]}
    assert moved == {"as_of", "revision"}


def test_a_row_that_stripe_does_not_list_any_more_is_asked_for_and_ends(
    world: World, service: Service
) -> None:
    subscription = world.stripe.create_subscription("user_ada", "price_pro")
    service.outcome(last_event(world.stripe))
    del world.stripe.subscriptions[subscription["id"]]

    shown = service.refresh().json or {}
    assert (shown["status"], shown["plan"]) == ("canceled", "free")
    assert shown["ended_at"] is not None


def test_a_row_without_a_mode_gets_the_keys(world: World, service: Service) -> None:
    subscription = world.stripe.create_subscription("user_ada", "price_pro")
    put_row(world, stripe_subscription_id=subscription["id"], livemode=None, as_of=None,
            stripe_customer_id=subscription["customer"])  # fmt: skip

    service.refresh()
    assert rows(world)[subscription["id"]]["livemode"] is False


def test_a_row_of_the_other_mode_is_left_alone(world: World, service: Service) -> None:
    before = put_row(world, livemode=True)
    customer = world.stripe.create_customer()["id"]
    link(world, customer)

    service.refresh()
    assert rows(world)["sub_row"] == before


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


# The session id of the success URL


def test_a_session_of_a_customer_whose_link_was_lost_is_the_callers_by_metadata(
    world: World, service: Service
) -> None:
    session = bought(world, service)
    execute(world, "delete from billing_customers")

    shown = service.refresh(body={"checkout_session_id": session["id"]}).json or {}
    assert shown["subscribed"]
    assert linked(world) == {"user_ada": session["customer"]}


def test_a_session_is_the_callers_by_its_customer(world: World, service: Service) -> None:
    session = bought(world, service)
    world.stripe.sessions[session["id"]]["metadata"] = {}

    assert (service.refresh(body={"checkout_session_id": session["id"]}).json or {})["subscribed"]


def test_a_session_finds_a_subscription_that_itself_names_nobody(
    world: World, service: Service
) -> None:
    session = bought(world, service)
    execute(world, "delete from billing_customers")
    world.stripe.subscriptions[session["subscription"]]["metadata"] = {}

    assert (service.refresh(body={"checkout_session_id": session["id"]}).json or {})["subscribed"]
    assert rows(world)[session["subscription"]]["user_id"] == world.user_id("ada")


@pytest.mark.parametrize("kind", ["foreign", "open", "expired", "unknown", "by reference alone"])
def test_a_session_that_is_not_the_callers_or_not_complete_changes_nothing(
    world: World, service: Service, kind: str
) -> None:
    world.add_user("eve")
    session = bought(world, service, "eve")
    if kind in ("open", "expired"):
        service.checkout("ada")
        session = next(reversed(world.stripe.sessions.values()))
        if kind == "expired":
            world.stripe.checkout(session["id"], "expire")
    if kind == "by reference alone":
        world.stripe.sessions[session["id"]]["client_reference_id"] = "user_ada"
    wanted = "cs_test_unknown" if kind == "unknown" else session["id"]

    answer = service.refresh("ada", {"checkout_session_id": wanted})
    assert answer.status_code == 200
    assert answer.json == service.refresh("ada").json
    assert not service.shown("ada")["subscribed"]
    assert world.rows() == []


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


@pytest.mark.parametrize("body", [{"checkout_session_id": "sub_1"}, {"session_id": "cs_test_1"}])
def test_anything_but_a_session_id_is_invalid(world: World, service: Service, body: Json) -> None:
    """Value by value: tests/rules/test_inputs.py."""
    refused(service.refresh(body=body), "invalid_request")
    assert calls(world.stripe) == []
    assert service.refresh(body={"checkout_session_id": None}).status_code == 200


def test_what_stripe_cannot_answer_changes_nothing(world: World, service: Service) -> None:
    subscription = world.stripe.create_subscription("user_ada", "price_pro")
    service.outcome(last_event(world.stripe))
    before = rows(world)
    world.stripe.act(subscription["id"], "cancel_now")
    world.faults.stripe = "error"

    refused(service.refresh(), "stripe_unavailable")
    assert rows(world) == before


def test_a_slow_list_of_stripes_never_overwrites_a_newer_state(
    world: World, service_at: Callable[..., Service], other_stripe: OtherStripe
) -> None:
    service, stripe = service_at(other_stripe), other_stripe.state
    subscription = stripe.create_subscription("user_ada", "price_pro")
    service.outcome(last_event(stripe))

    def cancel_once_listed(method: str, path: str) -> None:
        if path == "/v1/subscriptions":
            other_stripe.held = lambda method, path: None
            stripe.act(subscription["id"], "cancel_now")
            assert service.outcome(last_event(stripe)) == "refreshed"

    other_stripe.held = cancel_once_listed

    assert (service.refresh().json or {})["status"] == "canceled"
    assert rows(world)[subscription["id"]]["status"] == "canceled"


def test_concurrent_calls_of_one_user_share_the_work(
    world: World, service_at: Callable[..., Service], other_stripe: OtherStripe
) -> None:
    service, stripe = service_at(other_stripe), other_stripe.state
    link(world, stripe.create_subscription("user_ada", "price_pro")["customer"])
    asked, go_on = threading.Event(), threading.Event()

    def hold_the_first(method: str, path: str) -> None:
        if not asked.is_set():
            asked.set()
            assert go_on.wait(30)

    other_stripe.held = hold_the_first
    answers: list[Any] = []

    def call() -> None:
        answers.append(service.refresh())

    first = threading.Thread(target=call)
    first.start()
    assert asked.wait(30)
    # What the first call finds is older than these: one of them asks again, for all of them.
    others = [threading.Thread(target=call) for _ in range(5)]
    for thread in others:
        thread.start()
    wait_until_waiting(others)
    go_on.set()
    for thread in (first, *others):
        thread.join(30)

    assert [answer.json["subscribed"] for answer in answers] == [True] * 6
    assert calls(stripe) == ["GET /v1/subscriptions"] * 2
