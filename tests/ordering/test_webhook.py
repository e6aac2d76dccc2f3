"""POST /webhook: which deliveries are used, and what they write. Every header and payload that is
refused stands in rules/test_webhook_signature.py and access/test_signatures.py.
"""

import json

import pytest
from deliveries import changed, get, utc
from service_under_test import (
    Clock,
    Json,
    Log,
    Service,
    calls,
    execute,
    last_event,
    linked,
    refused,
    rows,
    signature,
)

from sandbox.stripe import shapes
from sandbox.world import World

CHANGES = ("created", "updated", "deleted", "paused", "resumed", "pending_update_applied",
           "pending_update_expired")  # fmt: skip
CHECKOUTS = ("checkout.session.completed", "checkout.session.async_payment_succeeded")


def test_the_first_event_asks_stripe_and_writes_the_row(
    world: World, service: Service, clock: Clock
) -> None:
    subscription = world.stripe.create_subscription("user_ada", "price_pro", quantity=3)
    answer = service.deliver(last_event(world.stripe))

    assert (answer.status_code, answer.json) == (200, {"received": True, "outcome": "refreshed"})
    assert calls(world.stripe) == [get(subscription)]
    (row,) = world.rows()
    end = subscription["items"]["data"][0]["current_period_end"]
    expected = {
        "stripe_subscription_id": subscription["id"],
        "stripe_customer_id": subscription["customer"],
        "user_id": world.user_id("ada"),
        "status": "active",
        "plan": "pro",
        "price_id": "price_pro",
        "product_id": "prod_pro",
        "quantity": 3,
        "collection_method": "charge_automatically",
        "current_period_end": utc(end),
        "cancel_at": None,
        "canceled_at": None,
        "cancel_at_period_end": False,
        "trial_end": None,
        "ended_at": None,
        "pause_collection": None,
        "pause_resumes_at": None,
        "paused_reason": None,
        "livemode": False,
        "as_of": utc(clock.now),
    }
    assert {name: row[name] for name in expected} == expected
    assert linked(world) == {"user_ada": subscription["customer"]}


@pytest.mark.parametrize("billing_mode", ["flexible", "classic"])
def test_a_scheduled_cancel_is_understood_in_both_billing_modes(
    world: World, service: Service, billing_mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(world.stripe, "billing_mode", billing_mode)
    subscription = world.stripe.create_subscription("user_ada", "price_pro")
    event = changed(world, subscription, "cancel_at_period_end")
    service.outcome(event)

    shown = service.shown()
    assert shown["subscribed"]
    assert shown["cancel_at"] == shown["current_period_end"] is not None
    assert shown["cancel_at_period_end"] is (billing_mode == "classic")

    service.outcome(changed(world, subscription, "resume"))
    shown = service.shown()
    assert (shown["cancel_at"], shown["cancel_at_period_end"]) == (None, False)


# Types of events


@pytest.mark.parametrize("change", CHANGES)
def test_every_change_of_a_subscription_is_used_as_snapshot_and_thin(
    world: World, service: Service, subscription: Json, clock: Clock, change: str
) -> None:
    clock.advance(3600)
    event = changed(world, subscription) | {"type": f"customer.subscription.{change}"}

    assert service.outcome(event) == "applied"
    assert calls(world.stripe) == []
    assert service.outcome(shapes.thin(event)) == "unchanged"
    assert calls(world.stripe) == [get(subscription)]


def test_a_thin_event_writes_what_stripe_says_now(world: World, service: Service) -> None:
    subscription = world.stripe.create_subscription("user_ada", "price_pro")
    thin = shapes.thin(last_event(world.stripe))
    world.stripe.act(subscription["id"], "fail_payment")

    assert service.outcome(thin) == "refreshed"
    assert rows(world)[subscription["id"]]["status"] == "past_due"


@pytest.mark.parametrize("form", ["snapshot", "expanded", "thin"])
@pytest.mark.parametrize("kind", CHECKOUTS)
def test_a_paid_checkout_writes_its_subscription_and_links_its_customer(
    world: World, service: Service, kind: str, form: str
) -> None:
    service.checkout()
    (session,) = world.stripe.sessions.values()
    world.stripe.checkout(session["id"], "pay")
    execute(world, "delete from billing_customers")
    event = last_event(world.stripe, "checkout.session.completed") | {"type": kind}
    paid = event["data"]["object"]
    # The session's own metadata is the only word about whose it is.
    world.stripe.subscriptions[paid["subscription"]]["metadata"] = {}
    world.stripe.customers[paid["customer"]]["metadata"] = {}
    world.stripe.calls.clear()
    if form == "expanded":
        object = paid | {"subscription": world.stripe.subscriptions[paid["subscription"]]}
        event = event | {"data": {"object": object}}

    assert service.outcome(shapes.thin(event) if form == "thin" else event) == "refreshed"
    (row,) = world.rows()
    assert (row["stripe_subscription_id"], row["user_id"]) == (
        paid["subscription"],
        world.user_id("ada"),
    )
    assert linked(world) == {"user_ada": paid["customer"]}
    asked = [f"GET /v1/subscriptions/{paid['subscription']}"]
    if form == "thin":
        asked.insert(0, f"GET /v1/checkout/sessions/{paid['id']}")
    assert calls(world.stripe) == asked


@pytest.mark.parametrize("kind", CHECKOUTS)
def test_a_checkout_without_a_subscription_is_ignored(
    world: World, service: Service, kind: str
) -> None:
    session = {"id": "cs_1", "object": "checkout.session", "mode": "payment", "subscription": None,
               "livemode": False, "metadata": {"clerk_user_id": "user_ada"}}  # fmt: skip
    event = shapes.event(kind, session, 1_793_000_000)

    assert service.outcome(event) == "ignored"
    assert calls(world.stripe) == []


@pytest.mark.parametrize(
    "kind",
    [
        "customer.deleted",
        "customer.subscription.trial_will_end",
        "checkout.session.async_payment_failed",
        "v1.customer.subscription.updated",  # a thin one's type on a snapshot
    ],
)
def test_a_type_that_is_not_used_is_ignored(
    world: World, service: Service, subscription: Json, clock: Clock, kind: str
) -> None:
    before = rows(world)
    clock.advance(3600)
    event = changed(world, subscription) | {"type": kind}

    assert service.outcome(event) == "ignored"
    if not kind.startswith("v1."):
        assert service.outcome(shapes.thin(event)) == "ignored"
    assert (rows(world), calls(world.stripe)) == (before, [])


def test_a_thin_event_about_nothing_that_is_used_needs_no_object(service: Service) -> None:
    event = {
        "id": "evt_1",
        "object": "v2.core.event",
        "type": "v2.core.account.updated",
        "created": "2026-11-23T08:00:00.000Z",
        "livemode": False,
        "related_object": None,
    }
    assert service.outcome(event) == "ignored"


@pytest.mark.parametrize(
    "changes",
    [{"livemode": True}, {"livemode": None}, {"livemode": 0}, {"account": "acct_1"},
     {"context": "acct_1"}],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("form", ["snapshot", "thin", "checkout"])
def test_the_other_mode_and_connected_accounts_are_ignored(
    world: World, service: Service, changes: Json, form: str
) -> None:
    subscription = world.stripe.create_subscription("user_ada", "price_pro")
    event = last_event(world.stripe)
    if form == "thin":
        event = shapes.thin(event)
    if form == "checkout":
        session = {"id": "cs_1", "object": "checkout.session", "livemode": False,
                   "subscription": subscription["id"], "metadata": {}}  # fmt: skip
        event = shapes.event("checkout.session.completed", session, subscription["created"])

    assert service.outcome(event | changes) == "ignored"
    assert (world.rows(), calls(world.stripe)) == ([], [])


# What is signed, what is read, what is counted


@pytest.mark.parametrize(
    "content_type", [None, "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"]
)
def test_the_raw_bytes_are_signed_whatever_the_content_type(
    world: World, service: Service, content_type: str | None
) -> None:
    world.stripe.create_customer(name="Ädä")
    body = json.dumps(last_event(world.stripe), ensure_ascii=False, indent=2).encode()
    headers = {"Stripe-Signature": signature(body)}

    answer = service.call("POST", "/webhook", data=body, headers=headers, content_type=content_type)
    assert answer.status_code == 200


def test_a_signed_event_with_an_unusable_snapshot_is_refused_and_not_a_fault(
    world: World, service: Service, subscription: Json
) -> None:
    event = changed(world, subscription)
    for name in ("id", "status"):
        broken = {**event["data"]["object"], name: None}
        refused(service.deliver(event | {"data": {"object": broken}}), "invalid_payload")
    refused(service.deliver(event | {"created": "2026-11-23T08:00:00.000Z"}), "invalid_payload")


def test_a_body_may_be_one_mebibyte_and_not_one_byte_more(world: World, service: Service) -> None:
    world.stripe.create_customer()
    event = last_event(world.stripe)
    size = len(json.dumps(event | {"padding": ""}, indent=2))

    padded = event | {"padding": "x" * (1024 * 1024 - size)}
    assert service.deliver(padded).status_code == 200
    padded = event | {"padding": "x" * (1024 * 1024 - size + 1)}
    refused(service.deliver(padded), "invalid_request", 413)


def test_outcomes_are_counted_by_type_and_logged(
    world: World, service: Service, subscription: Json, clock: Clock, log: Log
) -> None:
    kind = "customer.subscription.updated"

    def count(type: str, outcome: str) -> float:
        return service.metric("portal_webhook_outcomes_total", type=type, outcome=outcome)

    before = count(kind, "applied"), count("other", "ignored")
    clock.advance(60)
    event = changed(world, subscription)
    service.outcome(event)
    world.stripe.create_customer()
    service.outcome(last_event(world.stripe))

    assert (count(kind, "applied"), count("other", "ignored")) == (before[0] + 1, before[1] + 1)
    line = next(line for line in log.lines if line.get("outcome") == "applied")
    assert (line["event"], line["type"], line["status"]) == (event["id"], kind, 200)


def delivered(log: Log) -> list[Json]:
    """The lines of deliveries, oldest first."""
    return [line for line in log.lines if line.get("route") == "/api/stripe/webhook"]


def test_the_line_of_a_delivery_says_what_became_of_whose_subscription(
    world: World, service: Service, clock: Clock, log: Log
) -> None:
    subscription = world.stripe.create_subscription("user_ada", "price_pro")
    service.outcome(last_event(world.stripe, "customer.subscription.created"))
    clock.advance(60)
    service.outcome(changed(world, subscription, "fail_payment"))
    clock.advance(5)
    service.outcome(changed(world, subscription, "cancel_now"))

    told = [
        {name: line[name] for name in ("subscription", "customer", "owner")}
        for line in delivered(log)
    ]
    about = {"subscription": subscription["id"], "customer": subscription["customer"],
             "owner": "user_ada"}  # fmt: skip
    assert told == [about] * 3
    assert [(line["outcome"], line["old_status"], line["new_status"]) for line in delivered(log)] \
        == [("refreshed", None, "active"), ("applied", "active", "past_due"),
            ("refreshed", "past_due", "canceled")]  # fmt: skip


def test_a_delivery_that_failed_says_what_it_was_about_and_which_call(
    world: World, service: Service, log: Log
) -> None:
    subscription = world.stripe.create_subscription("user_ada", "price_pro")
    event = last_event(world.stripe, "customer.subscription.created")
    failed = {"type": "customer.subscription.created", "outcome": "failed"}
    before = service.metric("portal_webhook_outcomes_total", **failed)
    world.faults.stripe = "error"
    refused(service.deliver(event), "stripe_unavailable")

    (line,) = delivered(log)
    assert (line["subscription"], line["customer"]) == (
        subscription["id"], subscription["customer"],
    )  # fmt: skip
    failure = log.line("stripe call failed")
    assert failure["call"] == "GET /v1/subscriptions/{id}"
    assert failure["ms"] >= 0
    assert service.metric("portal_webhook_outcomes_total", **failed) == before + 1


def test_why_stripe_was_asked_is_counted(
    world: World, service: Service, subscription: Json, clock: Clock
) -> None:
    def asked(reason: str) -> float:
        return service.metric("portal_webhook_questions_total", reason=reason)

    before = {reason: asked(reason) for reason in ("margin", "older", "release")}
    clock.advance(60)
    event = changed(world, subscription)
    assert service.outcome(event) == "applied"
    service.outcome(event)
    clock.advance(5)
    service.outcome(changed(world, subscription))
    clock.advance(3600)
    service.outcome(changed(world, subscription) | {"api_version": "2024-06-20"})
    assert {reason: asked(reason) - had for reason, had in before.items()} == {
        "margin": 1, "older": 1, "release": 1,
    }  # fmt: skip
