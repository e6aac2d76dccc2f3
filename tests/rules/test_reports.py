"""What an operator is told about rows: who may pay and get nothing. Once per row and process."""

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from alone import Log
from given import (
    NOON,
    item,
    row,
    row_item,
    row_of_the_original,
    settings,
    snapshot_event,
    subscription,
)
from mirror_world import World

from portal_service.metrics import UNCLAIMED, UNKNOWN_PRICES
from portal_service.reports import Reports

Json = dict[str, Any]
UPDATED = "customer.subscription.updated"
UNKNOWN_PRICE = "a subscription has a price that STRIPE_PLANS does not list"
UNKNOWN_STATUS = "a subscription has an unknown status"
DISAGREES = "the metadata names another owner than the one that the customer is linked to"
NOBODYS = "a subscription belongs to nobody: whoever pays for it is on the free plan"
STRANGE: Json = {"price_id": "price_x", "product_id": "prod_x", "plan": None}
NOBODY: Json = {"clerk_owner_id": None, "user_id": None}


@pytest.fixture
def reports() -> Reports:
    return Reports(settings(ignored_products=("prod_support",)))


@pytest.fixture
def counted() -> Iterator[Any]:
    """How often a counter has moved since."""
    before = {counter: counter._value.get() for counter in (UNKNOWN_PRICES, UNCLAIMED)}
    yield lambda counter: counter._value.get() - before[counter]


# A row


def test_a_price_that_no_plan_lists_is_an_error_with_both_cures(
    reports: Reports, log: Log, counted: Any
) -> None:
    reports.row(row(**STRANGE))
    fields = log.fields(UNKNOWN_PRICE)
    assert log.at(logging.ERROR) == [UNKNOWN_PRICE]
    assert fields["subscription"] == "sub_1"
    assert (fields["price"], fields["product"]) == ("price_x", "prod_x")
    assert "STRIPE_PLANS" in fields["cure"]
    assert "STRIPE_IGNORED_PRODUCTS" in fields["cure"]
    assert counted(UNKNOWN_PRICES) == 1


def test_it_is_told_once_per_row_and_price(reports: Reports, log: Log, counted: Any) -> None:
    for _ in range(3):
        reports.row(row(**STRANGE))
    reports.row(row(**STRANGE, status="past_due"))
    assert len(log.messages) == counted(UNKNOWN_PRICES) == 1
    reports.row(row(**STRANGE, stripe_subscription_id="sub_2"))
    reports.row(row(**(STRANGE | {"price_id": "price_y"})))
    assert len(log.messages) == counted(UNKNOWN_PRICES) == 3


def test_another_process_tells_it_as_well(reports: Reports, log: Log) -> None:
    reports.row(row(**STRANGE))
    Reports(settings()).row(row(**STRANGE))
    assert log.messages == [UNKNOWN_PRICE] * 2


@pytest.mark.parametrize(
    "quiet",
    [
        row(),
        row(**STRANGE, status="canceled"),
        row(**STRANGE, status="incomplete_expired"),
        row(price_id="price_x", product_id="prod_support"),
        row(price_id="price_x", items=[row_item("price_x", "prod_support")]),
        row(status="a_status_of_2030", price_id="price_x", product_id="prod_support"),
        row_of_the_original(),
        row_of_the_original(plan="free"),
        row_of_the_original(plan="free", price_id=""),
        row_of_the_original(stripe_subscription_id=None, plan=None),
    ],
    ids=lambda one: f"{one['status']} {one['plan']} {one['product_id']}",
)
def test_nothing_is_told_of_what_is_as_it_should_be(
    reports: Reports, log: Log, quiet: Json
) -> None:
    reports.row(quiet)
    assert log.messages == []


@pytest.mark.parametrize("status", ["a_status_of_2030", "Active", "", None])
def test_a_status_that_nobody_knows_is_told_once(
    reports: Reports, log: Log, status: str | None
) -> None:
    for _ in range(3):
        reports.row(row(status=status))
    assert log.at(logging.ERROR) == [UNKNOWN_STATUS]
    assert log.fields(UNKNOWN_STATUS) | {"subscription": "sub_1", "status": status} == log.fields(
        UNKNOWN_STATUS
    )


# Its owner


@pytest.mark.parametrize(
    ("owner", "user_id", "named", "linked"),
    [
        ("user_ada", "7", "user_eve", "user_ada"),
        ("user_ada", None, "user_eve", "user_ada"),
        (None, "7", "user_eve", "7"),
    ],
)
def test_metadata_that_names_another_owner_is_a_warning(
    reports: Reports, log: Log, owner: str | None, user_id: str | None, named: str, linked: str
) -> None:
    reports.owner(row(clerk_owner_id=owner, user_id=user_id), named)
    assert log.at(logging.WARNING) == [DISAGREES]
    fields = log.fields(DISAGREES)
    assert (fields["subscription"], fields["linked"], fields["named"]) == ("sub_1", linked, named)


def test_a_disagreement_is_told_once_per_row_and_name(reports: Reports, log: Log) -> None:
    for _ in range(3):
        reports.owner(row(), "user_eve")
    assert log.messages == [DISAGREES]
    reports.owner(row(), "user_mallory")
    reports.owner(row(stripe_subscription_id="sub_2"), "user_eve")
    assert log.messages == [DISAGREES] * 3


@pytest.mark.parametrize("named", ["user_ada", None])
def test_an_owner_that_is_named_or_not_named_is_as_it_should_be(
    reports: Reports, log: Log, named: str | None
) -> None:
    reports.owner(row(), named)
    assert log.messages == []


def test_a_purchase_of_nobodys_is_a_warning_with_its_cure(
    reports: Reports, log: Log, counted: Any
) -> None:
    for _ in range(3):
        reports.owner(row(**NOBODY), None)
    assert log.at(logging.WARNING) == [NOBODYS]
    fields = log.fields(NOBODYS)
    assert (fields["subscription"], fields["customer"]) == ("sub_1", "cus_1")
    assert "flask portal link" in fields["cure"]
    assert counted(UNCLAIMED) == 1
    reports.owner(row(**NOBODY, stripe_subscription_id="sub_2"), None)
    assert counted(UNCLAIMED) == 2


@pytest.mark.parametrize(
    "claimed",
    [
        row(user_id=None),
        row(clerk_owner_id=None),
        row(**NOBODY, status="canceled"),
        row(**NOBODY, status="incomplete_expired"),
    ],
    ids=lambda one: f"{one['status']} {one['clerk_owner_id']} {one['user_id']}",
)
def test_what_is_somebodys_or_over_is_no_purchase_of_nobodys(
    reports: Reports, log: Log, claimed: Json
) -> None:
    reports.owner(claimed, None)
    assert log.messages == []


# Who tells it: every write, on either path

LATER = NOON + 60
STRANGERS = item("price_theirs", "prod_theirs")


def written(fast: bool, stored: Json, now: Json, linked: str | None = None) -> World:
    """A world in which an update was written on the fast or on the slow path, twice."""
    world = World()
    world.database.holds(stored)
    if linked:
        world.database.linked["cus_1"] = linked
    world.stripe.has(now)
    for again in (0, 3600):
        created = LATER + again if fast else NOON
        outcome = world.mirror.apply(snapshot_event(UPDATED, now, created=created))
        assert outcome == "applied" or not fast
    return world


@pytest.mark.parametrize("fast", [True, False])
def test_an_unknown_price_is_stored_and_shouted_about(log: Log, fast: bool) -> None:
    world = written(fast, row(), subscription(STRANGERS))
    assert (world.stored["price_id"], world.stored["plan"]) == ("price_theirs", None)
    assert log.at(logging.ERROR) == [UNKNOWN_PRICE]


@pytest.mark.parametrize("fast", [True, False])
def test_the_end_of_an_unknown_price_is_nothing_to_shout_about(log: Log, fast: bool) -> None:
    written(fast, row(), subscription(STRANGERS, status="canceled"))
    assert log.at(logging.ERROR) == []


@pytest.mark.parametrize("fast", [True, False])
def test_an_unknown_status_is_stored_and_logged(log: Log, fast: bool) -> None:
    world = written(fast, row(), subscription(status="a_status_of_2030"))
    assert world.stored["status"] == "a_status_of_2030"
    assert log.at(logging.ERROR) == [UNKNOWN_STATUS]


@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize(
    ("owner", "linked", "named", "told"),
    [
        ("user_ada", None, "user_eve", True),
        (None, "user_ada", "user_eve", True),
        ("user_ada", "user_ada", "user_ada", False),
        ("user_ada", None, None, False),
        (None, None, "user_eve", False),  # now it is theirs
    ],
)
def test_metadata_that_disagrees_is_told_on_either_path(
    log: Log, fast: bool, owner: str | None, linked: str | None, named: str | None, told: bool
) -> None:
    stored = row(clerk_owner_id=owner, user_id=None)
    written(fast, stored, subscription(metadata={"clerk_user_id": named}), linked)
    assert log.at(logging.WARNING) == [DISAGREES] * told


@pytest.mark.parametrize("fast", [True, False])
def test_a_purchase_of_nobodys_is_told_on_either_path(log: Log, fast: bool) -> None:
    written(fast, row(**NOBODY), subscription())
    assert log.at(logging.WARNING) == [NOBODYS]


def test_a_purchase_of_nobodys_is_told_with_its_first_write(log: Log) -> None:
    world = World()
    world.stripe.has(subscription())
    assert world.mirror.refresh("sub_1") == "refreshed"
    assert world.mirror.refresh("sub_1") == "unchanged"
    assert log.at(logging.WARNING) == [NOBODYS]


@pytest.mark.parametrize(
    ("customer", "owner"),
    [
        ({"id": "cus_1", "metadata": {"clerk_user_id": "user_ada"}}, "user_ada"),
        ({"id": "cus_1", "metadata": {}}, None),
    ],
)
def test_a_customers_own_metadata_names_the_owner(
    log: Log, customer: Json, owner: str | None
) -> None:
    world = World()
    world.stripe.has(subscription(customer=customer))
    world.mirror.refresh("sub_1")
    assert world.owners == [owner]
    assert log.at(logging.WARNING) == ([] if owner else [NOBODYS])
