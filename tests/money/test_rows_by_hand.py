"""Rows that people wrote or that are older than this service, ended subscriptions that change no
more, and values that the database refuses for good.
"""

from datetime import UTC, datetime
from functools import partial

import pytest
from psycopg.types.json import Jsonb
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
    put_row,
    refused,
    rows,
    subscribe,
)

from portal_service import deadline
from portal_service.subscription import row_of
from sandbox.world import World

STATUS = "a subscription has an unknown status"


def everything_answers(service: Service) -> Json:
    """Stripe has neither the customer nor the subscription of the row; nothing of it is a fault."""
    shown = service.shown()
    for answer in (service.portal(), service.portal(), service.refresh(), service.checkout()):
        assert answer.status_code in (200, 404, 409), answer.text
    return shown


@pytest.mark.parametrize("column", ["current_period_end", "cancel_at", "as_of", "trial_end"])
@pytest.mark.parametrize("time", ["infinity", "0044-03-15 00:00:00+00 BC"])
def test_a_time_that_python_has_no_date_for(
    world: World, service: Service, column: str, time: str
) -> None:
    put_row(world)
    execute(world, f"update subscriptions set {column} = %s", time)
    put_row(world, stripe_subscription_id="sub_other", stripe_customer_id=None)
    assert everything_answers(service)["subscribed"]


@pytest.mark.parametrize(
    "items",
    ['{"a": 1}', '[null, {}, "x"]', '"x"', "[]",
     '[{"price_id": 7, "product_id": ["x"], "quantity": "many"}]'],
)  # fmt: skip
def test_items_that_are_none(world: World, service: Service, items: str) -> None:
    put_row(world)
    execute(world, "update subscriptions set items = %s", items)
    shown = everything_answers(service)
    for item in shown["items"]:
        assert set(item) == {"price_id", "product_id", "quantity", "plan"}


# What the tutorial wrote


@pytest.mark.parametrize(
    "nothing, plan, shown_plan, subscribed",
    [("", "pro", "pro", True), (None, "free", "free", False)],
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


def test_a_customer_with_more_of_them_than_a_page_has_is_one_write(
    world: World, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deadline, "begin", partial(deadline.begin, 60.0))  # on a busy machine too
    customer = world.stripe.create_customer()["id"]
    link(world, customer)
    for _ in range(120):
        world.stripe.create_subscription("user_ada", "price_pro", "canceled", customer=customer)
    as_of, plans = datetime.now(UTC), service.settings.plans
    owner = {"clerk_owner_id": "user_ada", "user_id": world.user_id("ada")}
    ended = [
        row_of(subscription, plans, as_of) | owner
        for subscription in world.stripe.subscriptions.values()
    ]
    execute(
        world,
        f"insert into subscriptions ({', '.join(ended[0])}) select {', '.join(ended[0])}"
        " from jsonb_populate_recordset(null::subscriptions, %s)",
        Jsonb(ended),
    )
    before = rows(world)
    world.stripe.create_subscription("user_ada", "price_team", customer=customer)
    world.stripe.calls.clear()

    assert (service.refresh().json or {})["plan"] == "team"
    assert calls(world.stripe) == ["GET /v1/subscriptions"] * 2
    after = rows(world)
    assert len(after) == 121
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
