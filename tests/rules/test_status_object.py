"""What a frontend shows of an account: the status object. Tables all through."""

from typing import Any

import pytest
from given import ENTITLED, MONTH_END, NOON, PLANS, account, iso, row, row_item, row_of_the_original

from portal_service.entitlement import (
    customers_of,
    is_ignored_row,
    present_customers_of,
    row_items,
    status_object,
)

Json = dict[str, Any]
CANCELED = row(status="canceled", stripe_subscription_id="sub_0")


def shown(*rows: Json, may_spend: bool = True, offers_trial: bool = False, **about: Any) -> Json:
    return status_object(
        account(*rows, **about),
        PLANS,
        ENTITLED,
        livemode=False,
        may_spend=may_spend,
        offers_trial=offers_trial,
    )


def test_a_stranger_is_on_the_free_plan() -> None:
    assert shown(user_id=None) == {
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


def test_a_subscriber_sees_their_best_row() -> None:
    about = {"cancel_at": iso(MONTH_END), "trial_end": iso(NOON), "pause_collection": "void"}
    assert shown(row(quantity=3, **about), row(status="canceled", price_id="price_team")) == {
        "subscribed": True,
        "plan": "pro",
        "status": "active",
        "price_id": "price_pro",
        "quantity": 3,
        "items": [
            {"price_id": "price_pro", "product_id": "prod_pro", "quantity": 3, "plan": "pro"}
        ],
        "current_period_end": "2026-11-18T11:06:40Z",
        "cancel_at": "2026-11-18T11:06:40Z",
        "cancel_at_period_end": False,
        "ended_at": None,
        "trial_end": "2026-10-26T07:33:20Z",
        "trial_available": False,
        "paused_reason": None,
        "pause_collection": "void",
        "can_manage_billing": True,
        "can_checkout": False,
        "needs_payment": False,
        "livemode": False,
    }


@pytest.mark.parametrize("field", ["current_period_end", "cancel_at", "ended_at", "trial_end"])
@pytest.mark.parametrize(
    ("stored", "shown_as"),
    [
        ("2026-11-18T00:36:40.5-10:30", "2026-11-18T11:06:40Z"),
        ("2026-11-18T11:06:40", "2026-11-18T11:06:40Z"),
        (None, None),
    ],
)
def test_times_are_shown_in_utc_with_a_z(
    field: str, stored: str | None, shown_as: str | None
) -> None:
    assert shown(row(**{field: stored}))[field] == shown_as


@pytest.mark.parametrize("livemode", [True, False])
def test_the_mode_shown_is_that_of_the_key(livemode: bool) -> None:
    status = status_object(account(), PLANS, ENTITLED, livemode=livemode)
    assert status["livemode"] is livemode


@pytest.mark.parametrize(
    ("rows", "linked", "customers"),
    [
        ([], None, []),
        ([], "cus_9", ["cus_9"]),
        ([row()], None, ["cus_1"]),
        ([row()], "cus_9", ["cus_9", "cus_1"]),
        ([row(), row(stripe_customer_id="cus_2")], "cus_2", ["cus_2", "cus_1"]),
        ([row(stripe_customer_id=None)], None, []),
        ([row(status="canceled")], None, ["cus_1"]),
    ],
)
def test_whoever_has_a_customer_can_manage_billing(
    rows: list[Any], linked: str | None, customers: list[str]
) -> None:
    assert customers_of(account(*rows, linked_customer=linked)) == customers
    assert shown(*rows, linked_customer=linked)["can_manage_billing"] is bool(customers)


@pytest.mark.parametrize(
    ("gone", "present"),
    [
        ([], ["cus_9", "cus_1", "cus_support"]),
        (["cus_9"], ["cus_1", "cus_support"]),
        (["cus_9", "cus_1"], ["cus_support"]),
        (["cus_9", "cus_1", "cus_support"], []),
        (["cus_other"], ["cus_9", "cus_1", "cus_support"]),
    ],
)
def test_a_customer_whom_stripe_no_longer_has_can_manage_nothing(
    gone: list[str], present: list[str]
) -> None:
    about: Json = {
        "linked_customer": "cus_9",
        "ignored_rows": (row(stripe_customer_id="cus_support"),),
        "gone": gone,
    }
    held = account(row(), **about)
    assert customers_of(held) == ["cus_9", "cus_1", "cus_support"]
    assert present_customers_of(held) == present
    assert shown(row(), **about)["can_manage_billing"] is bool(present)


def test_whoever_may_not_spend_can_neither_manage_nor_buy() -> None:
    subscriber, stranger = shown(row(), may_spend=False), shown(may_spend=False)
    assert (subscriber["can_manage_billing"], subscriber["can_checkout"]) == (False, False)
    assert (stranger["can_manage_billing"], stranger["can_checkout"]) == (False, False)
    assert subscriber["subscribed"] is True


@pytest.mark.parametrize(
    ("rows", "can_checkout"),
    [
        ([], True),
        ([CANCELED], True),
        ([row(status="incomplete")], True),
        ([row(status="past_due")], False),
        ([CANCELED, row(status="unpaid")], False),
    ],
)
def test_a_checkout_is_offered_where_nothing_runs(rows: list[Json], can_checkout: bool) -> None:
    assert shown(*rows)["can_checkout"] is can_checkout


@pytest.mark.parametrize(
    ("rows", "available"),
    [
        pytest.param([], True, id="a stranger"),
        pytest.param([row(status="canceled")], True, id="whoever paid from the first day"),
        pytest.param([row(status="canceled", trial_end=iso(NOON))], False, id="had one"),
        pytest.param([row(status="canceled", trial_end=iso(NOON), price_id="price_x")], False,
                     id="had one of another plan"),
        pytest.param([CANCELED, row(status="incomplete_expired", trial_end=iso(NOON))], False,
                     id="had one behind the best row"),
        pytest.param([row()], False, id="something runs"),
        pytest.param([row(status="past_due")], False, id="something runs unpaid"),
    ],
)  # fmt: skip
def test_a_trial_is_offered_once_and_where_nothing_runs(rows: list[Json], available: bool) -> None:
    assert shown(*rows, offers_trial=True)["trial_available"] is available
    assert shown(*rows, offers_trial=False)["trial_available"] is False


def test_an_ignored_row_neither_speaks_nor_blocks_nor_takes_the_trial() -> None:
    support = row(trial_end=iso(NOON), stripe_customer_id="cus_support")
    status = shown(ignored_rows=(support,), offers_trial=True)
    assert (status["subscribed"], status["plan"], status["items"]) == (False, "free", [])
    assert (status["can_checkout"], status["trial_available"]) == (True, True)
    assert status["can_manage_billing"] is True


# Items


def test_each_item_is_shown_with_its_plan_as_the_settings_have_it() -> None:
    seats = row_item("price_seats", "prod_seats", quantity=7)
    metered = row_item("price_metered", None, quantity=None)
    both = row(items=[seats, row_item("price_team", None), metered], price_id="price_team")
    assert shown(both)["items"] == [
        {"price_id": "price_seats", "product_id": "prod_seats", "quantity": 7, "plan": None},
        {"price_id": "price_team", "product_id": None, "quantity": 1, "plan": "team"},
        {"price_id": "price_metered", "product_id": None, "quantity": None, "plan": None},
    ]


@pytest.mark.parametrize("items", [None, []])
def test_a_row_from_before_the_items_has_its_one_price(items: Any) -> None:
    old = row(items=items, quantity=2)
    assert row_items(old) == [{"price_id": "price_pro", "product_id": "prod_pro", "quantity": 2}]
    assert shown(old)["items"][0]["plan"] == "pro"
    assert row_items(row_of_the_original()) == []


IGNORED = ("prod_support", "prod_app")


@pytest.mark.parametrize(
    ("one", "ignored"),
    [
        pytest.param(row(items=[row_item("price_x", "prod_support")]), True, id="all of it"),
        pytest.param(row(items=[row_item("price_x", "prod_support"), row_item("y", "prod_app")]),
                     True, id="both of two"),
        pytest.param(row(items=[row_item("price_x", "prod_support"), row_item("y", "prod_z")]),
                     False, id="one of two"),
        pytest.param(row(items=[row_item("price_x", "prod_support"), row_item()]), False,
                     id="beside a plan"),
        pytest.param(row(items=[row_item("price_team", "prod_support")]), False,
                     id="its price is a plan's"),
        pytest.param(row(items=None, price_id="price_x", product_id="prod_support"), True,
                     id="before the items"),
        pytest.param(row(items=None, price_id="price_pro", product_id="prod_support"), False,
                     id="before the items, its price is a plan's"),
        pytest.param(row(items=[row_item("price_x", None)]), False, id="no product"),
        pytest.param(row(), False, id="ours"),
        pytest.param(row_of_the_original(), False, id="the original's"),
        pytest.param(row_of_the_original(stripe_subscription_id=None), False, id="a customer"),
    ],
)  # fmt: skip
def test_a_row_is_ignored_when_all_of_its_products_are(one: Json, ignored: bool) -> None:
    assert is_ignored_row(one, PLANS, IGNORED) is ignored
    assert not is_ignored_row(one, PLANS, ())
