"""Purchases that nobody has claimed are told at once; whom Stripe's metadata names, a customer's
own too, owns them; a second customer of an owner is found without a table of users.
"""

import json
from collections.abc import Iterator

import pytest
from service_under_test import (
    Clock,
    Json,
    Log,
    Service,
    execute,
    last_event,
    link,
    linked,
    order_of,
    refused,
    rows,
)

from sandbox.stripe import shapes
from sandbox.world import World

UNCLAIMED = "a subscription belongs to nobody"
METRIC = "portal_unclaimed_subscriptions_total"


@pytest.fixture
def by_payment_link(world: World) -> Json:
    """A purchase whose only trace of ada is what anyone can write into the link's address."""
    customer = world.stripe.create_customer(email="ada@example.com")["id"]
    return world.stripe.create_subscription(None, "price_pro", customer=customer)


def completed(subscription: Json) -> Json:
    session = {"id": "cs_1", "object": "checkout.session", "mode": "subscription",
               "livemode": False, "metadata": {}, "subscription": subscription["id"],
               "customer": subscription["customer"], "client_reference_id": "user_ada",
               "payment_link": "plink_1"}  # fmt: skip
    return shapes.event("checkout.session.completed", session, subscription["created"])


def unclaimed_lines(log: Log) -> list[Json]:
    return [line for line in log.lines if line["message"].startswith(UNCLAIMED)]


def test_a_payment_links_purchase_is_stored_and_told_with_its_cure(
    world: World, service: Service, log: Log, by_payment_link: Json
) -> None:
    before = service.metric(METRIC)

    created = last_event(world.stripe, "customer.subscription.created")
    assert service.outcome(created) == "refreshed"
    row = rows(world)[by_payment_link["id"]]
    assert (row["clerk_owner_id"], row["user_id"], row["status"]) == (None, None, "active")
    line = log.line(UNCLAIMED)
    assert line["level"] == "WARNING"
    assert (line["subscription"], line["customer"]) == (
        by_payment_link["id"],
        by_payment_link["customer"],
    )
    assert "flask portal link" in line["cure"]
    assert service.metric(METRIC) == before + 1
    assert not [mark for mark in ("user_ada", "ada@") if mark in json.dumps(line)]


def test_it_is_told_once_per_row_and_process(
    world: World, service: Service, log: Log, by_payment_link: Json
) -> None:
    before = service.metric(METRIC)
    for _ in range(3):
        service.outcome(last_event(world.stripe, "customer.subscription.created"))
        service.outcome(completed(by_payment_link))
    assert service.metric(METRIC) == before + 1
    assert len(unclaimed_lines(log)) == 1


def test_a_reference_in_the_links_address_gives_it_to_nobody(
    world: World, service: Service, by_payment_link: Json
) -> None:
    service.outcome(completed(by_payment_link))

    assert rows(world)[by_payment_link["id"]]["clerk_owner_id"] is None
    assert service.shown()["plan"] == "free"
    assert linked(world) == {}


@pytest.mark.parametrize("status", ["canceled", "incomplete_expired"])
def test_what_has_ended_is_not_worth_a_line(
    world: World, service: Service, log: Log, status: str
) -> None:
    customer = world.stripe.create_customer()["id"]
    world.stripe.create_subscription(None, "price_pro", status, customer=customer)
    service.outcome(last_event(world.stripe, "customer.subscription.created"))
    assert unclaimed_lines(log) == []


def test_one_with_an_owner_is_not_told(world: World, service: Service, log: Log) -> None:
    world.stripe.create_subscription("user_ada", "price_pro")
    service.outcome(last_event(world.stripe))
    assert unclaimed_lines(log) == []


def test_one_of_a_user_whom_the_app_does_not_know_yet_has_an_owner(
    world: World, service: Service, log: Log
) -> None:
    world.stripe.create_subscription("user_newcomer", "price_pro")
    service.outcome(last_event(world.stripe))
    assert unclaimed_lines(log) == []
    assert service.shown("newcomer")["subscribed"]


def test_a_link_claims_all_rows_of_the_customer(
    world: World, service: Service, by_payment_link: Json, log: Log
) -> None:
    service.outcome(last_event(world.stripe, "customer.subscription.created"))
    execute(world, "select link_customer('user_ada', false, %s)", by_payment_link["customer"])

    shown = service.shown()
    assert (shown["plan"], shown["subscribed"]) == ("pro", True)
    refused(service.checkout(), "already_subscribed")
    row = rows(world)[by_payment_link["id"]]
    assert (row["clerk_owner_id"], row["user_id"]) == ("user_ada", world.user_id("ada"))


# Whom metadata names


@pytest.mark.parametrize("where", ["subscription", "session", "customer"])
def test_the_owner_is_whom_any_of_three_names(world: World, service: Service, where: str) -> None:
    owner = {"clerk_user_id": "user_ada"}
    customer = world.stripe.create_customer(metadata=owner if where == "customer" else {})["id"]
    subscription = world.stripe.create_subscription(
        None, "price_pro", customer=customer, metadata=owner if where == "subscription" else {}
    )
    event = completed(subscription)
    if where == "session":
        event["data"]["object"]["metadata"] = owner

    service.outcome(event)
    row = rows(world)[subscription["id"]]
    assert (row["clerk_owner_id"], row["user_id"]) == ("user_ada", world.user_id("ada"))
    assert linked(world) == {"user_ada": customer}
    assert service.shown()["subscribed"]


def test_the_subscriptions_own_word_counts_before_its_customers(
    world: World, service: Service
) -> None:
    customer = world.stripe.create_customer(metadata={"clerk_user_id": "user_eve"})["id"]
    subscription = world.stripe.create_subscription("user_ada", "price_pro", customer=customer)

    service.outcome(last_event(world.stripe, "customer.subscription.created"))
    assert rows(world)[subscription["id"]]["clerk_owner_id"] == "user_ada"


def test_support_can_claim_one_by_writing_metadata_at_stripe(
    world: World, service: Service, clock: Clock, by_payment_link: Json
) -> None:
    service.outcome(last_event(world.stripe, "customer.subscription.created"))
    clock.advance(3600)
    world.stripe.subscriptions[by_payment_link["id"]]["metadata"] = {"clerk_user_id": "user_ada"}
    world.stripe.act(by_payment_link["id"], "fail_payment")

    assert service.outcome(last_event(world.stripe, "customer.subscription.updated")) == "applied"
    assert service.shown()["needs_payment"]


@pytest.mark.parametrize("path", ["webhook", "refresh", "checkout"])
def test_metadata_that_disagrees_with_a_link_is_told_whoever_finds_it(
    world: World, service: Service, log: Log, path: str
) -> None:
    customer = world.stripe.create_customer()["id"]
    link(world, customer)
    subscription = world.stripe.create_subscription("user_eve", "price_pro", customer=customer)
    event = last_event(world.stripe, "customer.subscription.created")

    if path == "webhook":
        service.outcome(event)
    elif path == "refresh":
        service.refresh()
    else:
        refused(service.checkout(), "already_subscribed")
    for _ in range(2):
        service.refresh()
    line = log.line("the metadata names another owner")
    assert (line["level"], line["subscription"]) == ("WARNING", subscription["id"])
    assert (line["linked"], line["named"]) == ("user_ada", "user_eve")
    assert linked(world) == {"user_ada": customer}
    assert service.shown()["subscribed"] and not service.shown("eve")["subscribed"]


def test_metadata_never_opens_another_users_row(world: World, service: Service, log: Log) -> None:
    """A row that is the app's user's already, of a table older than owners."""
    world.add_user("eve")
    customer = world.stripe.create_customer()["id"]
    subscription = world.stripe.create_subscription("user_eve", "price_pro", customer=customer)
    execute(
        world,
        "insert into subscriptions (stripe_subscription_id, stripe_customer_id, user_id, status,"
        " livemode) values (%s, %s, %s, 'active', false)",
        subscription["id"],
        customer,
        world.user_id("ada"),
    )

    service.outcome(last_event(world.stripe, "customer.subscription.created"))
    row = rows(world)[subscription["id"]]
    assert (row["clerk_owner_id"], row["user_id"]) == (None, world.user_id("ada"))
    assert service.shown()["subscribed"] and not service.shown("eve")["subscribed"]
    assert log.line("the metadata names another owner")["named"] == "user_eve"


# A second customer of the same owner


@pytest.fixture
def no_users_table(world: World) -> Iterator[None]:
    execute(world, "alter table users rename to away")
    yield
    execute(world, "alter table away rename to users")


@pytest.mark.parametrize("first", ["linked", "bought"])
def test_a_second_customer_is_found_by_its_owner_without_a_table_of_users(
    world: World, service: Service, no_users_table: None, first: str
) -> None:
    if first == "linked":
        link(world, world.stripe.create_customer()["id"])
    else:
        old = world.stripe.create_subscription("user_ada", "price_pro", "canceled")
        service.outcome(last_event(world.stripe, "customer.subscription.created"))
        assert old["customer"] in linked(world).values()
    other = world.stripe.create_customer()["id"]
    subscription = world.stripe.create_subscription("user_ada", "price_team", customer=other)
    service.outcome(last_event(world.stripe, "customer.subscription.created"))

    row = rows(world)[subscription["id"]]
    assert (row["clerk_owner_id"], row["user_id"]) == ("user_ada", None)
    shown = service.shown()
    assert (shown["plan"], shown["subscribed"], shown["can_checkout"]) == ("team", True, False)
    refused(service.checkout(), "already_subscribed")
    assert service.portal().status_code == 200
    (session,) = world.stripe.portal_sessions.values()
    assert session["customer"] == other
    assert other not in linked(world).values()


def test_both_customers_are_refreshed(world: World, service: Service, no_users_table: None) -> None:
    customers = [world.stripe.create_customer()["id"] for _ in range(2)]
    made = []
    for customer in customers:
        made.append(world.stripe.create_subscription("user_ada", "price_pro", customer=customer))
        service.outcome(last_event(world.stripe, "customer.subscription.created"))
    for subscription in made:
        world.stripe.act(subscription["id"], "cancel_now")

    assert (service.refresh().json or {})["plan"] == "free"
    assert {row["status"] for row in world.rows()} == {"canceled"}
    assert order_of(world.stripe, service.checkout())["customer"] == customers[0]


def test_nobody_else_is_shown_it(world: World, service: Service, no_users_table: None) -> None:
    world.stripe.create_subscription("user_ada", "price_pro")
    service.outcome(last_event(world.stripe, "customer.subscription.created"))

    assert service.shown()["subscribed"]
    for user in ("eve", "stranger"):
        assert service.shown(user)["plan"] == "free"
        refused(service.portal(user), "user_not_found")
