"""A Stripe subscription as a row, and what its prices and metadata mean here: tables."""

from datetime import UTC, datetime
from typing import Any

import pytest
from given import (
    MONTH_END,
    NOON,
    PLANS,
    checkout_session,
    iso,
    item,
    old_subscription,
    paused,
    row_item,
    subscription,
)

from portal_service.subscription import (
    COLUMNS,
    KNOWN_STATUSES,
    customer_of,
    differences,
    expanded_customer,
    had_trial,
    has_more_items,
    is_ignored,
    is_ours,
    is_running_at_stripe,
    moment,
    plan_name,
    row_of,
    subscription_of,
    utc,
)

AS_OF = datetime.fromtimestamp(NOON, UTC)


def written(stripe_subscription: dict[str, Any]) -> dict[str, Any]:
    return row_of(stripe_subscription, PLANS, AS_OF)


# A subscription as a row


def test_a_subscription_of_today_fills_every_column() -> None:
    assert written(subscription()) == {
        "stripe_customer_id": "cus_1",
        "stripe_subscription_id": "sub_1",
        "status": "active",
        "plan": "pro",
        "price_id": "price_pro",
        "product_id": "prod_pro",
        "quantity": 1,
        "collection_method": "charge_automatically",
        "current_period_end": "2026-11-18T11:06:40+00:00",
        "cancel_at": None,
        "canceled_at": None,
        "trial_end": None,
        "ended_at": None,
        "pause_resumes_at": None,
        "cancel_at_period_end": False,
        "pause_collection": None,
        "paused_reason": None,
        "livemode": False,
        "items": [
            {
                "price_id": "price_pro",
                "product_id": "prod_pro",
                "quantity": 1,
                "current_period_end": "2026-11-18T11:06:40+00:00",
            }
        ],
        "as_of": "2026-10-26T07:33:20+00:00",
    }


def test_the_columns_are_those_that_the_database_is_asked_for() -> None:
    assert tuple(written(subscription())) == COLUMNS
    assert row_of(subscription(), PLANS, None)["as_of"] is None


def test_an_old_payload_gives_the_same_row_as_one_of_today() -> None:
    assert written(old_subscription()) == written(subscription())


ADD_ON = item("price_support", "prod_support", current_period_end=MONTH_END + 9)


@pytest.mark.parametrize(
    ("stripe_subscription", "end"),
    [
        (subscription(), MONTH_END),
        (old_subscription(), MONTH_END),
        (old_subscription(current_period_end=None), None),
        (subscription(item(current_period_end=None), current_period_end=NOON), NOON),
        # An endpoint on an old version, rendered after basil, carries both: the item's counts.
        (subscription(current_period_end=NOON), MONTH_END),
        # Several items of different intervals: that of the plan, wherever it stands.
        (subscription(item(), ADD_ON), MONTH_END),
        (subscription(ADD_ON, item()), MONTH_END),
        (subscription(item("price_basic", None, current_period_end=NOON), item()), MONTH_END),
        (subscription(item(), item("price_team", None, current_period_end=NOON)), NOON),
        # None of ours: the first.
        (subscription(ADD_ON, item("price_x", None)), MONTH_END + 9),
        (subscription(item(current_period_end=None), ADD_ON), None),
        (subscription(items={"data": []}), None),
        (subscription(items={"data": []}, current_period_end=NOON), NOON),
        (subscription(items=None), None),
    ],
)
def test_the_period_is_that_of_the_plans_item_else_that_of_the_subscription(
    stripe_subscription: dict[str, Any], end: int | None
) -> None:
    assert written(stripe_subscription)["current_period_end"] == (end and iso(end))


@pytest.mark.parametrize(
    ("cancel", "at_period_end", "at"),
    [
        pytest.param({}, False, None, id="none"),
        pytest.param({"cancel_at": MONTH_END}, False, iso(MONTH_END), id="flexible"),
        pytest.param(
            {"cancel_at": MONTH_END, "cancel_at_period_end": True}, True, iso(MONTH_END),
            id="classic",
        ),
        pytest.param({"cancel_at_period_end": True}, True, None, id="classic without a date"),
        pytest.param({"cancel_at_period_end": None}, False, None, id="null"),
    ],
)  # fmt: skip
def test_a_scheduled_cancel_is_kept_in_both_forms(
    cancel: dict[str, Any], at_period_end: bool, at: str | None
) -> None:
    kept = written(subscription(**cancel))
    assert (kept["cancel_at_period_end"], kept["cancel_at"]) == (at_period_end, at)


@pytest.mark.parametrize(
    ("field", "column"),
    [
        ("canceled_at", "canceled_at"),
        ("ended_at", "ended_at"),
        ("trial_end", "trial_end"),
        ("cancel_at", "cancel_at"),
    ],
)
def test_times_are_kept_as_iso_with_an_offset(field: str, column: str) -> None:
    assert written(subscription(**{field: NOON}))[column] == "2026-10-26T07:33:20+00:00"


@pytest.mark.parametrize(
    ("customer", "kept"),
    [
        ("cus_1", "cus_1"),
        ({"id": "cus_1", "object": "customer", "email": "ada@example.com"}, "cus_1"),
        ({"id": "cus_1", "object": "customer", "deleted": True}, "cus_1"),
        (None, None),
    ],
)
def test_a_customer_is_an_id_or_expanded_or_null(customer: Any, kept: str | None) -> None:
    assert customer_of({}) is None
    assert customer_of(subscription(customer=customer)) == kept
    assert written(subscription(customer=customer))["stripe_customer_id"] == kept


def test_an_expanded_product_is_its_id() -> None:
    expanded = subscription(item(product={"id": "prod_pro", "object": "product"}))  # type: ignore[arg-type]
    assert written(expanded)["product_id"] == "prod_pro"


def test_the_plan_of_a_very_old_payload_is_its_price() -> None:
    ancient = item(plan={"id": "price_pro", "product": "prod_pro"})
    del ancient["price"]
    kept = written(subscription(ancient))
    assert (kept["price_id"], kept["product_id"], kept["plan"]) == ("price_pro", "prod_pro", "pro")


@pytest.mark.parametrize(
    ("items", "price", "quantity"),
    [
        pytest.param([("price_pro", 2)], "price_pro", 2, id="one"),
        pytest.param([("price_basic", 1), ("price_team", 7)], "price_team", 7, id="highest last"),
        pytest.param([("price_team", 7), ("price_basic", 1)], "price_team", 7, id="highest first"),
        pytest.param([("price_seats", 9), ("price_basic", 1)], "price_basic", 1, id="ours second"),
        pytest.param([("price_x", 3), ("price_y", 4)], "price_x", 3, id="none of ours"),
        pytest.param([("price_pro", 1), ("price_pro_year", 2)], "price_pro", 1, id="same plan"),
        pytest.param([("price_metered", None)], "price_metered", None, id="metered"),
    ],
)
def test_the_item_with_the_highest_plan_speaks_for_a_subscription_else_the_first(
    items: list[tuple[str, int | None]], price: str, quantity: int | None
) -> None:
    several = [item(price, None, quantity=quantity_) for price, quantity_ in items]
    kept = written(subscription(*several))
    assert (kept["price_id"], kept["quantity"]) == (price, quantity)


def test_a_subscription_without_items_has_neither_price_nor_plan() -> None:
    kept = written(subscription(items={"object": "list", "data": []}))
    assert [kept[c] for c in ("price_id", "product_id", "quantity", "plan")] == [None] * 4
    assert kept["items"] == []


def test_every_item_is_kept_in_its_order_with_its_own_period() -> None:
    seats = item("price_seats", {"id": "prod_seats"}, quantity=7)  # type: ignore[arg-type]
    metered = item("price_metered", None, quantity=None)
    assert written(subscription(ADD_ON, seats, item(), metered))["items"] == [
        row_item("price_support", "prod_support", current_period_end=iso(MONTH_END + 9)),
        row_item("price_seats", "prod_seats", quantity=7),
        row_item(),
        row_item("price_metered", None, quantity=None),
    ]
    assert written(old_subscription())["items"] == [row_item()]


@pytest.mark.parametrize(
    ("items", "more"),
    [
        ({"data": [item()], "has_more": False}, False),
        ({"data": [item()], "has_more": True}, True),
        ({"data": [item()]}, False),
        (None, False),
    ],
)
def test_a_subscription_may_have_more_items_than_stripe_showed(items: Any, more: bool) -> None:
    assert has_more_items(subscription(items=items)) is more


@pytest.mark.parametrize("reason", ["pause_requested", "final_payment_failure", "system"])
def test_a_paused_subscription_keeps_its_reason(reason: str) -> None:
    assert written(subscription(**paused(reason)))["paused_reason"] == reason


@pytest.mark.parametrize(
    "details",
    [None, {}, {"paused": None}, {"paused": {"type": "subscription", "subscription": None}}],
)
def test_a_paused_subscription_may_have_no_reason(details: Any) -> None:
    kept = written(subscription(status="paused", status_details=details))
    assert kept["paused_reason"] is None


def test_a_reason_that_outlived_the_pause_is_not_kept() -> None:
    left_over = paused("pause_requested") | {"status": "active"}
    assert written(subscription(**left_over))["paused_reason"] is None


@pytest.mark.parametrize(
    ("pause", "behavior", "resumes_at"),
    [
        (None, None, None),
        ({"behavior": "void", "resumes_at": None}, "void", None),
        ({"behavior": "keep_as_draft", "resumes_at": NOON}, "keep_as_draft", iso(NOON)),
    ],
)
def test_paused_collection_is_kept_beside_the_status(
    pause: Any, behavior: str | None, resumes_at: str | None
) -> None:
    kept = written(subscription(pause_collection=pause))
    assert kept["status"] == "active"
    assert (kept["pause_collection"], kept["pause_resumes_at"]) == (behavior, resumes_at)


@pytest.mark.parametrize(
    ("items", "ours"),
    [
        ([item()], True),
        ([item("price_new", "prod_pro")], True),
        ([item("price_team", "prod_other")], True),
        ([item("price_x", "prod_x"), item("price_basic", None)], True),
        ([item("price_x", "prod_x")], False),
        ([item(None, None)], False),
    ],
)
def test_a_subscription_is_ours_by_any_price_or_product(items: list[Any], ours: bool) -> None:
    assert is_ours(subscription(*items), PLANS) is ours


@pytest.mark.parametrize(
    ("price", "product", "name"),
    [
        ("price_pro", "prod_pro", "pro"),
        ("price_pro_year", None, "pro"),
        ("price_new", "prod_pro", "pro"),
        ("price_team", "prod_pro", "team"),  # a listed price beats its product
        ("price_basic", "prod_pro", "basic"),
        ("price_x", "prod_x", None),
        (None, None, None),
    ],
)
def test_a_plan_is_found_by_price_then_by_product(
    price: str | None, product: str | None, name: str | None
) -> None:
    assert plan_name(price, product, PLANS) == name


# What it means


@pytest.mark.parametrize(
    ("items", "ignored"),
    [
        pytest.param([item("price_x", "prod_support")], True, id="all of it"),
        pytest.param([item("price_x", "prod_support"), item("price_y", "prod_app")], True,
                     id="both of two"),
        pytest.param([item("price_x", "prod_support"), item("price_y", "prod_z")], False,
                     id="one of two"),
        pytest.param([item("price_x", "prod_support"), item()], False, id="beside a plan"),
        pytest.param([item("price_team", "prod_support")], False, id="its price is a plan's"),
        pytest.param([item("price_x", {"id": "prod_support"})], True,  # type: ignore[arg-type]
                     id="an expanded product"),
        pytest.param([item("price_x", None)], False, id="no product"),
        pytest.param([item()], False, id="ours"),
    ],
)  # fmt: skip
def test_a_subscription_is_ignored_when_all_of_its_products_are(
    items: list[Any], ignored: bool
) -> None:
    one = subscription(*items)
    assert is_ignored(one, PLANS, ("prod_support", "prod_app")) is ignored
    assert not is_ignored(one, PLANS, ())


@pytest.mark.parametrize("items", [None, {"data": []}, {}])
def test_a_subscription_without_items_is_neither_ours_nor_ignored(items: Any) -> None:
    assert not is_ours(subscription(items=items), PLANS)
    assert not is_ignored(subscription(items=items), PLANS, ("prod_support",))


@pytest.mark.parametrize(
    ("customer", "expanded"),
    [({"id": "cus_1", "metadata": {}}, {"id": "cus_1", "metadata": {}}), ("cus_1", {}), (None, {})],
)
def test_a_customer_is_there_where_it_is_expanded(customer: Any, expanded: Any) -> None:
    assert expanded_customer(subscription(customer=customer)) == expanded


@pytest.mark.parametrize(
    ("made", "found"), [("sub_1", "sub_1"), ({"id": "sub_1"}, "sub_1"), (None, None)]
)
def test_a_session_names_the_subscription_that_it_made(made: Any, found: str | None) -> None:
    assert subscription_of(checkout_session(subscription=made)) == found


@pytest.mark.parametrize("odd", [7, ["cus_1"], {"id": 7}])
def test_an_id_is_text(odd: Any) -> None:
    with pytest.raises(TypeError):
        customer_of({"customer": odd})
    with pytest.raises(TypeError):
        subscription_of({"subscription": odd})


RUNNING = {
    "active": True,
    "trialing": True,
    "past_due": True,
    "unpaid": True,
    "incomplete": False,
    "incomplete_expired": False,
    "canceled": False,
    "a_status_of_2030": True,
}
RUNNING_WHILE_PAUSED = {
    None: False,
    "trial_end_without_payment_method": False,
    "first_payment_failure": True,
    "final_payment_failure": True,
    "pause_requested": True,
    "system": True,
    "a_reason_of_2030": True,
}


def test_the_table_has_every_status() -> None:
    assert {*RUNNING, "paused"} >= KNOWN_STATUSES


@pytest.mark.parametrize(("status", "running"), RUNNING.items())
def test_a_subscription_at_stripe_runs_by_its_status(status: str, running: bool) -> None:
    assert is_running_at_stripe(subscription(status=status)) is running
    left_over = paused("trial_end_without_payment_method") | {"status": status}
    assert is_running_at_stripe(subscription(**left_over)) is running


@pytest.mark.parametrize(("reason", "running"), RUNNING_WHILE_PAUSED.items())
def test_a_paused_subscription_at_stripe_runs_by_its_reason(
    reason: str | None, running: bool
) -> None:
    assert is_running_at_stripe(subscription(**paused(reason))) is running


@pytest.mark.parametrize(
    ("times", "had_one"),
    [
        ({}, False),
        ({"trial_start": None, "trial_end": None}, False),
        ({"trial_start": NOON}, True),
        ({"trial_end": NOON}, True),
        ({"trial_start": NOON, "trial_end": MONTH_END, "status": "canceled"}, True),
    ],
)
def test_a_subscription_had_a_trial_by_either_date(times: dict[str, Any], had_one: bool) -> None:
    assert had_trial(subscription(**times)) is had_one


# A row beside what Stripe says


@pytest.mark.parametrize(
    ("column", "here", "there"),
    [
        ("status", "active", "canceled"),
        ("quantity", 1, 2),
        ("plan", "pro", "team"),
        ("livemode", None, False),
        ("cancel_at", None, "2026-11-18T11:06:40Z"),
        ("items", None, [row_item()]),
        ("items", [row_item()], [row_item(quantity=2)]),
        ("cancel_at_period_end", False, True),
    ],
)
def test_a_difference_is_told_as_here_and_there(column: str, here: Any, there: Any) -> None:
    said = written(subscription())
    assert differences(said | {column: here}, said | {column: there}) == {column: (here, there)}


@pytest.mark.parametrize(
    ("column", "here", "there"),
    [
        ("cancel_at", "2026-11-18T12:06:40.000+01:00", "2026-11-18T11:06:40+00:00"),
        ("cancel_at", "2026-11-18 11:06:40", "2026-11-18T11:06:40+00:00"),
        ("cancel_at_period_end", None, False),
        ("as_of", iso(NOON), iso(MONTH_END)),
    ],
)
def test_the_same_in_another_form_is_no_difference(column: str, here: Any, there: Any) -> None:
    said = written(subscription())
    assert differences(said | {column: here}, said | {column: there}) == {}


@pytest.mark.parametrize("column", COLUMNS)
def test_every_column_is_compared_but_the_name_and_the_moment(column: str) -> None:
    said = written(subscription())
    other = {"cancel_at_period_end": True}.get(column, "2030-01-01T00:00:00Z")
    found = differences(said, said | {column: other})
    assert list(found) == ([] if column in ("stripe_subscription_id", "as_of") else [column])


@pytest.mark.parametrize(
    ("stored", "shown_as"),
    [
        ("2026-11-18T11:06:40+00:00", "2026-11-18T11:06:40Z"),
        ("2026-11-18T11:06:40Z", "2026-11-18T11:06:40Z"),
        ("2026-11-18T13:06:40+02:00", "2026-11-18T11:06:40Z"),
        ("2026-11-18T00:36:40-10:30", "2026-11-18T11:06:40Z"),
        ("2026-11-18 11:06:40+00:00", "2026-11-18T11:06:40Z"),
        ("2026-11-18T11:06:40.5+00:00", "2026-11-18T11:06:40Z"),
        ("2026-11-18T11:06:40.123456+00:00", "2026-11-18T11:06:40Z"),
        ("2026-11-18T11:06:40", "2026-11-18T11:06:40Z"),
        ("2026-11-18 11:06:40.5", "2026-11-18T11:06:40Z"),
    ],
)
@pytest.mark.usefixtures("in_tokyo")
def test_a_time_is_read_in_any_zone_and_without_one(stored: str, shown_as: str) -> None:
    assert utc(stored) == shown_as
    assert moment(stored).tzinfo is UTC
    assert utc(None) is None
