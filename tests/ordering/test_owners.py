"""Whose subscription a delivery is about, and what is none of our business. By table:
rules/test_whose.py. With frontends: test_users.py. Purchases of nobody's: money/test_unclaimed.py.
"""

import pytest
from deliveries import changed
from service_under_test import Clock, Json, Log, Service, last_event, link, linked, put_row, rows

from sandbox.stripe import shapes
from sandbox.world import World


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
    world: World, service: Service, subscription: Json, clock: Clock, log: Log
) -> None:
    for seconds in (3600, 0):
        clock.advance(seconds)
        event = changed(world, subscription, price="price_other")
        assert service.outcome(event) in ("applied", "unchanged")
    assert rows(world)[subscription["id"]]["plan"] is None
    assert log.line("a subscription has a price that STRIPE_PLANS does not list")


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


@pytest.mark.parametrize("seconds", [0, 3600])
def test_a_status_that_nobody_knows_is_stored_and_told_on_both_paths(
    world: World, service: Service, subscription: Json, clock: Clock, log: Log, seconds: int
) -> None:
    clock.advance(seconds)
    world.stripe.subscriptions[subscription["id"]]["status"] = "a_status_of_2030"
    service.outcome(changed(world, subscription, price="price_team"))

    assert rows(world)[subscription["id"]]["status"] == "a_status_of_2030"
    line = log.line("a subscription has an unknown status")
    assert (line["level"], line["status"]) == ("ERROR", "a_status_of_2030")
