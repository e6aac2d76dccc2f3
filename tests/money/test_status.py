"""GET /subscription: what to show the caller, once through the whole service. What each status
means, which row speaks and which plan is shown: tests/rules/test_entitlement.py and
tests/rules/test_status_object.py.
"""

from dataclasses import replace
from datetime import timedelta, timezone
from typing import Any

import pytest
from service_under_test import (
    Log,
    MakeService,
    Service,
    calls,
    days_ahead,
    execute,
    iso,
    last_event,
    link,
    put_row,
    rows,
)

from sandbox.world import World

FREE = {
    "subscribed": False,
    "plan": "free",
    "status": None,
    "price_id": None,
    "quantity": None,
    "items": [],
    "current_period_end": None,
    "cancel_at": None,
    "cancel_at_period_end": False,
    "ended_at": None,
    "trial_end": None,
    "trial_available": False,
    "paused_reason": None,
    "pause_collection": None,
    "can_manage_billing": False,
    "can_checkout": True,
    "needs_payment": False,
    "livemode": False,
}
UNKNOWN_PRICE = "a subscription has a price that STRIPE_PLANS does not list"


@pytest.mark.parametrize("user", ["ada", "stranger"])
def test_a_user_without_a_subscription_known_or_not_is_on_the_free_plan(
    service: Service, user: str
) -> None:
    assert service.shown(user) == FREE


def test_a_subscription_is_shown_whole_and_stripe_is_not_asked(
    world: World, service: Service
) -> None:
    end, cancel, trial = days_ahead(28), days_ahead(27), days_ahead(-30)
    put_row(
        world,
        quantity=3,
        current_period_end=end.astimezone(timezone(timedelta(hours=1))),
        cancel_at=cancel.replace(microsecond=700_000),
        cancel_at_period_end=True,
        trial_end=trial,
        pause_collection="void",
    )

    assert service.shown() == FREE | {
        "subscribed": True,
        "plan": "pro",
        "status": "active",
        "price_id": "price_pro",
        "quantity": 3,
        "items": [
            {"price_id": "price_pro", "product_id": "prod_pro", "quantity": 3, "plan": "pro"}
        ],
        "current_period_end": iso(end),
        "cancel_at": iso(cancel),
        "cancel_at_period_end": True,
        "trial_end": iso(trial),
        "pause_collection": "void",
        "can_manage_billing": True,
        "can_checkout": False,
    }
    assert calls(world.stripe) == []


def test_entitled_statuses_are_a_setting(world: World, make_service: MakeService, ada: str) -> None:
    put_row(world, status="past_due")

    entitled = ("active", "trialing", "past_due")
    shown = make_service(entitled_statuses=entitled).shown()
    assert (shown["subscribed"], shown["needs_payment"]) == (True, True)
    assert not make_service(entitled_statuses=("trialing",)).shown()["subscribed"]


def test_an_unknown_status_of_stripe_is_logged(world: World, service: Service, log: Log) -> None:
    subscription = world.stripe.create_subscription("user_ada", "price_pro")
    world.stripe.subscriptions[subscription["id"]]["status"] = "a_status_of_tomorrow"
    service.outcome(last_event(world.stripe))

    assert not service.shown()["subscribed"]
    assert any("a_status_of_tomorrow" in str(line) for line in log.lines)


# Plans


def test_an_unknown_price_is_no_plan_and_is_shouted_about(
    world: World, service: Service, log: Log
) -> None:
    put_row(world, price_id="price_x", product_id="prod_x", plan="pro")
    before = service.metric("portal_unknown_prices_total")

    shown = service.shown()
    assert (shown["plan"], shown["subscribed"], shown["status"]) == (None, False, "active")
    assert service.metric("portal_unknown_prices_total") == before + 1
    line = log.line(UNKNOWN_PRICE)
    assert line["level"] == "ERROR"
    assert (line["subscription"], line["price"], line["product"]) == (
        "sub_row",
        "price_x",
        "prod_x",
    )


def test_after_a_refresh_a_row_of_the_original_has_a_price(world: World, service: Service) -> None:
    subscription = world.stripe.create_subscription("user_ada", "price_team")
    put_row(world, stripe_subscription_id=subscription["id"], price_id=None, product_id=None,
            stripe_customer_id=subscription["customer"], livemode=None, as_of=None)  # fmt: skip
    assert service.shown()["plan"] == "pro"

    assert (service.refresh().json or {})["plan"] == "team"
    row = rows(world)[subscription["id"]]
    assert (row["price_id"], row["plan"], row["livemode"]) == ("price_team", "team", False)


@pytest.mark.parametrize(
    "lines, price, quantity, plan",
    [
        ([("price_pro", 2), ("price_team", 5)], "price_team", 5, "team"),
        ([("price_other", 3), ("price_pro", 2)], "price_pro", 2, "pro"),
    ],
)
def test_of_several_items_the_highest_plan_speaks(
    world: World, service: Service, lines: Any, price: str, quantity: int, plan: str
) -> None:
    customer = world.stripe.create_customer(metadata={"clerk_user_id": "user_ada"})["id"]
    with world.stripe.lock:
        world.stripe.subscribe(customer, lines, metadata={"clerk_user_id": "user_ada"})
    service.outcome(last_event(world.stripe, "customer.subscription.created"))

    shown = service.shown()
    assert (shown["price_id"], shown["quantity"], shown["plan"]) == (price, quantity, plan)
    (row,) = world.rows()
    assert (row["price_id"], row["quantity"], row["plan"]) == (price, quantity, plan)


# Which row


def test_the_best_of_several_rows_speaks(world: World, service: Service) -> None:
    put_row(world, stripe_subscription_id="sub_z", quantity=1, status="past_due",
            price_id="price_team", product_id="prod_team")  # fmt: skip
    put_row(world, stripe_subscription_id="sub_a", quantity=2)

    assert service.shown()["quantity"] == 2


@pytest.mark.parametrize("livemode", [True, None, False])
def test_only_rows_of_the_keys_mode_count_and_those_of_none(
    world: World, service: Service, livemode: bool | None
) -> None:
    put_row(world, livemode=livemode)
    assert service.shown()["subscribed"] is (livemode is not True)
    assert service.shown()["livemode"] is False


@pytest.mark.parametrize("livemode", [True, None, False])
def test_a_live_key_counts_live_rows_and_those_of_none(
    world: World, make_service: MakeService, ada: str, livemode: bool | None
) -> None:
    service = make_service(stripe_secret_key="sk_live_x")
    put_row(world, livemode=livemode)

    shown = service.shown()
    assert (shown["subscribed"], shown["livemode"]) == (livemode is not False, True)


def test_somebody_elses_row_is_not_shown(world: World, service: Service) -> None:
    world.add_user("eve")
    put_row(world)
    assert service.shown("eve") == FREE


def test_a_row_that_nobody_has_claimed_is_found_by_its_customer(
    world: World, service: Service
) -> None:
    put_row(world, user_id=None)
    link(world, "cus_row")
    assert service.shown()["subscribed"]


@pytest.mark.parametrize("who", ["ada", "stranger"])
def test_a_customer_alone_can_manage_billing(world: World, service: Service, who: str) -> None:
    link(world, "cus_1", user=who)
    assert service.shown(who) == FREE | {"can_manage_billing": True}


def test_a_customer_of_the_other_mode_cannot(world: World, service: Service) -> None:
    link(world, "cus_1", livemode=True)
    assert service.shown() == FREE


def test_an_app_that_keys_its_data_by_clerks_id_needs_no_users_table(
    world: World, service: Service
) -> None:
    (old,) = execute(world, "select pg_get_functiondef('public.billing_user_id'::regproc) as body")
    execute(
        world,
        "create or replace function public.billing_user_id(clerk_id text) returns text "
        "language sql stable security definer set search_path = '' as 'select clerk_id'",
    )
    try:
        world.stripe.create_subscription("user_newcomer", "price_pro")
        service.outcome(last_event(world.stripe))
        assert service.shown("newcomer")["subscribed"]
        assert [row["user_id"] for row in world.rows()] == ["user_newcomer"]
    finally:
        execute(world, old["body"].replace("%", "%%"))


def test_the_plans_are_ordered_as_they_are_listed(
    world: World, make_service: MakeService, ada: str
) -> None:
    put_row(world, stripe_subscription_id="sub_1", quantity=1)
    put_row(world, stripe_subscription_id="sub_2", quantity=2, price_id="price_team",
            product_id="prod_team")  # fmt: skip
    service = make_service()
    assert service.shown()["plan"] == "team"

    reversed_plans = replace(service.settings, plans=service.settings.plans[::-1]).plans
    assert make_service(plans=reversed_plans).shown()["plan"] == "pro"
