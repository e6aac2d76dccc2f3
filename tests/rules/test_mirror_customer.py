"""All subscriptions of a customer: what is asked, what is written, what is left alone."""

from datetime import UTC, datetime
from typing import Any

import pytest
from given import (
    MONTH_END,
    NOON,
    PLANS,
    account,
    iso,
    item,
    paused,
    row,
    row_of_the_original,
    snapshot_event,
    subscription,
    thin_event,
)
from mirror_world import STRIPES_NOW, World

from portal_service.stripe_errors import CustomerMissing, KeyForbidden
from portal_service.subscription import row_of

Json = dict[str, Any]
UPDATED = "customer.subscription.updated"
SUPPORT = item("price_support", "prod_support")
ENDED = subscription(status="canceled", ended_at=NOON - 100, metadata={"clerk_user_id": "user_ada"})


@pytest.fixture
def world() -> World:
    return World(ignored_products=("prod_support",))


def stored_from(stripe_subscription: Json, **changes: Any) -> Json:
    """The row that a refresh of a while ago has written."""
    written = row_of(stripe_subscription, PLANS, datetime.fromtimestamp(NOON, UTC))
    return row(**(written | changes))


def test_all_of_a_customer_are_written_each_over_its_revision(world: World) -> None:
    now = [subscription(**paused("pause_requested")), subscription(id="sub_2"),
           subscription(id="sub_3", metadata={"clerk_user_id": "user_ada"})]  # fmt: skip
    world.stripe.has(*now, subscription(id="sub_9", customer="cus_9"))
    world.database.holds(
        row(),
        row(stripe_subscription_id="sub_2", revision=8),
        row(stripe_subscription_id="sub_9", stripe_customer_id="cus_9", revision=77),
        row_of_the_original(stripe_subscription_id=None),
    )
    assert world.refresh_customer() == now
    assert world.stripe.asked == ["cus_1"]
    assert world.statements == [5, 8, 0]
    assert world.owners == [None, None, "user_ada"]
    assert world.stored["paused_reason"] == "pause_requested"
    assert world.stored["as_of"] == STRIPES_NOW.isoformat()


def test_one_that_somebody_wrote_meanwhile_is_asked_for_again(world: World) -> None:
    world.database.holds(row(revision=6))
    world.stripe.has(subscription(status="past_due"))
    world.mirror.refresh_customer(account(row(revision=5)), "cus_1")
    assert world.stripe.asked == ["cus_1", "sub_1"]
    assert world.statements == [5, 6]
    assert world.stored["status"] == "past_due"


def test_one_that_stripe_did_not_list_is_asked_for(world: World) -> None:
    world.database.holds(row())
    assert world.refresh_customer() == []
    assert world.stripe.asked == ["cus_1", "sub_1"]
    assert world.stored["status"] == "canceled"


# Ended ones


def test_an_ended_one_whose_row_says_so_is_not_written_again(world: World) -> None:
    world.database.holds(stored_from(ENDED))
    world.stripe.has(ENDED)
    assert world.refresh_customer() == [ENDED]
    assert world.stripe.asked == ["cus_1"]
    assert world.database.writes == []


def test_hundreds_of_ended_ones_beside_a_running_one_are_one_write(world: World) -> None:
    ended = [ENDED | {"id": f"sub_{number}"} for number in range(100, 500)]
    world.database.holds(*map(stored_from, ended), row())
    world.stripe.has(*ended, subscription())
    world.refresh_customer()
    assert world.stripe.asked == ["cus_1"]
    assert [new["stripe_subscription_id"] for _, new, _ in world.database.writes] == ["sub_1"]


@pytest.mark.parametrize(
    ("stripe_subscription", "changes"),
    [
        pytest.param(ENDED, {"status": "active"}, id="the row does not know yet"),
        pytest.param(ENDED, {"ended_at": None}, id="the row says something else"),
        pytest.param(ENDED, {"livemode": None}, id="the row lacks something"),
        pytest.param(ENDED, {"items": None}, id="the row lacks its items"),
        pytest.param(ENDED, {"clerk_owner_id": None}, id="the row is nobody's"),
        pytest.param(subscription(), {}, id="nothing ended"),
        pytest.param(subscription(status="past_due"), {}, id="nothing ended and nothing is paid"),
        pytest.param(subscription(status="incomplete"), {}, id="it may still begin"),
        pytest.param(subscription(), {"status": "canceled"}, id="only the row says that it ended"),
    ],
)
def test_any_other_one_is_written_again(
    world: World, stripe_subscription: Json, changes: Json
) -> None:
    world.database.holds(stored_from(stripe_subscription, **changes))
    world.stripe.has(stripe_subscription)
    world.refresh_customer()
    assert world.statements == [5]
    assert world.stored["revision"] > 5


def test_an_ended_one_that_has_no_row_gets_one(world: World) -> None:
    world.stripe.has(ENDED)
    world.refresh_customer()
    assert world.statements == [0]


# Customers that are gone


def test_the_rows_of_a_customer_whom_stripe_lost_are_brought_to_an_end_first(world: World) -> None:
    world.stripe.customers.clear()
    world.database.holds(row(), row(stripe_subscription_id="sub_2"))
    with pytest.raises(CustomerMissing):
        world.refresh_customer()
    assert [one["status"] for one in world.database.rows.values()] == ["canceled", "canceled"]
    assert world.database.gone == {"cus_1"}


def test_a_customer_is_not_forgotten_under_the_key_of_another_account() -> None:
    world = World("sk_live_unit")
    world.stripe.customers.clear()
    world.database.holds(row(livemode=True))
    with pytest.raises(KeyForbidden):
        world.refresh_customer()
    assert world.database.gone == set()
    assert world.database.writes == []


def test_only_what_had_not_ended_is_asked_about(world: World) -> None:
    world.stripe.customers.clear()
    world.stripe.has(subscription(id="sub_9", customer="cus_9"))
    rows = [
        row(),
        row(stripe_subscription_id="sub_2", status="canceled"),
        row(stripe_subscription_id="sub_3", status="incomplete_expired"),
        row(stripe_subscription_id="sub_9", stripe_customer_id="cus_9"),
        row_of_the_original(stripe_subscription_id=None),
    ]
    ignored = row(stripe_subscription_id="sub_4", product_id="prod_support")
    world.database.holds(*rows, ignored)
    world.mirror.mark_gone(account(*rows, ignored_rows=(ignored,)), "cus_1")
    assert world.stripe.asked == ["sub_1", "sub_4"]
    assert world.database.gone == {"cus_1"}


@pytest.mark.parametrize("known_as_gone", [True, False])
def test_a_customer_whom_stripe_has_after_all_is_not_gone(
    world: World, known_as_gone: bool
) -> None:
    world.stripe.has(subscription())
    world.database.gone = {"cus_1", "cus_other"}
    world.refresh_customer(gone=["cus_1"] if known_as_gone else [])
    # Where the account does not say that it is gone, nobody spends a call on it.
    assert world.database.gone == ({"cus_other"} if known_as_gone else {"cus_1", "cus_other"})


@pytest.mark.parametrize("deleted", [True, False])
@pytest.mark.parametrize("known_as_gone", [True, False])
def test_stripe_goes_on_listing_for_a_customer_that_was_deleted(
    world: World, deleted: bool, known_as_gone: bool
) -> None:
    customer = {"id": "cus_1", "object": "customer"} | ({"deleted": True} if deleted else {})
    world.stripe.has(ENDED | {"customer": customer})
    world.database.gone = {"cus_1"} if known_as_gone else set()
    world.refresh_customer(gone=world.database.gone)
    assert world.database.gone == ({"cus_1"} if deleted else set())
    assert world.stripe.asked == ["cus_1"]


@pytest.mark.parametrize("deleted", [True, False])
def test_of_a_gone_customer_without_subscriptions_stripe_is_asked_itself(
    world: World, deleted: bool
) -> None:
    world.database.gone = {"cus_1"}
    world.stripe.deleted = {"cus_1"} if deleted else set()
    assert world.refresh_customer(gone=["cus_1"]) == []
    assert world.stripe.asked == ["cus_1", "is cus_1 gone"]
    assert world.database.gone == world.stripe.deleted


def test_of_any_other_one_it_is_not(world: World) -> None:
    assert world.refresh_customer() == []
    assert world.stripe.asked == ["cus_1"]


def test_a_subscription_that_names_a_customer_is_no_sign_of_life(world: World) -> None:
    world.database.gone = {"cus_1"}
    world.database.holds(row())
    world.stripe.has(subscription(status="past_due"))
    world.mirror.apply(thin_event(UPDATED, "sub_1"))
    assert world.database.gone == {"cus_1"}


# Products that are none of our business


def support(**changes: Any) -> Json:
    return subscription(SUPPORT, metadata={"clerk_user_id": "user_ada"}, **changes)


def deliveries() -> list[Any]:
    return [
        pytest.param(snapshot_event(UPDATED, support(), created=NOON + 60), id="snapshot"),
        pytest.param(thin_event(UPDATED, "sub_1"), id="thin"),
    ]


@pytest.mark.parametrize("event", deliveries())
def test_an_ignored_product_of_a_known_customer_gets_no_row(world: World, event: Json) -> None:
    world.database.linked["cus_1"] = "user_ada"
    world.stripe.has(support())
    assert world.mirror.apply(event) == "ignored"
    assert world.database.rows == {}


@pytest.mark.parametrize("event", deliveries())
def test_an_ignored_product_that_has_a_row_is_kept_true(world: World, event: Json) -> None:
    world.database.holds(stored_from(support(), status="past_due"))
    world.stripe.has(support())
    assert world.mirror.apply(event) in ("applied", "refreshed")
    assert world.stored["status"] == "active"
    assert set(world.owners) == {None}  # its metadata names nobody


def test_one_product_that_is_not_ignored_is_enough(world: World) -> None:
    both = subscription(SUPPORT, item("price_x", "prod_x"))
    world.database.linked["cus_1"] = "user_ada"
    world.stripe.has(both)
    assert world.mirror.apply(thin_event(UPDATED, "sub_1")) == "refreshed"
    assert world.stored["price_id"] == "price_support"


def test_an_ignored_one_of_a_customers_list_is_neither_written_nor_told(world: World) -> None:
    world.stripe.has(support(), subscription(id="sub_2"))
    assert [one["id"] for one in world.refresh_customer()] == ["sub_2"]
    assert set(world.database.rows) == {"sub_2"}


def test_an_ignored_one_of_a_customers_list_that_has_a_row_is_kept_true(world: World) -> None:
    held = stored_from(support(), current_period_end=iso(MONTH_END - 9))
    world.database.holds(held)
    world.stripe.has(support())
    one = account(ignored_rows=(held,))
    assert world.mirror.refresh_customer(one, "cus_1") == []
    assert world.stripe.asked == ["cus_1"]
    assert world.stored["current_period_end"] == iso(MONTH_END)
