"""The domain: Stripe's objects as rows, rows as what a user is entitled to. Tables all through."""

import random
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given as for_all
from hypothesis import strategies as st

from portal_service.config import Plan
from portal_service.subscription import (
    COLUMNS,
    best_row,
    clerk_user_of,
    customer_of,
    customers_of,
    has_unknown_price,
    is_live,
    is_ours,
    is_subscribed,
    live_row,
    needs_payment,
    plan_name,
    row_of,
    status_object,
)

from .given import (
    ENTITLED,
    MONTH_END,
    NOON,
    PLANS,
    account,
    iso,
    item,
    old_subscription,
    paused,
    row,
    row_of_the_original,
    subscription,
)

AS_OF = datetime.fromtimestamp(NOON, UTC)
PAUSE_REASONS = (
    "pause_requested", "trial_end_without_payment_method", "first_payment_failure",
    "final_payment_failure", "system",
)  # fmt: skip


def written(stripe_subscription: dict[str, Any]) -> dict[str, Any]:
    return row_of(stripe_subscription, PLANS, AS_OF)


def shown(*rows: dict[str, Any], **about: Any) -> dict[str, Any]:
    return status_object(account(*rows, **about), PLANS, ENTITLED, False)


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
        "as_of": "2026-10-26T07:33:20+00:00",
    }


def test_the_columns_are_those_that_the_database_is_asked_for() -> None:
    assert tuple(written(subscription())) == COLUMNS


def test_an_old_payload_gives_the_same_row_as_one_of_today() -> None:
    assert written(old_subscription()) == written(subscription())


@pytest.mark.parametrize(
    ("stripe_subscription", "end"),
    [
        (subscription(), MONTH_END),
        (old_subscription(), MONTH_END),
        (old_subscription(current_period_end=None), None),
        (subscription(item(current_period_end=None), current_period_end=NOON), NOON),
        # An endpoint on an old version, rendered after basil, carries both: the item's counts.
        (subscription(current_period_end=NOON), MONTH_END),
        # Several items of different intervals: the latest.
        (subscription(item(), item(current_period_end=MONTH_END + 9)), MONTH_END + 9),
        (subscription(item(current_period_end=MONTH_END + 9), item()), MONTH_END + 9),
        (subscription(item(current_period_end=None), item()), MONTH_END),
        (subscription(items={"data": []}), None),
        (subscription(items=None), None),
    ],
)
def test_the_period_ends_with_the_latest_item_else_with_the_subscription(
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
    assert customer_of(subscription(customer=customer)) == kept
    assert written(subscription(customer=customer))["stripe_customer_id"] == kept


def test_an_object_without_a_customer_field_has_none() -> None:
    assert customer_of({"id": "cs_1"}) is None


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


@pytest.mark.parametrize("reason", PAUSE_REASONS)
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


def test_a_state_without_a_moment_has_no_as_of() -> None:
    assert row_of(subscription(), PLANS, None)["as_of"] is None


@pytest.mark.parametrize(
    ("metadata", "named"),
    [
        ({"clerk_user_id": "user_ada"}, "user_ada"),
        ({"clerk_user_id": ""}, None),
        ({"user_id": "7"}, None),
        ({}, None),
        (None, None),
    ],
)
def test_only_the_metadata_names_a_clerk_user(metadata: Any, named: str | None) -> None:
    assert clerk_user_of({"metadata": metadata, "client_reference_id": "user_eve"}) == named


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


def test_a_subscription_without_items_is_not_ours() -> None:
    assert not is_ours(subscription(items=None), PLANS)


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


# What a row entitles to

# status: (subscribed, needs payment, live, plan shown)
BY_STATUS = {
    "active": (True, False, True, "pro"),
    "trialing": (True, False, True, "pro"),
    "past_due": (False, True, True, "pro"),
    "unpaid": (False, True, True, "pro"),
    "incomplete": (False, True, False, "pro"),
    "incomplete_expired": (False, False, False, "free"),
    "canceled": (False, False, False, "free"),
    "a_status_of_2030": (False, False, True, "pro"),
}
# reason of `paused`: the same
BY_PAUSED_REASON = {
    None: (False, True, False, "pro"),
    "trial_end_without_payment_method": (False, True, False, "pro"),
    "first_payment_failure": (False, True, True, "pro"),
    "final_payment_failure": (False, True, True, "pro"),
    "pause_requested": (False, False, True, "pro"),
    "system": (False, False, True, "pro"),
    "a_reason_of_2030": (False, False, True, "pro"),
}
STATES = [
    *(pytest.param({"status": status}, *rest, id=status) for status, rest in BY_STATUS.items()),
    *(
        pytest.param({"status": "paused", "paused_reason": reason}, *rest, id=f"paused: {reason}")
        for reason, rest in BY_PAUSED_REASON.items()
    ),
]
CHANGES_NOTHING = {
    "plain": {},
    "scheduled cancel, flexible": {"cancel_at": iso(MONTH_END)},
    "scheduled cancel, classic": {"cancel_at": iso(MONTH_END), "cancel_at_period_end": True},
    "collection paused": {"pause_collection": "void", "pause_resumes_at": iso(MONTH_END)},
    "period over": {"current_period_end": "2001-01-01T00:00:00+00:00"},
}


@pytest.mark.parametrize("beside", CHANGES_NOTHING.values(), ids=CHANGES_NOTHING)
@pytest.mark.parametrize(("state", "subscribed", "payment", "live", "plan"), STATES)
def test_the_status_alone_entitles(
    state: dict[str, Any],
    beside: dict[str, Any],
    subscribed: bool,
    payment: bool,
    live: bool,
    plan: str,
) -> None:
    one = row(**state, **beside)
    status = shown(one)
    assert status["subscribed"] is subscribed
    assert status["needs_payment"] is payment
    assert status["plan"] == plan
    assert status["status"] == state["status"]
    assert is_live(one) is live
    assert live_row(account(one), PLANS, ENTITLED) == (one if live else None)


@pytest.mark.parametrize("status", BY_STATUS)
def test_a_reason_counts_only_while_paused(status: str) -> None:
    left_over = row(status=status, paused_reason="pause_requested")
    assert is_live(left_over) is is_live(row(status=status))
    assert needs_payment(left_over) is needs_payment(row(status=status))


def test_an_operator_may_let_people_in_while_stripe_retries_the_card() -> None:
    entitled = (*ENTITLED, "past_due")
    assert is_subscribed(row(status="past_due"), PLANS, entitled)
    assert status_object(account(row(status="past_due")), PLANS, entitled, False)["needs_payment"]
    assert not is_subscribed(row(status="unpaid"), PLANS, entitled)


@pytest.mark.parametrize("status", BY_STATUS)
def test_an_unknown_price_is_never_subscribed(status: str) -> None:
    unknown = row(status=status, price_id="price_x", product_id="prod_x", plan=None)
    ended = status in ("canceled", "incomplete_expired")
    assert shown(unknown)["subscribed"] is False
    assert shown(unknown)["plan"] == ("free" if ended else None)
    assert has_unknown_price(unknown, PLANS) is not ended


def test_a_corrected_list_of_plans_counts_at_once() -> None:
    mistaken = row(plan=None, price_id="price_x", product_id=None)
    corrected = (*PLANS, Plan("max", ("price_x",)))
    status = status_object(account(mistaken), corrected, ENTITLED, False)
    assert (status["subscribed"], status["plan"]) == (True, "max")
    assert not has_unknown_price(mistaken, corrected)


def test_the_column_plan_means_nothing_beside_a_price() -> None:
    assert shown(row(plan="team"))["plan"] == "pro"
    assert shown(row(plan="pro", price_id="price_x", product_id=None))["plan"] is None


def test_an_unknown_price_is_shouted_about_whatever_the_column_plan_says() -> None:
    assert has_unknown_price(row(plan="free", price_id="price_x", product_id=None), PLANS)


# Rows of the original


@pytest.mark.parametrize(
    ("status", "plan", "subscribed", "shown_plan", "unknown"),
    [
        ("active", "pro", True, "pro", False),
        ("trialing", "pro", True, "pro", False),
        ("canceled", "pro", False, "free", False),  # the original left the plan as it was
        ("past_due", "pro", False, "pro", False),
        ("active", "free", False, "free", False),
        ("active", "enterprise", False, None, True),
        ("active", None, False, None, True),
    ],
)
def test_the_column_plan_of_an_original_row_counts_until_a_refresh(
    status: str, plan: str | None, subscribed: bool, shown_plan: str | None, unknown: bool
) -> None:
    original = row_of_the_original(status=status, plan=plan)
    assert shown(original)["subscribed"] is subscribed
    assert shown(original)["plan"] == shown_plan
    assert has_unknown_price(original, PLANS) is unknown


def test_nulls_of_an_original_row_are_shown_as_the_contract_has_them() -> None:
    status = shown(row_of_the_original())
    assert status["cancel_at_period_end"] is False
    assert (status["price_id"], status["quantity"]) == (None, None)


def test_a_row_without_a_subscription_counts_for_the_portal_alone() -> None:
    only_a_customer = row_of_the_original(stripe_subscription_id=None, status=None, plan="free")
    status = shown(only_a_customer)
    assert (status["subscribed"], status["plan"]) == (False, "free")
    assert status["can_manage_billing"] is True
    assert not is_live(only_a_customer)


@pytest.mark.parametrize("status", ["active", "trialing", "past_due"])
def test_a_plan_given_by_hand_counts_and_does_not_keep_anybody_from_buying(status: str) -> None:
    by_hand = row_of_the_original(stripe_subscription_id=None, status=status, plan="pro")
    shows = shown(by_hand)
    assert shows["subscribed"] is (shows["plan"] == "pro" and status in ENTITLED)
    assert not is_live(by_hand)


# Which row speaks for a user

BETTER_AND_WORSE = [
    pytest.param(
        {"status": "active", "price_id": "price_basic", "current_period_end": None},
        {"status": "past_due", "price_id": "price_team"},
        id="subscribed beats a larger plan that is not paid",
    ),
    pytest.param(
        {"status": "past_due", "price_id": "price_basic", "current_period_end": None},
        {"status": "canceled", "price_id": "price_team"},
        id="live beats ended",
    ),
    pytest.param(
        {"status": "past_due", "price_id": "price_basic", "current_period_end": None},
        {"status": "incomplete", "price_id": "price_team"},
        id="live beats incomplete",
    ),
    pytest.param(
        {"price_id": "price_team", "current_period_end": None},
        {"price_id": "price_pro"},
        id="the plan named last",
    ),
    pytest.param(
        {"status": "canceled", "price_id": "price_team", "current_period_end": None},
        {"status": "canceled", "price_id": "price_pro"},
        id="the plan named last, among ended ones",
    ),
    pytest.param(
        {"status": "canceled", "price_id": "price_basic", "current_period_end": None},
        {"status": "canceled", "price_id": "price_x"},
        id="a known price beats an unknown one",
    ),
    pytest.param(
        {"current_period_end": iso(MONTH_END + 1)},
        {"current_period_end": iso(MONTH_END)},
        id="the latest period end",
    ),
    pytest.param(
        {"current_period_end": "2026-11-18T09:06:41-02:00"},
        {"current_period_end": "2026-11-18T11:06:40+00:00"},
        id="the latest period end, in another zone",
    ),
    pytest.param(
        {"current_period_end": "2001-01-01T00:00:00+00:00"},
        {"current_period_end": None},
        id="no period end is last",
    ),
]


@pytest.mark.parametrize(("better", "worse"), BETTER_AND_WORSE)
def test_each_criterion_decides_where_those_before_tie(
    better: dict[str, Any], worse: dict[str, Any]
) -> None:
    # The worse one has the greater id, which would decide if nothing else did.
    good = row(product_id=None, stripe_subscription_id="sub_a", **better)
    bad = row(product_id=None, stripe_subscription_id="sub_b", **worse)
    assert best_row(account(good, bad), PLANS, ENTITLED) == good
    assert best_row(account(bad, good), PLANS, ENTITLED) == good


def test_the_greatest_id_decides_at_last() -> None:
    first, last = row(stripe_subscription_id="sub_a"), row(stripe_subscription_id="sub_b")
    assert best_row(account(last, first), PLANS, ENTITLED) == last
    assert best_row(account(first, last), PLANS, ENTITLED) == last


def test_without_rows_there_is_no_best_one() -> None:
    assert best_row(account(), PLANS, ENTITLED) is None
    assert live_row(account(), PLANS, ENTITLED) is None


def test_a_live_row_is_found_behind_a_better_one_that_is_not_live() -> None:
    entitled = (*ENTITLED, "incomplete")  # an operator's odd choice: subscribed, and not live
    not_live = row(stripe_subscription_id="sub_a", status="incomplete")
    live = row(stripe_subscription_id="sub_b", status="past_due")
    both = account(not_live, live)
    assert best_row(both, PLANS, entitled) == not_live
    assert live_row(both, PLANS, entitled) == live


rows_of_any_kind = st.builds(
    row,
    stripe_subscription_id=st.sampled_from(["sub_a", "sub_b", "sub_c", "sub_d", None]),
    status=st.sampled_from([*BY_STATUS, "paused", None]),
    paused_reason=st.sampled_from([*BY_PAUSED_REASON]),
    plan=st.sampled_from(["pro", "free", None]),
    price_id=st.sampled_from(["price_basic", "price_pro", "price_team", "price_x", None]),
    product_id=st.sampled_from(["prod_pro", "prod_x", None]),
    current_period_end=st.sampled_from(
        [None, iso(MONTH_END), iso(NOON), "2026-11-18T12:06:40.5+02:00"]
    ),
    cancel_at=st.sampled_from([None, iso(MONTH_END)]),
    livemode=st.sampled_from([None, False]),
)
different_rows = st.lists(
    rows_of_any_kind, max_size=4, unique_by=lambda row: row["stripe_subscription_id"]
)


@for_all(different_rows, st.randoms())
def test_the_order_of_the_rows_never_matters(
    rows: list[dict[str, Any]], chance: random.Random
) -> None:
    shuffled = chance.sample(rows, len(rows))
    assert shown(*shuffled) == shown(*rows)
    assert best_row(account(*shuffled), PLANS, ENTITLED) == best_row(
        account(*rows), PLANS, ENTITLED
    )
    assert live_row(account(*shuffled), PLANS, ENTITLED) == live_row(
        account(*rows), PLANS, ENTITLED
    )


@for_all(different_rows)
def test_what_is_shown_fits_together(rows: list[dict[str, Any]]) -> None:
    status = shown(*rows)
    if status["subscribed"]:
        assert status["plan"] in {"basic", "pro", "team"}
        assert status["needs_payment"] is False
    if any(row["stripe_subscription_id"] and is_subscribed(row, PLANS, ENTITLED) for row in rows):
        assert status["subscribed"]
    live = live_row(account(*rows), PLANS, ENTITLED)
    assert (live is not None) is any(is_live(row) for row in rows)


# The status object


def test_a_stranger_is_on_the_free_plan() -> None:
    assert shown(user_id=None) == {
        "subscribed": False,
        "plan": "free",
        "status": None,
        "price_id": None,
        "quantity": None,
        "current_period_end": None,
        "cancel_at": None,
        "cancel_at_period_end": False,
        "ended_at": None,
        "trial_end": None,
        "paused_reason": None,
        "can_manage_billing": False,
        "needs_payment": False,
        "livemode": False,
    }


def test_a_subscriber_sees_their_best_row() -> None:
    times = {"cancel_at": iso(MONTH_END), "trial_end": iso(NOON), "ended_at": None}
    assert shown(row(quantity=3, **times), row(status="canceled", price_id="price_team")) == {
        "subscribed": True,
        "plan": "pro",
        "status": "active",
        "price_id": "price_pro",
        "quantity": 3,
        "current_period_end": "2026-11-18T11:06:40Z",
        "cancel_at": "2026-11-18T11:06:40Z",
        "cancel_at_period_end": False,
        "ended_at": None,
        "trial_end": "2026-10-26T07:33:20Z",
        "paused_reason": None,
        "can_manage_billing": True,
        "needs_payment": False,
        "livemode": False,
    }


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
        (None, None),
    ],
)
@pytest.mark.parametrize("field", ["current_period_end", "cancel_at", "ended_at", "trial_end"])
def test_times_are_shown_in_utc_with_a_z(
    field: str, stored: str | None, shown_as: str | None
) -> None:
    assert shown(row(**{field: stored}))[field] == shown_as


@pytest.mark.parametrize("livemode", [True, False])
def test_the_mode_shown_is_that_of_the_key(livemode: bool) -> None:
    assert status_object(account(), PLANS, ENTITLED, livemode)["livemode"] is livemode


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
