"""`already_subscribed`: nobody is sold a second subscription. The table is asked, Stripe decides,
and where Stripe can't be asked a running row blocks.

Which status is running: tests/rules/test_entitlement.py (rows), tests/rules/test_subscription.py
(at Stripe).
"""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from service_under_test import (
    Json,
    Log,
    MakeService,
    OtherStripe,
    Service,
    calls,
    execute,
    known_subscription,
    last_event,
    link,
    put_row,
    refused,
    rows,
    session_of,
)

from sandbox.world import World

LIST = "GET /v1/subscriptions"


# A running row


@pytest.mark.parametrize(
    "row, blocks",
    [
        ({}, True),
        ({"status": "past_due"}, True),
        ({"status": "some_new_status"}, True),
        ({"status": "paused", "paused_reason": "pause_requested"}, True),
        ({"status": "paused", "paused_reason": None}, False),
        ({"status": "incomplete"}, False),
        ({"status": "canceled"}, False),
        ({"price_id": "price_x", "product_id": "prod_x"}, True),
        ({"price_id": "", "product_id": None, "livemode": None, "as_of": None}, True),
    ],
)
def test_a_running_row_blocks_whatever_its_price_where_stripe_can_not_be_asked(
    world: World, service: Service, row: Json, blocks: bool
) -> None:
    service.checkout("eve")  # the price is known
    put_row(world, **row)
    put_row(world, stripe_subscription_id="sub_old", status="canceled", price_id="price_team")
    world.faults.stripe = "error"

    refused(service.checkout(), "already_subscribed" if blocks else "stripe_unavailable")


@pytest.mark.parametrize("status", ["active", "past_due"])
def test_a_running_row_is_a_conflict_once_stripe_says_so_too(
    world: World, service: Service, status: str
) -> None:
    subscription = world.stripe.create_subscription("user_ada", "price_pro", status)
    service.outcome(last_event(world.stripe, "customer.subscription.created"))
    world.stripe.calls.clear()

    refused(service.checkout(), "already_subscribed")
    assert calls(world.stripe) == [LIST]
    assert rows(world)[subscription["id"]]["status"] == status
    assert world.stripe.sessions == {}


def test_a_running_row_of_the_other_mode_is_none(world: World, service: Service) -> None:
    put_row(world, livemode=True)
    assert service.checkout().status_code == 200


def test_a_running_row_blocks_before_the_first_price_is_asked_for(
    world: World, service: Service
) -> None:
    put_row(world)
    world.faults.update({"stripe": "error"})
    refused(service.checkout(), "already_subscribed")
    assert not [call for call in calls(world.stripe) if "/prices" in call]


def test_a_row_without_a_customer_blocks(world: World, service: Service) -> None:
    put_row(world, stripe_customer_id=None)

    refused(service.checkout(), "already_subscribed")
    assert calls(world.stripe) == []


def test_a_row_without_a_customer_blocks_beside_one_that_stripe_ended(
    world: World, service: Service
) -> None:
    subscription = known_subscription(service)
    world.stripe.act(subscription["id"], "cancel_now")
    put_row(world, stripe_customer_id=None)

    refused(service.checkout(), "already_subscribed")
    assert world.stripe.sessions == {}


@pytest.mark.parametrize("trouble", ["error", "rate_limited"])
def test_where_stripe_can_not_be_asked_the_row_blocks(
    world: World, service: Service, trouble: str
) -> None:
    subscription = known_subscription(service)
    service.checkout()  # the price is known
    world.stripe.act(subscription["id"], "cancel_now")
    world.faults.stripe = trouble

    refused(service.checkout(), "already_subscribed")
    world.faults.stripe = "up"
    assert service.checkout().status_code == 200


def test_a_key_that_is_refused_is_no_answer_of_stripes(
    world: World, make_service: MakeService, ada: str
) -> None:
    put_row(world)
    refused(make_service(stripe_secret_key="sk_test_revoked").checkout(), "already_subscribed")


# What only Stripe knows


@pytest.mark.parametrize(
    "status, pause, running",
    [
        ("past_due", None, True),
        ("active", "pause_requested", True),
        ("active", "trial_end_without_payment_method", False),
        ("incomplete", None, False),
    ],
)
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


def test_a_running_subscription_that_only_stripe_knows_is_written_and_a_conflict(
    world: World, service: Service
) -> None:
    session = session_of(world.stripe, service.checkout())
    paid = world.stripe.checkout(session["id"], "pay")
    event = last_event(world.stripe, "customer.subscription.created")
    refused(service.deliver(event, secret="whsec_wrong"), "invalid_signature")
    assert world.rows() == []

    refused(service.checkout(), "already_subscribed")
    row = rows(world)[paid["subscription"]]
    assert (row["status"], row["stripe_customer_id"]) == ("active", paid["customer"])
    assert row["user_id"] == world.user_id("ada")
    assert [session["status"] for session in world.stripe.sessions.values()] == ["complete"]
    assert service.shown()["subscribed"]


def test_a_subscription_that_ended_at_stripe_alone_is_written_and_no_conflict(
    world: World, service: Service
) -> None:
    subscription = world.stripe.create_subscription("user_ada", "price_pro", "incomplete")
    service.outcome(last_event(world.stripe))
    world.stripe.act(subscription["id"], "expire")

    assert service.checkout().status_code == 200
    assert rows(world)[subscription["id"]]["status"] == "incomplete_expired"


def test_a_subscription_that_came_to_life_at_stripe_alone_is_a_conflict(
    world: World, service: Service
) -> None:
    subscription = world.stripe.create_subscription("user_ada", "price_pro", "incomplete")
    service.outcome(last_event(world.stripe))
    world.stripe.act(subscription["id"], "pay")

    refused(service.checkout(), "already_subscribed")
    assert rows(world)[subscription["id"]]["status"] == "active"
    assert world.stripe.sessions == {}


@pytest.mark.parametrize("status", ["active", "unpaid"])
def test_what_ended_at_stripe_and_no_webhook_told_is_bought_again(
    world: World, service: Service, status: str
) -> None:
    subscription = known_subscription(service, status=status)
    world.stripe.act(subscription["id"], "cancel_now")

    session = session_of(world.stripe, service.checkout())
    assert session["customer"] == subscription["customer"]
    assert rows(world)[subscription["id"]]["status"] == "canceled"
    assert service.shown()["plan"] == "free"


def test_a_running_one_among_many_customers_is_found(world: World, service: Service) -> None:
    gone = known_subscription(service)
    other = world.stripe.create_customer(metadata={"clerk_user_id": "user_ada"})["id"]
    kept = known_subscription(service, "price_team", customer=other)
    world.stripe.act(gone["id"], "cancel_now")

    refused(service.checkout(), "already_subscribed")
    assert world.stripe.sessions == {}
    world.stripe.act(kept["id"], "cancel_now")
    assert service.checkout().status_code == 200
    assert {row["status"] for row in world.rows()} == {"canceled"}


def test_another_subscription_of_the_customer_runs_at_stripe_alone(
    world: World, service: Service
) -> None:
    old = known_subscription(service)
    world.stripe.act(old["id"], "cancel_now")
    new = world.stripe.create_subscription("user_ada", "price_team")

    refused(service.checkout(), "already_subscribed")
    assert {i: row["status"] for i, row in rows(world).items()} == {
        old["id"]: "canceled",
        new["id"]: "active",
    }


def test_what_runs_on_another_customer_of_the_owner_is_seen_at_stripe(
    world: World, service: Service
) -> None:
    link(world, world.stripe.create_customer()["id"])
    running = world.stripe.create_subscription("user_ada", "price_pro")
    put_row(world, stripe_customer_id=running["customer"], status="canceled")

    refused(service.checkout(), "already_subscribed")
    assert running["id"] in rows(world)


def test_a_row_that_stripes_list_does_not_have_is_asked_for_by_itself(
    world: World, service: Service
) -> None:
    """It moved to another customer, say: the list of the old one says nothing about it."""
    subscription = known_subscription(service)
    empty = world.stripe.create_customer()["id"]
    execute(world, "update subscriptions set stripe_customer_id = %s", empty)

    refused(service.checkout(), "already_subscribed")
    assert rows(world)[subscription["id"]]["stripe_customer_id"] == subscription["customer"]


def test_a_live_row_that_our_key_does_not_see_sells_nothing(
    world: World, service_at: Callable[..., Service], live_stripe: OtherStripe
) -> None:
    link(world, live_stripe.state.create_customer()["id"], livemode=True)
    put_row(world, livemode=True, stripe_customer_id="cus_of_another_account")

    assert service_at(live_stripe).checkout().status_code in (409, 500)
    assert live_stripe.state.sessions == {}


def test_who_pays_while_the_table_is_asked_is_seen(
    world: World, service_at: Callable[..., Service], other_stripe: OtherStripe, log: Log
) -> None:
    service, stripe = service_at(other_stripe), other_stripe.state
    session = session_of(stripe, service.checkout())

    def pay_once_the_sessions_are_listed(method: str, path: str) -> None:
        if path == "/v1/checkout/sessions" and method == "GET":
            other_stripe.held = lambda method, path: None
            stripe.checkout(session["id"], "pay")

    other_stripe.held = pay_once_the_sessions_are_listed
    refused(service.checkout(body={"plan": "team"}), "already_subscribed")
    assert [one["status"] for one in stripe.sessions.values()] == ["complete"]
    event = last_event(stripe, "customer.subscription.created")
    assert service.outcome(event) == "unchanged"


# A row of a table older than ours, without a subscription id


@pytest.fixture
def old_table(world: World) -> Iterator[None]:
    execute(world, "alter table subscriptions drop constraint subscriptions_pkey")
    execute(world, "alter table subscriptions alter stripe_subscription_id drop not null")
    execute(world, "alter table subscriptions add constraint one unique (stripe_subscription_id)")
    yield
    execute(world, "delete from subscriptions")
    execute(world, "alter table subscriptions drop constraint one")
    execute(world, "alter table subscriptions add primary key (stripe_subscription_id)")


def old_row(world: World, customer: str | None, **more: Any) -> None:
    unknown = dict.fromkeys(("stripe_subscription_id", "price_id", "product_id", "livemode"))
    put_row(world, **(unknown | {"stripe_customer_id": customer, "as_of": None} | more))


def test_it_stops_blocking_once_nothing_runs_for_its_customer(
    world: World, service: Service, old_table: None
) -> None:
    customer = world.stripe.create_customer()["id"]
    old_row(world, customer)

    assert session_of(world.stripe, service.checkout())["customer"] == customer
    assert calls(world.stripe)[0] == LIST


def test_it_blocks_while_something_runs_for_its_customer(
    world: World, service: Service, old_table: None
) -> None:
    customer = world.stripe.create_customer()["id"]
    world.stripe.create_subscription(None, "price_pro", customer=customer)
    old_row(world, customer)

    refused(service.checkout(), "already_subscribed")
    assert {row["stripe_customer_id"] for row in world.rows()} == {customer}


def test_it_blocks_where_stripe_does_not_answer_or_there_is_no_customer(
    world: World, service: Service, old_table: None
) -> None:
    service.checkout("eve")  # the price is known
    old_row(world, None)
    refused(service.checkout(), "already_subscribed")

    execute(world, "delete from subscriptions")
    old_row(world, world.stripe.create_customer()["id"])
    world.faults.stripe = "error"
    refused(service.checkout(), "already_subscribed")


@pytest.mark.parametrize("status", ["canceled", "past_due", None])
def test_it_blocks_only_while_it_says_subscribed(
    world: World, service: Service, old_table: None, status: str | None
) -> None:
    old_row(world, None, status=status)
    assert service.checkout().status_code == 200
