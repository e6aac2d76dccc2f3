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


def test_every_page_of_stripes_list_is_read(world: World, service: Service) -> None:
    customer = world.stripe.create_customer()["id"]
    link(world, customer)
    for _ in range(101):
        world.stripe.create_subscription("user_ada", "price_pro", "canceled", customer=customer)

    assert service.refresh().status_code == 200
    assert len(world.rows()) == 101
    assert calls(world.stripe) == ["GET /v1/subscriptions"] * 2


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


@pytest.mark.parametrize("gone", ["deleted", "never there"])
def test_the_rows_of_a_customer_that_stripe_lacks_end(
    world: World, service: Service, gone: str
) -> None:
    subscription = world.stripe.create_subscription("user_ada", "price_pro")
    service.outcome(last_event(world.stripe))
    if gone == "deleted":
        world.stripe.delete_customer(subscription["customer"])
    else:
        del world.stripe.subscriptions[subscription["id"]]
        del world.stripe.customers[subscription["customer"]]

    answer = service.refresh()
    assert (answer.status_code, (answer.json or {})["status"]) == (200, "canceled")


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


@pytest.mark.parametrize(
    "wanted",
    ["", "sub_1", "cs_", "cs_test_1/../x", "cs_test_1?x=1", "cs_test 1", "cs_test_1\n", "CS_TEST_1",
     "cs_" + "a" * 1000, "cs_tést", 7, True, ["cs_test_1"], {"id": "cs_test_1"}],
)  # fmt: skip
def test_anything_not_of_the_form_of_a_session_id_is_invalid(
    world: World, service: Service, wanted: Any
) -> None:
    refused(service.refresh(body={"checkout_session_id": wanted}), "invalid_request")
    assert calls(world.stripe) == []


def test_unknown_fields_are_invalid(service: Service) -> None:
    refused(service.refresh(body={"session_id": "cs_test_1"}), "invalid_request")


def test_null_is_no_session_id(service: Service) -> None:
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
            assert go_on.wait(10)

    other_stripe.held = hold_the_first
    answers: list[Any] = []

    def call() -> None:
        answers.append(service.refresh())

    first = threading.Thread(target=call)
    first.start()
    assert asked.wait(10)
    # What the first call finds is older than these: one of them asks again, for all of them.
    others = [threading.Thread(target=call) for _ in range(5)]
    for thread in others:
        thread.start()
    wait_until_waiting(others)
    go_on.set()
    for thread in (first, *others):
        thread.join(10)

    assert [answer.json["subscribed"] for answer in answers] == [True] * 6
    assert calls(stripe) == ["GET /v1/subscriptions"] * 2
