"""What a subscription consists of: all of its items are kept and shown, however many there are, and
the item of the plan speaks for the whole.
"""

from datetime import UTC, datetime
from typing import Any

import pytest
from service_under_test import (
    Clock,
    Json,
    Service,
    calls,
    days_ahead,
    edit_row,
    execute,
    iso,
    known_subscription,
    last_event,
    link,
    put_row,
    refused,
    rows,
    subscribe,
)

from portal_service.mirror import OUR_RELEASE
from sandbox.world import World

ITEMS = "GET /v1/subscription_items"


@pytest.fixture
def add_ons(world: World, service: Service) -> list[str]:
    """Ten prices that no plan lists."""
    world.stripe.add_product("prod_addon")
    return [
        world.stripe.add_price(f"price_addon{n}", "prod_addon", 100 + n)["id"] for n in range(10)
    ]


def renewed(world: World, subscription: Json, action: str = "advance_period") -> Json:
    world.stripe.act(subscription["id"], action)
    return last_event(world.stripe, "customer.subscription.updated")


def test_seats_and_add_ons_are_kept_and_shown(
    world: World, service: Service, add_ons: list[str]
) -> None:
    subscription = subscribe(service, ("price_pro", 1), (add_ons[0], 7), ("price_metered", None))

    assert service.shown()["items"] == [
        {"price_id": "price_pro", "product_id": "prod_pro", "quantity": 1, "plan": "pro"},
        {"price_id": add_ons[0], "product_id": "prod_addon", "quantity": 7, "plan": None},
        {"price_id": "price_metered", "product_id": "prod_metered", "quantity": None, "plan": None},
    ]
    kept = rows(world)[subscription["id"]]["items"]
    assert [item["price_id"] for item in kept] == ["price_pro", add_ons[0], "price_metered"]
    assert [item["quantity"] for item in kept] == [1, 7, None]
    assert all(item["current_period_end"] for item in kept)


@pytest.mark.parametrize("seconds", [0, 3600])
def test_a_changed_item_reaches_the_row_on_both_paths(
    world: World, service: Service, clock: Clock, add_ons: list[str], seconds: int
) -> None:
    subscription = subscribe(service, ("price_pro", 1), (add_ons[0], 7))
    clock.advance(seconds)
    world.stripe.subscriptions[subscription["id"]]["items"]["data"][1]["quantity"] = 9

    event = renewed(world, subscription, "fail_payment")
    assert service.outcome(event) == ("applied" if seconds else "refreshed")
    assert service.shown()["items"][1]["quantity"] == 9


def test_a_row_from_before_the_column_shows_its_one_price(world: World, service: Service) -> None:
    put_row(world, quantity=4)
    assert service.shown()["items"] == [
        {"price_id": "price_pro", "product_id": "prod_pro", "quantity": 4, "plan": "pro"}
    ]


def test_a_refresh_fills_a_row_from_before_the_column(
    world: World, service: Service, add_ons: list[str]
) -> None:
    subscription = subscribe(service, ("price_pro", 1), (add_ons[0], 7))
    edit_row(world, subscription["id"], items=None)

    assert len((service.refresh().json or {})["items"]) == 2


# More than Stripe shows at once


@pytest.fixture
def eleven(world: World, service: Service, add_ons: list[str]) -> Json:
    """The plan's item is the eleventh, of which Stripe shows ten."""
    return subscribe(service, *((price, 1) for price in add_ons), ("price_team", 3))


def test_the_plan_is_found_among_more_than_ten(
    world: World, service: Service, eleven: Json
) -> None:
    shown = service.shown()
    assert (shown["plan"], shown["subscribed"], shown["quantity"]) == ("team", True, 3)
    assert len(shown["items"]) == len(rows(world)[eleven["id"]]["items"]) == 11
    refused(service.checkout(), "already_subscribed")


def test_an_event_that_carries_only_ten_is_never_trusted(
    world: World, service: Service, eleven: Json, clock: Clock
) -> None:
    clock.advance(7200)
    event = renewed(world, eleven)
    assert event["data"]["object"]["items"]["has_more"]
    assert event["api_version"].endswith(OUR_RELEASE)

    assert service.outcome(event) == "refreshed"
    assert calls(world.stripe) == [f"GET /v1/subscriptions/{eleven['id']}", ITEMS]
    assert service.shown()["plan"] == "team"


def test_a_refresh_reads_them_all_too(world: World, service: Service, eleven: Json) -> None:
    assert (service.refresh().json or {})["plan"] == "team"
    assert calls(world.stripe) == ["GET /v1/subscriptions", ITEMS]


def test_checkout_sees_the_plan_among_more_than_ten_without_a_row(
    world: World, service: Service, eleven: Json
) -> None:
    execute(world, "delete from subscriptions")
    refused(service.checkout(), "already_subscribed")
    assert rows(world)[eleven["id"]]["plan"] == "team"


def test_somebody_elses_with_more_than_ten_is_ignored(
    world: World, service: Service, add_ons: list[str]
) -> None:
    world.stripe.add_price("price_eleventh", "prod_addon", 1)
    lines: list[Any] = [(price, 1) for price in (*add_ons, "price_eleventh")]
    subscribe(service, *lines, customer=world.stripe.create_customer()["id"], metadata={})

    assert world.rows() == []


# The plan's item speaks


@pytest.mark.parametrize("plan_first", [True, False])
def test_price_and_period_end_are_of_one_item(
    world: World, service: Service, plan_first: bool
) -> None:
    """A monthly plan with a yearly add-on."""
    recurring = world.stripe.prices["price_team_year"]["recurring"]
    world.stripe.add_product("prod_addon")
    world.stripe.add_price("price_addon", "prod_addon", 900, recurring=recurring)
    lines = [("price_pro", 1), ("price_addon", 1)]
    subscription = subscribe(service, *(lines if plan_first else lines[::-1]))

    ends = {
        item["price"]["id"]: item["current_period_end"] for item in subscription["items"]["data"]
    }
    assert ends["price_addon"] > ends["price_pro"] + 100 * 86_400
    shown = service.shown()
    assert shown["price_id"] == "price_pro"
    assert shown["current_period_end"] == utc(ends["price_pro"])


def utc(timestamp: int) -> str:
    return iso(datetime.fromtimestamp(timestamp, UTC))


def test_a_yearly_plan_with_monthly_seats_ends_with_the_year(
    world: World, service: Service
) -> None:
    subscription = subscribe(service, ("price_other", 5), ("price_team_year", 1))

    end = subscription["items"]["data"][1]["current_period_end"]
    assert service.shown()["current_period_end"] == utc(end)


def test_without_a_plan_the_first_items_end_is_shown(
    world: World, service: Service, add_ons: list[str]
) -> None:
    customer = world.stripe.create_customer()["id"]
    link(world, customer)
    recurring = world.stripe.prices["price_team_year"]["recurring"]
    world.stripe.add_price("price_addon_year", "prod_addon", 900, recurring=recurring)
    lines = (add_ons[0], 1), ("price_addon_year", 1)
    subscription = subscribe(service, *lines, customer=customer, metadata={})

    end = subscription["items"]["data"][0]["current_period_end"]
    assert service.shown()["current_period_end"] == utc(end)


def test_an_old_payload_has_the_end_on_the_subscription(world: World, service: Service) -> None:
    """Before Stripe's release basil, whose snapshot is not trusted but must be readable."""
    subscription = known_subscription(service)
    event = renewed(world, subscription)
    del event["data"]["object"]["items"]["data"][0]["current_period_end"]
    event["data"]["object"]["current_period_end"] = int(days_ahead(3).timestamp())
    event["api_version"] = "2024-06-20"

    assert service.outcome(event) == "refreshed"
