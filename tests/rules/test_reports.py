"""What an operator is told about rows: who may pay and get nothing. Once per row and process."""

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from alone import Log
from given import account, row, row_item, row_of_the_original, settings

from portal_service.metrics import TWO_RUNNING, UNCLAIMED, UNKNOWN_PRICES
from portal_service.reports import Reports

Json = dict[str, Any]
UNKNOWN_PRICE = "a subscription has a price that STRIPE_PLANS does not list"
UNKNOWN_STATUS = "a subscription has an unknown status"
DISAGREES = "the metadata names another owner than the one that the customer is linked to"
NOBODYS = "a subscription belongs to nobody: whoever pays for it is on the free plan"
PAYS_TWICE = "an owner has two running subscriptions, and pays for both"
COUNTERS = (UNKNOWN_PRICES, UNCLAIMED, TWO_RUNNING)
STRANGE: Json = {"price_id": "price_x", "product_id": "prod_x", "plan": None}
NOBODY: Json = {"clerk_owner_id": None, "user_id": None}


@pytest.fixture
def reports() -> Reports:
    return Reports(settings(ignored_products=("prod_support",)))


@pytest.fixture
def counted() -> Iterator[Any]:
    """How often a counter has moved since."""
    before = {counter: counter._value.get() for counter in COUNTERS}
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


# Rows of the kind of owner that does not pay here


def test_rows_of_the_other_kind_are_told_once_per_number(reports: Reports, log: Log) -> None:
    for count in (0, 2, 2, 1, 0, 2):
        reports.other_kind(count)
    told = [record.fields["count"] for record in log.records]  # type: ignore[attr-defined]
    assert told == [2, 1]
    assert log.at(logging.WARNING) == log.messages


# An account

SECOND = row(stripe_subscription_id="sub_2", stripe_customer_id="cus_2", status="past_due")


def test_whoever_pays_twice_is_told_once_with_both(
    reports: Reports, log: Log, counted: Any
) -> None:
    for rows in ((row(), SECOND), (SECOND, row())):
        reports.account(account(*rows))
    fields = log.fields(PAYS_TWICE)
    assert log.at(logging.ERROR) == [PAYS_TWICE]
    assert sorted(fields["subscriptions"]) == ["sub_1", "sub_2"]
    assert fields["owner"] == "user_ada"
    assert counted(TWO_RUNNING) == 1


@pytest.mark.parametrize(
    "other",
    [
        row(stripe_subscription_id="sub_2", status="canceled"),
        row(stripe_subscription_id="sub_2", status="incomplete_expired"),
        row(stripe_subscription_id=None, stripe_customer_id=None),
    ],
)
def test_one_that_runs_and_one_that_does_not_is_quiet(
    reports: Reports, log: Log, other: Json
) -> None:
    reports.account(account(row(), other))
    reports.account(account(row()))
    reports.account(account())
    assert log.messages == []


def test_the_row_that_counts_is_looked_at(reports: Reports, log: Log) -> None:
    reports.account(account(row(**STRANGE)))
    assert log.messages == [UNKNOWN_PRICE]
