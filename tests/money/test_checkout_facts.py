"""POST /checkout: who may buy with which customer, where the page comes back to, and what happens
when Stripe changes its mind between two of our questions.
"""

import itertools
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from service_under_test import (
    APP_URL,
    Json,
    MakeService,
    OtherStripe,
    Service,
    calls,
    link,
    linked,
    put_row,
    refused,
    rows,
)
from werkzeug.test import TestResponse

from sandbox.stripe import checkout as stripe_checkout
from sandbox.stripe.errors import StripeError
from sandbox.stripe.state import StripeState
from sandbox.world import World

LIST_SUBSCRIPTIONS = "GET /v1/subscriptions"
LIST_SESSIONS = "GET /v1/checkout/sessions"
CREATE = "POST /v1/checkout/sessions"
PLANS = ("pro", "team")
SESSION_ID = "checkout_session_id={CHECKOUT_SESSION_ID}"


def order_of(stripe: StripeState, answer: TestResponse) -> Json:
    """The parameters that made the session whose address an answer gives."""
    assert answer.status_code == 200, answer.text
    url = (answer.json or {})["url"]
    session = next(s for s in stripe.sessions.values() if s["url"] == url)
    order: Json = stripe.orders[session["id"]]
    return order


def statuses(stripe: StripeState) -> list[str]:
    return [session["status"] for session in stripe.sessions.values()]


# Where it comes back to


@pytest.mark.parametrize(
    ("path", "url"),
    [
        ("/welcome", f"/welcome?{SESSION_ID}"),
        ("/welcome?", f"/welcome?{SESSION_ID}"),
        ("/welcome?a=1", f"/welcome?a=1&{SESSION_ID}"),
        ("/welcome?a=1#top", f"/welcome?a=1&{SESSION_ID}#top"),
        ("/welcome#top?a=1", f"/welcome?{SESSION_ID}#top?a=1"),
        # Of an earlier checkout: the page would read that one.
        ("/welcome?checkout_session_id=cs_test_old", f"/welcome?{SESSION_ID}"),
        ("/welcome?a=1&checkout_session_id=cs_old&b=2", f"/welcome?a=1&b=2&{SESSION_ID}"),
        ("/welcome?checkout_session_id", f"/welcome?{SESSION_ID}"),
        ("/x?my_checkout_session_id=1", f"/x?my_checkout_session_id=1&{SESSION_ID}"),
        ("/x?a=checkout_session_id=1", f"/x?a=checkout_session_id=1&{SESSION_ID}"),
    ],
)
@pytest.mark.parametrize("by", ["the setting", "the caller"])
def test_the_success_url_has_the_session_id_once(
    world: World, make_service: MakeService, ada: str, path: str, url: str, by: str
) -> None:
    if by == "the setting":
        answer = make_service(checkout_success_path=path).checkout()
    else:
        answer = make_service().checkout(body={"return_path": path})
    assert order_of(world.stripe, answer)["success_url"] == APP_URL + url


@pytest.mark.parametrize(
    ("origin", "back"),
    [
        (APP_URL, APP_URL),
        ("https://preview-acme.vercel.app", "https://preview-acme.vercel.app"),
        ("capacitor://localhost", APP_URL),  # Stripe takes http and https only
    ],
)
def test_the_page_that_asked_is_where_it_comes_back_to(
    world: World, make_service: MakeService, ada: str, origin: str, back: str
) -> None:
    service = make_service(
        origins=("https://*-acme.vercel.app", "capacitor://localhost"),
        checkout_success_path="/welcome",
        checkout_cancel_path="/pricing",
    )
    headers = {**service.bearer(), "Origin": origin}
    order = order_of(world.stripe, service.call("POST", "/checkout", headers=headers))
    assert order["success_url"] == f"{back}/welcome?{SESSION_ID}"
    assert order["cancel_url"] == f"{back}/pricing"


@pytest.mark.parametrize("tax_ids", [{}, {"tax_id_collection": {"enabled": True}}])
def test_what_the_operator_lets_be_updated_stays_beside_what_stripe_demands(
    world: World, make_service: MakeService, ada: str, tax_ids: Json
) -> None:
    params = {"automatic_tax": {"enabled": True}, "customer_update": {"shipping": "auto"}}
    order = order_of(world.stripe, make_service(checkout_params={**params, **tax_ids}).checkout())
    name = {"name": "auto"} if tax_ids else {}
    assert order["customer_update"] == {"shipping": "auto", "address": "auto", **name}


# Who can buy, and with which customer


@pytest.mark.parametrize(
    "row",
    [
        {"status": "canceled"},
        {"status": "incomplete"},
        {"status": "incomplete_expired"},
        {"status": "paused", "paused_reason": "trial_end_without_payment_method"},
        {"status": "paused", "paused_reason": None},
    ],
    ids=str,
)
def test_whoever_has_no_running_row_buys_with_the_customer_of_the_best_one(
    world: World, service: Service, row: Json
) -> None:
    customer = world.stripe.create_customer()["id"]
    put_row(world, stripe_customer_id=customer, **row)

    assert order_of(world.stripe, service.checkout())["customer"] == customer


@pytest.mark.parametrize(
    "row",
    [
        {"price_id": "price_x", "product_id": "prod_x"},
        {"price_id": None, "product_id": None, "quantity": None, "livemode": None, "as_of": None},
        {"price_id": "", "product_id": None, "livemode": None, "as_of": None},
    ],
    ids=["an unknown price", "the tutorial's", "the tutorial's, with an empty price"],
)
@pytest.mark.parametrize("beside", [True, False], ids=["beside an ended one", "alone"])
def test_a_running_row_blocks_whatever_its_price_where_stripe_can_not_be_asked(
    world: World, service: Service, row: Json, beside: bool
) -> None:
    service.checkout("eve")  # the price is known
    put_row(world, **row)
    if beside:
        put_row(world, stripe_subscription_id="sub_old", status="canceled", price_id="price_team")
    world.faults.stripe = "error"

    refused(service.checkout(), "already_subscribed")


AT_STRIPE: list[Any] = [
    pytest.param("past_due", None, True, id="past_due"),
    pytest.param("unpaid", None, True, id="unpaid"),
    pytest.param("trialing", None, True, id="trialing"),
    pytest.param("active", "pause_requested", True, id="paused by the customer"),
    pytest.param("active", "final_payment_failure", True, id="paused for want of a payment"),
    pytest.param("active", "trial_end_without_payment_method", False, id="a trial without a card"),
    pytest.param("incomplete", None, False, id="incomplete"),
    pytest.param("canceled", None, False, id="canceled"),
]


@pytest.mark.parametrize(("status", "pause", "running"), AT_STRIPE)
def test_a_running_subscription_that_only_stripe_knows_is_found_whatever_it_is_called(
    world: World, service: Service, status: str, pause: str | None, running: bool
) -> None:
    made = world.stripe.create_subscription("user_ada", "price_pro", status)
    world.stripe.create_subscription("user_ada", "price_team", "canceled")
    if pause:
        world.stripe.act(made["id"], "pause", reason=pause)
    link(world, made["customer"])

    answer = service.checkout()
    if running:
        refused(answer, "already_subscribed")
        assert world.stripe.sessions == {}
    else:
        assert answer.status_code == 200
    assert set(rows(world)) == set(world.stripe.subscriptions)


# Stripe changes its mind between two of our questions


def test_a_customer_that_is_deleted_at_the_last_moment_is_replaced_too(
    world: World, service_at: Callable[..., Service], other_stripe: OtherStripe
) -> None:
    service, stripe = service_at(other_stripe), other_stripe.state
    lost = stripe.create_customer()["id"]
    link(world, lost)

    def delete_once_listed(method: str, path: str) -> None:
        if f"{method} {path}" == LIST_SUBSCRIPTIONS and lost in stripe.customers:
            stripe.customers.pop(lost)

    other_stripe.held = delete_once_listed

    order = order_of(stripe, service.checkout())
    assert order["customer"] != lost
    assert linked(world) == {"user_ada": order["customer"]}
    assert statuses(stripe) == ["open"]


def test_a_session_that_stripe_does_not_let_expire_is_not_doubled(
    world: World, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.checkout(body={"plan": "pro"})

    def refuse(state: StripeState, session_id: str) -> None:
        raise StripeError("This session cannot be expired at the moment.")

    monkeypatch.setattr(stripe_checkout, "expire", refuse)

    refused(service.checkout(body={"plan": "team"}), "stripe_refused")
    assert statuses(world.stripe) == ["open"]


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


def test_two_different_wishes_at_once_leave_one_open_session(
    service_at: Callable[..., Service], other_stripe: OtherStripe
) -> None:
    service, stripe = service_at(other_stripe), other_stripe.state
    service.checkout(body={"plan": "pro"})  # the customer is known from here on
    (first,) = stripe.sessions.values()
    stripe.checkout(first["id"], "expire")
    both_listed, listings = threading.Barrier(2, timeout=10), itertools.count()

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


def test_a_fault_of_stripes_that_is_new_makes_no_second_customer(
    world: World, service: Service
) -> None:
    """It may have made the customer: only the same key finds that one again."""
    world.faults.stripe = "error"
    refused(service.checkout(), "stripe_unavailable")
    world.faults.stripe = "none"

    assert service.checkout().status_code == 200
    assert len(world.stripe.customers) == 1
    assert list(linked(world).values()) == list(world.stripe.customers)
