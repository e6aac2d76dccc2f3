"""A subscription that Stripe answers with 404: deleted test data, or the key of another account."""

from collections.abc import Callable
from typing import Any

import pytest
from deliveries import changed, utc
from service_under_test import (
    Clock,
    Json,
    Log,
    OtherStripe,
    Service,
    calls,
    edit_row,
    execute,
    last_event,
    link,
    put_row,
    refused,
    rows,
)

from portal_service.stripe_api import Stripe
from portal_service.stripe_errors import NotAtStripe
from portal_service.supabase_db import Database
from sandbox.world import World


@pytest.mark.parametrize("ended_at", [None, "2026-01-02T03:04:05+00:00"])
def test_test_data_that_was_deleted_is_written_as_canceled(
    world: World, service: Service, subscription: Json, clock: Clock, ended_at: str | None
) -> None:
    event = changed(world, subscription)
    edit_row(world, subscription["id"], ended_at=ended_at, quantity=3)
    del world.stripe.subscriptions[subscription["id"]]

    assert service.outcome(event) == "refreshed"
    row = rows(world)[subscription["id"]]
    assert (row["status"], row["as_of"]) == ("canceled", utc(clock.now))
    assert row["ended_at"] == (ended_at or row["as_of"])
    assert (row["price_id"], row["quantity"]) == ("price_pro", 3)
    assert service.outcome(event) == "unchanged"


def test_test_data_that_was_deleted_before_there_was_a_row_is_ignored(
    world: World, service: Service
) -> None:
    world.stripe.create_subscription("user_ada", "price_pro")
    event = last_event(world.stripe)
    world.stripe.subscriptions.clear()

    assert service.outcome(event) == "ignored"
    assert world.rows() == []


@pytest.mark.parametrize("has_row", [True, False])
def test_a_live_subscription_that_our_key_does_not_see_stays_and_shouts(
    world: World,
    service_at: Callable[..., Service],
    live_stripe: OtherStripe,
    log: Log,
    has_row: bool,
) -> None:
    service = service_at(live_stripe)
    subscription = live_stripe.state.create_subscription("user_ada", "price_pro")
    event = last_event(live_stripe.state)
    assert service.outcome(event) == "refreshed"
    assert rows(world)[subscription["id"]]["livemode"] is True
    if not has_row:
        execute(world, "delete from subscriptions")
    before = rows(world)
    del live_stripe.state.subscriptions[subscription["id"]]
    told = service.metric("portal_live_subscriptions_missing_total")

    refused(service.deliver(event), "internal_error")
    assert rows(world) == before
    assert service.shown()["subscribed"] is has_row
    assert service.metric("portal_live_subscriptions_missing_total") == told + 1
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


def test_an_answer_without_a_date_ends_it_as_well(
    world: World, service: Service, subscription: Json, monkeypatch: pytest.MonkeyPatch
) -> None:
    def not_there(self: Stripe, subscription_id: str) -> Any:
        raise NotAtStripe(None)

    monkeypatch.setattr(Stripe, "subscription", not_there)
    assert service.outcome(changed(world, subscription)) == "refreshed"
    row = rows(world)[subscription["id"]]
    assert (row["status"], row["as_of"], row["ended_at"]) == ("canceled", None, None)


# A customer that Stripe lost


def test_of_the_rows_of_a_lost_customer_those_that_have_not_ended_are_asked_about(
    world: World, make_service: Callable[..., Service], ada: str
) -> None:
    service = make_service(ignored_products=("prod_support",))
    for number, changes in enumerate(
        (
            {},
            {"status": "canceled"},
            {"status": "incomplete_expired"},
            {"price_id": "price_support", "product_id": "prod_support"},
            {"stripe_customer_id": "cus_other", "status": "past_due"},
        )
    ):
        put_row(world, stripe_subscription_id=f"sub_{number}", **changes)

    refused(service.portal(), "customer_not_found")
    assert sorted(calls(world.stripe)) == [
        "GET /v1/subscriptions/sub_0",
        "GET /v1/subscriptions/sub_3",
        "POST /v1/billing_portal/sessions",
    ]
    ended = {id: row["status"] for id, row in rows(world).items() if id in ("sub_0", "sub_3")}
    assert ended == {"sub_0": "canceled", "sub_3": "canceled"}
    assert execute(world, "select stripe_customer_id from gone_customers") == [
        {"stripe_customer_id": "cus_row"}
    ]


def test_of_a_customer_that_is_there_nothing_more_is_asked_or_written(
    world: World, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    link(world, world.stripe.create_customer()["id"])
    marked: list[Any] = []
    monkeypatch.setattr(Database, "mark_customer", lambda *told, **more: marked.append(told))

    assert service.refresh().status_code == 200
    assert (calls(world.stripe), marked) == (["GET /v1/subscriptions"], [])
