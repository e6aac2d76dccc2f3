"""POST /webhook: signed deliveries, and what becomes of the table."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from service_under_test import (
    Clock,
    Json,
    Log,
    MakeService,
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
    signature,
    wait_until_waiting,
)

from sandbox.stripe import shapes
from sandbox.world import WEBHOOK_SECRET, World

CHANGES = ("created", "updated", "deleted", "paused", "resumed", "pending_update_applied",
           "pending_update_expired")  # fmt: skip
CHECKOUTS = ("checkout.session.completed", "checkout.session.async_payment_succeeded")


@pytest.fixture
def subscription(world: World, service: Service, clock: Clock) -> Json:
    """ada's active subscription, in the table as of the present moment of Stripe's clock."""
    subscription = world.stripe.create_subscription("user_ada", "price_pro")
    assert service.outcome(last_event(world.stripe)) == "refreshed"
    world.stripe.calls.clear()
    return subscription


def get(subscription: Json) -> str:
    return f"GET /v1/subscriptions/{subscription['id']}"


def changed(world: World, subscription: Json, action: str = "change_plan", **more: Any) -> Json:
    """The event of something that happens to a subscription now."""
    world.stripe.act(subscription["id"], action, **more)
    events = world.stripe.events.values()
    return next(e for e in reversed(events) if e["type"].startswith("customer.subscription."))


# The first event, and what is written


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
        "current_period_end": _utc(end),
        "cancel_at": None,
        "canceled_at": None,
        "cancel_at_period_end": False,
        "trial_end": None,
        "ended_at": None,
        "pause_collection": None,
        "pause_resumes_at": None,
        "paused_reason": None,
        "livemode": False,
        "as_of": _utc(clock.now),
    }
    assert {name: row[name] for name in expected} == expected
    assert linked(world) == {"user_ada": subscription["customer"]}


def _utc(timestamp: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(timestamp))


@pytest.mark.parametrize(
    "action, more, column, value",
    [
        ("fail_payment", {}, "status", "past_due"),
        ("fail_payment", {"status": "unpaid"}, "status", "unpaid"),
        ("cancel_now", {}, "status", "canceled"),
        ("pause", {"reason": "pause_requested"}, "paused_reason", "pause_requested"),
        ("pause", {"behavior": "void", "resumes_at": 1_900_000_000}, "pause_collection", "void"),
        ("change_plan", {"price": "price_team"}, "plan", "team"),
        ("change_plan", {"price": "price_team", "quantity": 7}, "quantity", 7),
    ],
)
@pytest.mark.parametrize("seconds", [0, 3600])
def test_what_happens_at_stripe_reaches_the_row_on_both_paths(
    world: World,
    service: Service,
    subscription: Json,
    clock: Clock,
    seconds: int,
    action: str,
    more: Json,
    column: str,
    value: Any,
) -> None:
    clock.advance(seconds)
    event = changed(world, subscription, action, **more)

    assert service.outcome(event) == ("applied" if seconds else "refreshed")
    assert rows(world)[subscription["id"]][column] == value


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


# The two paths


@pytest.mark.parametrize(
    "seconds, fast", [(60, True), (61, True), (86_400, True), (59, False), (1, False), (0, False)]
)
def test_only_a_snapshot_stamped_a_minute_later_is_trusted(
    world: World, service: Service, subscription: Json, clock: Clock, seconds: int, fast: bool
) -> None:
    clock.advance(seconds)
    event = changed(world, subscription, price="price_team")
    clock.advance(5)

    assert service.outcome(event) == ("applied" if fast else "refreshed")
    assert calls(world.stripe) == ([] if fast else [get(subscription)])
    row = rows(world)[subscription["id"]]
    assert row["plan"] == "team"
    # As of the event, or as of Stripe's answer.
    assert row["as_of"] == _utc(clock.now - 5 if fast else clock.now)


def test_the_fast_path_writes_the_snapshot_and_not_what_stripe_has_meanwhile(
    world: World, service: Service, subscription: Json, clock: Clock
) -> None:
    clock.advance(60)
    event = changed(world, subscription, price="price_team")
    world.stripe.act(subscription["id"], "cancel_now")

    assert service.outcome(event) == "applied"
    assert rows(world)[subscription["id"]]["status"] == "active"
    assert service.outcome(last_event(world.stripe)) == "refreshed"
    assert rows(world)[subscription["id"]]["status"] == "canceled"


def test_an_event_that_comes_twice_asks_stripe_and_finds_nothing_new(
    world: World, service: Service, subscription: Json, clock: Clock
) -> None:
    clock.advance(60)
    event = changed(world, subscription, price="price_team")
    service.outcome(event)
    before = rows(world)[subscription["id"]]
    clock.advance(5)

    assert service.outcome(event) == "unchanged"
    assert calls(world.stripe) == [get(subscription)]
    after = rows(world)[subscription["id"]]
    assert {name for name in before if before[name] != after[name]} == {"as_of", "revision"}
    assert after["revision"] > before["revision"]


@pytest.mark.parametrize("order", ["forward", "backward"])
@pytest.mark.parametrize("pause", [0, 1, 59, 60, 3600])
def test_a_whole_life_ends_in_stripes_last_word_in_either_order(
    world: World, service: Service, clock: Clock, order: str, pause: int
) -> None:
    subscription = world.stripe.create_subscription("user_ada", "price_pro")
    for action in ("cancel_at_period_end", "resume", "change_plan", "fail_payment", "pay"):
        clock.advance(pause)
        world.stripe.act(subscription["id"], action)
    clock.advance(pause)
    world.stripe.act(subscription["id"], "cancel_now")
    events = [e for e in world.stripe.events.values() if e["type"].startswith("customer.sub")]

    for event in events if order == "forward" else events[::-1]:
        service.outcome(event)
    row = rows(world)[subscription["id"]]
    assert (row["status"], row["plan"]) == ("canceled", "team")


def test_a_row_deleted_by_hand_comes_back_with_the_next_event(
    world: World, service: Service, subscription: Json, clock: Clock
) -> None:
    execute(world, "delete from subscriptions")
    clock.advance(3600)

    assert service.outcome(changed(world, subscription)) == "refreshed"
    assert rows(world)[subscription["id"]]["plan"] == "team"


def test_a_row_of_the_original_is_never_taken_the_fast_way(
    world: World, service: Service, clock: Clock
) -> None:
    subscription = world.stripe.create_subscription("user_ada", "price_pro")
    put_row(
        world,
        stripe_subscription_id=subscription["id"],
        stripe_customer_id=subscription["customer"],
        as_of=None,
        livemode=None,
    )
    clock.advance(3600)

    assert service.outcome(changed(world, subscription)) == "refreshed"
    assert rows(world)[subscription["id"]]["livemode"] is False


@pytest.mark.parametrize("version", ["2025-03-31.basil", "2024-06-20", "2025-02-24.acacia", None])
def test_another_api_release_asks_stripe(
    world: World, service: Service, subscription: Json, clock: Clock, version: str | None
) -> None:
    clock.advance(3600)
    event = changed(world, subscription, price="price_team")
    event = shapes.event_in_version(event, version) if version else {**event, "api_version": None}

    assert service.outcome(event) == "refreshed"
    assert calls(world.stripe) == [get(subscription)]
    row = rows(world)[subscription["id"]]
    assert row["plan"] == "team"
    assert row["current_period_end"] is not None


def test_another_month_of_our_release_is_trusted(
    world: World, service: Service, subscription: Json, clock: Clock
) -> None:
    clock.advance(3600)
    release = shapes.API_VERSION.partition(".")[2]
    event = changed(world, subscription) | {"api_version": f"2026-09-30.{release}"}

    assert service.outcome(event) == "applied"


def test_a_test_clocks_events_ask_stripe(
    world: World, service: Service, subscription: Json, clock: Clock
) -> None:
    clock.advance(3600)
    world.stripe.subscriptions[subscription["id"]]["test_clock"] = "clock_1"

    assert service.outcome(changed(world, subscription)) == "refreshed"


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
        "invoice.paid",
        "invoice.payment_failed",
        "customer.updated",
        "customer.deleted",
        "customer.subscription.trial_will_end",
        "customer.subscription.something_new",
        "checkout.session.expired",
        "checkout.session.async_payment_failed",
        "v1.customer.subscription.updated",
        "",
        "nonsense",
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
    "changes", [{"livemode": True}, {"account": "acct_1"}, {"context": "acct_1"}]
)
@pytest.mark.parametrize("form", ["snapshot", "thin"])
def test_the_other_mode_and_connected_accounts_are_ignored(
    world: World, service: Service, changes: Json, form: str
) -> None:
    world.stripe.create_subscription("user_ada", "price_pro")
    event = last_event(world.stripe)
    event = (shapes.thin(event) if form == "thin" else event) | changes

    assert service.outcome(event) == "ignored"
    assert (world.rows(), calls(world.stripe)) == ([], [])


# Whose it is


@pytest.mark.parametrize("metadata", [{}, {"clerk_user_id": "user_ada"}])
@pytest.mark.parametrize("form", ["snapshot", "thin", "checkout"])
def test_somebody_elses_subscription_on_the_account_is_ignored(
    world: World, service: Service, metadata: Json, form: str
) -> None:
    customer = world.stripe.create_customer(metadata=metadata)["id"]
    subscription = world.stripe.create_subscription(
        None, "price_other", customer=customer, metadata=metadata
    )
    event = last_event(world.stripe, "customer.subscription.created")
    if form == "thin":
        event = shapes.thin(event)
    if form == "checkout":
        session = {
            "id": "cs_1",
            "object": "checkout.session",
            "livemode": False,
            "customer": customer,
            "subscription": subscription["id"],
            "metadata": metadata,
        }
        event = shapes.event("checkout.session.completed", session, 1_793_000_000)

    assert service.outcome(event) == "ignored"
    assert (world.rows(), linked(world)) == ([], {})


@pytest.mark.parametrize("product, ours", [("prod_pro", True), ("prod_other", False)])
def test_a_price_that_is_not_listed_is_ours_by_its_product(
    world: World, service: Service, product: str, ours: bool
) -> None:
    price = {**world.stripe.prices["price_other"], "id": "price_grandfathered", "product": product}
    world.stripe.prices["price_grandfathered"] = price
    world.stripe.create_subscription("user_ada", "price_grandfathered")

    assert service.outcome(last_event(world.stripe)) == ("refreshed" if ours else "ignored")
    assert service.shown()["plan"] == ("pro" if ours else "free")


@pytest.mark.parametrize("known_by", ["link", "row"])
def test_an_unknown_price_of_a_known_customer_is_stored_and_shouted_about(
    world: World, service: Service, log: Log, known_by: str
) -> None:
    customer = world.stripe.create_customer()["id"]
    if known_by == "link":
        link(world, customer)
    else:
        put_row(world, stripe_customer_id=customer, status="canceled")
    before = service.metric("portal_unknown_prices_total")
    subscription = world.stripe.create_subscription(None, "price_other", customer=customer)

    assert service.outcome(last_event(world.stripe)) == "refreshed"
    row = rows(world)[subscription["id"]]
    assert (row["plan"], row["price_id"], row["user_id"]) == (
        None,
        "price_other",
        world.user_id("ada"),
    )
    assert service.metric("portal_unknown_prices_total") == before + 1
    assert "STRIPE_PLANS" in log.text


def test_a_row_that_changes_to_an_unknown_price_is_still_ours(
    world: World, service: Service, subscription: Json, clock: Clock
) -> None:
    for seconds in (3600, 0):
        clock.advance(seconds)
        event = changed(world, subscription, price="price_other")
        assert service.outcome(event) in ("applied", "unchanged")
    assert rows(world)[subscription["id"]]["plan"] is None


def test_one_of_ours_whose_owner_nobody_knows_is_stored_and_claimed_later(
    world: World, service: Service, clock: Clock
) -> None:
    customer = world.stripe.create_customer()["id"]
    first = world.stripe.create_subscription(None, "price_pro", "canceled", customer=customer)
    service.outcome(last_event(world.stripe, "customer.subscription.created"))
    second = world.stripe.create_subscription(None, "price_pro", customer=customer)
    assert service.outcome(last_event(world.stripe)) == "refreshed"
    assert [row["user_id"] for row in world.rows()] == [None, None]
    assert linked(world) == {}

    # An operator names the owner at Stripe.
    world.stripe.subscriptions[second["id"]]["metadata"] = {"clerk_user_id": "user_ada"}
    clock.advance(60)
    assert service.outcome(changed(world, second)) == "applied"
    user = world.user_id("ada")
    assert {i: row["user_id"] for i, row in rows(world).items()} == {
        first["id"]: user,
        second["id"]: user,
    }
    assert linked(world) == {"user_ada": customer}


@pytest.mark.parametrize("seconds", [0, 3600])
def test_a_row_of_a_user_who_signs_up_later_is_claimed_by_the_next_event(
    world: World, service: Service, clock: Clock, seconds: int
) -> None:
    subscription = world.stripe.create_subscription("user_newcomer", "price_pro")
    service.outcome(last_event(world.stripe))
    assert rows(world)[subscription["id"]]["user_id"] is None
    assert service.shown("newcomer")["subscribed"]

    user_id = world.add_user("newcomer")
    clock.advance(seconds)
    service.outcome(changed(world, subscription))
    assert rows(world)[subscription["id"]]["user_id"] == user_id


@pytest.mark.parametrize("seconds", [0, 3600])
def test_a_link_once_made_is_never_moved_and_metadata_that_disagrees_is_logged(
    world: World, service: Service, subscription: Json, clock: Clock, log: Log, seconds: int
) -> None:
    world.add_user("eve")
    world.stripe.subscriptions[subscription["id"]]["metadata"] = {"clerk_user_id": "user_eve"}
    clock.advance(seconds)

    service.outcome(changed(world, subscription))
    assert rows(world)[subscription["id"]]["user_id"] == world.user_id("ada")
    assert linked(world) == {"user_ada": subscription["customer"]}
    assert not service.shown("eve")["subscribed"]
    line = log.line("the metadata names another owner")
    assert (line["level"], line["subscription"]) == ("WARNING", subscription["id"])
    assert (line["linked"], line["named"]) == ("user_ada", "user_eve")


@pytest.mark.parametrize("field", ["client_reference_id", "customer_email"])
def test_neither_a_reference_nor_an_address_says_whose_a_subscription_is(
    world: World, service: Service, field: str
) -> None:
    customer = world.stripe.create_customer(email="ada@example.com")["id"]
    subscription = world.stripe.create_subscription(None, "price_pro", customer=customer)
    session = {"id": "cs_1", "object": "checkout.session", "livemode": False, "metadata": {},
               "subscription": subscription["id"], "customer": customer,
               "client_reference_id": "user_ada", "customer_email": "ada@example.com",
               "customer_details": {"email": "ada@example.com"}}  # fmt: skip

    service.outcome(shapes.event("checkout.session.completed", session, 1_793_000_000))
    assert rows(world)[subscription["id"]]["user_id"] is None
    assert linked(world) == {}
    assert not service.shown()["subscribed"]


# A subscription that Stripe answers with 404


def test_test_data_that_was_deleted_is_written_as_canceled(
    world: World, service: Service, subscription: Json, clock: Clock
) -> None:
    event = changed(world, subscription)
    del world.stripe.subscriptions[subscription["id"]]

    assert service.outcome(event) == "refreshed"
    row = rows(world)[subscription["id"]]
    assert (row["status"], row["ended_at"]) == ("canceled", _utc(clock.now))
    assert row["price_id"] == "price_pro"
    assert service.outcome(event) == "unchanged"


def test_test_data_that_was_deleted_before_there_was_a_row_is_ignored(
    world: World, service: Service
) -> None:
    world.stripe.create_subscription("user_ada", "price_pro")
    event = last_event(world.stripe)
    world.stripe.subscriptions.clear()

    assert service.outcome(event) == "ignored"
    assert world.rows() == []


def test_a_live_subscription_that_our_key_does_not_see_stays_and_shouts(
    world: World, service_at: Callable[..., Service], live_stripe: OtherStripe, log: Log
) -> None:
    service = service_at(live_stripe)
    subscription = live_stripe.state.create_subscription("user_ada", "price_pro")
    event = last_event(live_stripe.state)
    assert service.outcome(event) == "refreshed"
    before = rows(world)
    assert before[subscription["id"]]["livemode"] is True
    del live_stripe.state.subscriptions[subscription["id"]]
    shouts = service.metric("portal_live_subscriptions_missing_total")

    refused(service.deliver(event), "internal_error")
    assert rows(world) == before
    assert service.shown()["subscribed"]
    assert service.metric("portal_live_subscriptions_missing_total") == shouts + 1
    line = next(line for line in log.lines if line["level"] == "CRITICAL")
    assert line["subscription"] == subscription["id"]
    assert "STRIPE_SECRET_KEY" in line["message"]


@pytest.mark.parametrize("mode", ["test", "live"])
def test_a_row_of_no_mode_that_our_key_does_not_see_is_of_the_other_mode(
    world: World,
    service_at: Callable[..., Service],
    live_stripe: OtherStripe,
    other_stripe: OtherStripe,
    mode: str,
) -> None:
    stripe = live_stripe if mode == "live" else other_stripe
    service = service_at(stripe)
    subscription = stripe.state.create_subscription("user_ada", "price_pro")
    event = last_event(stripe.state)
    put_row(world, stripe_subscription_id=subscription["id"], livemode=None, as_of=None)
    stripe.state.subscriptions.clear()
    assert service.shown()["subscribed"]

    assert service.outcome(event) == "refreshed"
    row = rows(world)[subscription["id"]]
    assert (row["status"], row["livemode"]) == ("active", mode == "test")
    assert not service.shown()["subscribed"]


# Faults: never 2xx before the row is committed


@pytest.mark.parametrize(
    "fault, code", [("error", "stripe_unavailable"), ("rate_limited", "stripe_unavailable")]
)
def test_a_fault_of_stripe_is_5xx_and_the_next_delivery_succeeds(
    world: World, service: Service, fault: str, code: str
) -> None:
    subscription = world.stripe.create_subscription("user_ada", "price_pro")
    event = last_event(world.stripe)
    world.faults.stripe = fault
    refused(service.deliver(event), code)
    assert world.rows() == []

    world.faults.stripe = "up"
    assert service.outcome(event) == "refreshed"
    assert list(rows(world)) == [subscription["id"]]


@pytest.mark.parametrize("path", ["fast", "slow"])
def test_a_database_that_is_down_is_5xx_and_the_next_delivery_succeeds(
    world: World, service: Service, subscription: Json, clock: Clock, path: str
) -> None:
    clock.advance(3600 if path == "fast" else 0)
    event = changed(world, subscription)
    world.faults.database = "down"
    refused(service.deliver(event), "database_unavailable")

    world.faults.database = "up"
    assert service.outcome(event) == ("applied" if path == "fast" else "refreshed")
    assert rows(world)[subscription["id"]]["plan"] == "team"


@pytest.fixture
def clash(world: World, request: pytest.FixtureRequest) -> Iterator[None]:
    """The first write of the table meets another one, as Postgres says it with this code."""
    execute(world, "create sequence clashes")  # which no rollback sets back
    execute(
        world,
        f"""create function clash() returns trigger language plpgsql security definer as $$
        begin
          if nextval('clashes') = 1 then raise exception 'clash' using errcode = '{request.param}';
          end if;
          return new;
        end $$""",
    )
    execute(
        world,
        "create trigger clash before insert or update on subscriptions "
        "for each row execute function clash()",
    )
    yield
    execute(world, "drop trigger clash on subscriptions")
    execute(world, "drop function clash")
    execute(world, "drop sequence clashes")


@pytest.mark.parametrize("clash", ["40P01", "40001"], indirect=True)
def test_a_deadlock_or_a_serialization_failure_is_tried_again(
    world: World, service: Service, clash: None
) -> None:
    subscription = world.stripe.create_subscription("user_ada", "price_pro")

    assert service.outcome(last_event(world.stripe)) == "refreshed"
    assert calls(world.stripe) == [get(subscription)] * 2
    assert rows(world)[subscription["id"]]["status"] == "active"


def test_a_key_that_stripe_does_not_accept_is_5xx(
    world: World, make_service: MakeService, ada: str
) -> None:
    world.stripe.create_subscription("user_ada", "price_pro")
    service = make_service(stripe_secret_key="sk_test_revoked")
    refused(service.deliver(last_event(world.stripe)), "internal_error")


def test_the_fast_path_needs_no_stripe_and_no_clerk(
    world: World, service: Service, subscription: Json, clock: Clock
) -> None:
    clock.advance(60)
    event = changed(world, subscription)
    world.faults.stripe, world.faults.clerk = "error", "down"

    assert service.outcome(event) == "applied"


def test_a_burst_for_one_subscription_is_no_storm(
    world: World, service_at: Callable[..., Service], other_stripe: OtherStripe
) -> None:
    service, stripe = service_at(other_stripe), other_stripe.state
    stripe.create_subscription("user_ada", "price_pro")
    event = last_event(stripe)
    asked, go_on = threading.Event(), threading.Event()

    def hold_the_first(method: str, path: str) -> None:
        if not asked.is_set():
            asked.set()
            assert go_on.wait(10)

    other_stripe.held = hold_the_first
    outcomes: list[str] = []

    def deliver() -> None:
        outcomes.append(service.outcome(event))

    first = threading.Thread(target=deliver)
    first.start()
    assert asked.wait(10)
    others = [threading.Thread(target=deliver) for _ in range(6)]
    for thread in others:
        thread.start()
    wait_until_waiting(others)
    go_on.set()
    for thread in (first, *others):
        thread.join(10)

    assert sorted(outcomes) == ["refreshed"] + ["unchanged"] * 6
    assert len(calls(stripe)) == 2


def test_a_slow_answer_of_stripes_never_overwrites_a_newer_state(
    world: World, service_at: Callable[..., Service], other_stripe: OtherStripe
) -> None:
    # Two services: two worker processes share no memory.
    slow, quick = service_at(other_stripe), service_at(other_stripe)
    stripe = other_stripe.state
    subscription = stripe.create_subscription("user_ada", "price_pro")
    created = last_event(stripe)
    quick.outcome(created)
    asked, go_on = threading.Event(), threading.Event()

    def hold_the_first(method: str, path: str) -> None:
        if not asked.is_set():
            asked.set()
            assert go_on.wait(10)

    other_stripe.held = hold_the_first
    thread = threading.Thread(target=lambda: slow.outcome(created))
    thread.start()
    assert asked.wait(10)
    stripe.act(subscription["id"], "cancel_now")
    assert quick.outcome(last_event(stripe)) == "refreshed"
    go_on.set()
    thread.join(10)

    assert rows(world)[subscription["id"]]["status"] == "canceled"


# Signatures


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "nonsense",
        "t=,v1=",
        "t=abc,v1=def",
        "v1={mac}",
        "t={now}",
        "t={now},v0={mac}",
        "t={now},v1={mac}x",
        "t={now},v1=" + "0" * 64,
        "t={now},v1=é{mac}",
        "t={now},v1=\u0661",
        "t=\u0661\u0662,v1={mac}",
        "t=-1,v1={mac}",
        "t=1e9,v1={mac}",
        "t=99999999999999999999999,v1={mac}",
        "t={now}.0,v1={mac}",
        "t=0,t={now},v1={mac}",
        "t={now};v1={mac}",
        "=,=,=",
        "," * 5000,
    ],
)
def test_a_header_that_is_no_signature_is_refused(
    world: World, service: Service, header: str | None
) -> None:
    body = b'{"object": "event"}'
    now, mac = signature(body).removeprefix("t=").split(",v1=")
    headers = {}
    if header is not None:
        sent = header.replace("{now}", now).replace("{mac}", mac)
        headers = {"Stripe-Signature": sent.encode().decode("latin-1")}

    answer = service.call("POST", "/webhook", data=body, headers=headers)
    refused(answer, "invalid_signature")


@pytest.mark.parametrize(
    "signing, accepted",
    [
        ({}, True),
        ({"age": 290}, True),
        ({"age": -290}, True),
        ({"age": 310}, False),
        ({"age": -310}, False),
        ({"age": 10**9}, False),
        ({"age": -(10**9)}, False),
        ({"secret": "whsec_wrong"}, False),
        ({"secret": WEBHOOK_SECRET.removeprefix("whsec_")}, False),
        ({"secret": ["whsec_wrong", WEBHOOK_SECRET]}, True),
        ({"secret": [WEBHOOK_SECRET, "whsec_wrong"]}, True),
        ({"secret": ""}, False),
    ],
)
def test_a_signature_is_of_our_secret_and_of_these_five_minutes(
    world: World, service: Service, signing: Json, accepted: bool
) -> None:
    world.stripe.create_customer()
    answer = service.deliver(last_event(world.stripe), **signing)

    if accepted:
        assert answer.status_code == 200
    else:
        refused(answer, "invalid_signature")


@pytest.mark.parametrize("secret", ["whsec_old", "whsec_new"])
def test_while_a_secret_is_rotated_both_are_accepted(
    world: World, make_service: MakeService, secret: str
) -> None:
    world.stripe.create_customer()
    service = make_service(stripe_webhook_secrets=("whsec_new", "whsec_old"))

    assert service.deliver(last_event(world.stripe), secret=secret).status_code == 200
    refused(service.deliver(last_event(world.stripe)), "invalid_signature")


def test_a_changed_body_is_refused(world: World, service: Service) -> None:
    world.stripe.create_customer()
    body = json.dumps(last_event(world.stripe), indent=2).encode()
    headers = {"Stripe-Signature": signature(body)}

    for changed_body in (body + b" ", body.replace(b"  ", b" "), b"", body[:-1]):
        answer = service.call("POST", "/webhook", data=changed_body, headers=headers)
        refused(answer, "invalid_signature")
    assert service.call("POST", "/webhook", data=body, headers=headers).status_code == 200


@pytest.mark.parametrize(
    "content_type",
    [None, "text/plain", "application/json; charset=latin-1", "application/x-www-form-urlencoded",
     "multipart/form-data; boundary=x", "nonsense"],
)  # fmt: skip
def test_the_raw_bytes_are_signed_whatever_the_content_type(
    world: World, service: Service, content_type: str | None
) -> None:
    world.stripe.create_customer(name="Ädä")
    body = json.dumps(last_event(world.stripe), ensure_ascii=False, indent=2).encode()
    headers = {"Stripe-Signature": signature(body)}

    answer = service.call("POST", "/webhook", data=body, headers=headers, content_type=content_type)
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"\xff\xfe",
        b'{"object": "event", "type": "\xff"}',
        b"not json",
        b"[]",
        b'[{"object": "event"}]',
        b"null",
        b"true",
        b"7",
        b'"event"',
        b"{}",
        b"[" * 50_000,
        b'{"a":' * 50_000,
        b'{"object": "event", "type": "customer.subscription.updated"}',
        b'{"object": "event", "type": "customer.subscription.updated", "data": []}',
        b'{"object": "event", "type": "customer.subscription.updated", "data": {"object": []}}',
        b'{"object": "event", "type": 7, "data": {"object": {}}}',
        b'{"object": "event", "type": ["customer.subscription.updated"], "data": {"object": {}}}',
        b'{"object": "something", "type": "customer.subscription.updated"}',
        b'{"object": "v2.core.event", "type": "v1.customer.subscription.updated"}',
        b'{"object": "v2.core.event", "type": "v1.customer.subscription.updated",'
        b' "related_object": "sub_1"}',
        b'{"object": "v2.core.event", "type": "v1.customer.subscription.updated",'
        b' "related_object": {"id": null}}',
    ],
)
def test_a_signed_body_that_is_no_event_is_refused(service: Service, body: bytes) -> None:
    answer = service.deliver(body)
    assert (answer.status_code, (answer.json or {})["code"]) in [
        (400, "invalid_payload"),
        (400, "invalid_signature"),  # what is not UTF-8 was not signed by Stripe
    ]


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
