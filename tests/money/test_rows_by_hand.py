"""Rows that people wrote or that are older than this service, ended subscriptions that change no
more, and values that the database refuses for good.
"""

from datetime import UTC, datetime

import pytest
from service_under_test import (
    Clock,
    Json,
    Log,
    Service,
    calls,
    edit_row,
    execute,
    known_subscription,
    last_event,
    link,
    linked,
    put_row,
    refused,
    rows,
    subscribe,
)

from portal_service.subscription import row_of
from sandbox.world import World

STATUS = "a subscription has an unknown status"


# What the tutorial wrote


@pytest.mark.parametrize("nothing", [None, ""])
@pytest.mark.parametrize(
    "plan, shown_plan, subscribed", [("pro", "pro", True), ("free", "free", False)]
)
def test_a_price_that_is_the_empty_text_is_none(
    world: World, service: Service, log: Log, nothing: str | None, plan: str,
    shown_plan: str, subscribed: bool,
) -> None:  # fmt: skip
    put_row(world, price_id=nothing, product_id=nothing, plan=plan)

    shown = service.shown()
    assert (shown["plan"], shown["subscribed"]) == (shown_plan, subscribed)
    assert (shown["price_id"], shown["items"]) == (None, [])
    assert "STRIPE_PLANS" not in log.text


def test_a_status_that_stripe_does_not_have_is_told_once(
    world: World, service: Service, log: Log
) -> None:
    put_row(world, status="Active")

    for _ in range(3):
        assert not service.shown()["subscribed"]
    line = log.line(STATUS)
    assert (line["level"], line["subscription"], line["status"]) == ("ERROR", "sub_row", "Active")
    edit_row(world, "sub_row", status="aktiv")
    service.shown()
    assert len([one for one in log.lines if one["message"] == STATUS]) == 2


# Which row speaks: what has not ended before what has


@pytest.mark.parametrize(
    "speaks", [{"status": "incomplete"}, {"status": "paused", "paused_reason": None}]
)
@pytest.mark.parametrize("ended", ["canceled", "incomplete_expired"])
def test_an_unpaid_smaller_plan_speaks_before_an_ended_bigger_one(
    world: World, service: Service, speaks: Json, ended: str
) -> None:
    put_row(world, stripe_subscription_id="sub_z", status=ended, price_id="price_team",
            product_id="prod_team", plan="team")  # fmt: skip
    put_row(world, stripe_subscription_id="sub_a", **speaks)

    shown = service.shown()
    assert (shown["status"], shown["plan"]) == (speaks["status"], "pro")
    assert shown["needs_payment"]
    assert not shown["subscribed"]
    assert shown["can_checkout"]


def test_what_runs_speaks_before_what_needs_its_first_payment(
    world: World, service: Service
) -> None:
    put_row(world, stripe_subscription_id="sub_z", status="incomplete", price_id="price_team",
            product_id="prod_team")  # fmt: skip
    put_row(world, stripe_subscription_id="sub_a", status="paused", paused_reason="pause_requested")

    shown = service.shown()
    assert (shown["status"], shown["plan"], shown["needs_payment"]) == ("paused", "pro", False)


# Ended subscriptions


def test_an_ended_one_whose_row_says_so_is_not_written_again(
    world: World, service: Service, clock: Clock
) -> None:
    ended = known_subscription(service)
    world.stripe.act(ended["id"], "cancel_now")
    service.outcome(last_event(world.stripe))
    running = known_subscription(service, "price_team")
    before = rows(world)
    clock.advance(5)

    for _ in range(3):
        service.refresh()
    after = rows(world)
    assert after[ended["id"]] == before[ended["id"]]
    assert after[running["id"]]["revision"] > before[running["id"]]["revision"]


@pytest.mark.parametrize(
    "wrong", [{"price_id": "price_team"}, {"ended_at": None}, {"items": None}, {"plan": "gold"}]
)
def test_an_ended_one_whose_row_says_otherwise_is_mended(
    world: World, service: Service, wrong: Json
) -> None:
    ended = known_subscription(service)
    world.stripe.act(ended["id"], "cancel_now")
    service.outcome(last_event(world.stripe))
    before = rows(world)[ended["id"]]
    edit_row(world, ended["id"], **wrong)

    service.refresh()
    (column,) = wrong
    assert rows(world)[ended["id"]][column] == before[column]


def test_an_ended_one_that_runs_in_the_table_ends(world: World, service: Service) -> None:
    ended = known_subscription(service)
    world.stripe.act(ended["id"], "cancel_now")

    service.refresh()
    assert rows(world)[ended["id"]]["status"] == "canceled"


def test_an_ended_one_of_nobodys_gets_its_owner(world: World, service: Service) -> None:
    customer = world.stripe.create_customer()["id"]
    ended = world.stripe.create_subscription(None, "price_pro", customer=customer)
    world.stripe.act(ended["id"], "cancel_now")
    service.outcome(last_event(world.stripe))
    assert rows(world)[ended["id"]]["clerk_owner_id"] is None
    execute(world, "insert into billing_customers values ('user_ada', false, %s)", customer)

    service.refresh()
    row = rows(world)[ended["id"]]
    assert (row["clerk_owner_id"], row["user_id"]) == ("user_ada", world.user_id("ada"))


def test_a_customer_with_400_of_them_fits_the_budget(world: World, service: Service) -> None:
    customer = world.stripe.create_customer()["id"]
    link(world, customer)
    for _ in range(400):
        world.stripe.create_subscription("user_ada", "price_pro", "canceled", customer=customer)
    as_of, plans = datetime.now(UTC), service.settings.plans
    for subscription in world.stripe.subscriptions.values():
        row = row_of(subscription, plans, as_of)
        put = {name: value for name, value in row.items() if name != "stripe_subscription_id"}
        put_row(world, stripe_subscription_id=subscription["id"], clerk_owner_id="user_ada", **put)
    before = rows(world)
    world.stripe.create_subscription("user_ada", "price_team", customer=customer)
    world.stripe.calls.clear()

    assert (service.refresh().json or {})["plan"] == "team"
    assert calls(world.stripe) == ["GET /v1/subscriptions"] * 5
    after = rows(world)
    assert len(after) == 401
    assert {name: after[name] for name in before} == before


# What the database refuses for good


def test_a_number_too_large_for_the_column_is_no_trouble_of_the_databases(
    world: World, service: Service, log: Log
) -> None:
    subscription = world.stripe.create_subscription("user_ada", "price_pro", quantity=3)
    (item,) = world.stripe.subscriptions[subscription["id"]]["items"]["data"]
    item["quantity"] = 3_000_000_000

    answer = service.deliver(last_event(world.stripe, "customer.subscription.created"))
    refused(answer, "internal_error")
    assert "Retry-After" not in answer.headers
    line = log.line("supabase call failed")
    assert (line["level"], line["code"]) == ("ERROR", "22003")
    assert world.rows() == []


@pytest.mark.parametrize("path", ["refresh", "checkout"])
def test_nor_is_it_when_a_caller_meets_it(world: World, service: Service, path: str) -> None:
    subscription = subscribe(service, ("price_pro", 1))
    (item,) = world.stripe.subscriptions[subscription["id"]]["items"]["data"]
    item["quantity"] = 3_000_000_000

    refused(getattr(service, path)(), "internal_error")
    assert rows(world)[subscription["id"]]["quantity"] == 1


def test_a_customer_that_is_another_owners_is_not_taken(
    world: World, service: Service, log: Log
) -> None:
    """Stripe gives the customer of the idempotency key again, which meanwhile is eve's."""
    service.checkout()
    (customer,) = linked(world).values()
    execute(world, "update billing_customers set clerk_owner_id = 'user_eve'")

    answer = service.checkout()
    refused(answer, "internal_error")
    assert linked(world) == {"user_eve": customer}
    line = log.line("supabase call failed")
    assert (line["level"], line["code"]) == ("ERROR", "23505")


def test_a_trigger_that_says_no_is_loud(world: World, service: Service, log: Log) -> None:
    execute(
        world,
        "create function no() returns trigger language plpgsql as"
        " $$ begin raise exception 'not in this house'; end $$;"
        " create trigger no before insert on subscriptions for each row execute function no()",
    )
    try:
        world.stripe.create_subscription("user_ada", "price_pro")
        refused(service.deliver(last_event(world.stripe)), "internal_error")
    finally:
        execute(world, "drop trigger no on subscriptions; drop function no()")
    assert log.line("supabase call failed")["level"] == "ERROR"
