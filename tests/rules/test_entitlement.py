"""Rows -> who is entitled to what, and which row speaks. Tables all through."""

import random
from collections.abc import Iterable
from typing import Any

import pytest
from given import ENTITLED, MONTH_END, NOON, PLANS, account, iso, row, row_of_the_original
from hypothesis import given as for_all
from hypothesis import strategies as st

from portal_service.config import Plan
from portal_service.entitlement import (
    by_merit,
    has_unknown_price,
    is_running,
    is_subscribed,
    needs_payment,
    row_items,
    running_rows,
    status_object,
)

Json = dict[str, Any]


def shown(*rows: Json, **about: Any) -> Json:
    return status_object(account(*rows, **about), PLANS, ENTITLED, livemode=False)


def best(*rows: Json) -> Json | None:
    return account(*rows).best_row


def running_row(rows: Iterable[Json]) -> Json | None:
    """The best of those that are running."""
    return next(iter(running_rows(account(*rows), PLANS, ENTITLED)), None)


def running(one: Json) -> bool:
    return is_running(one, PLANS, ENTITLED)


# What a row entitles to

# status: (subscribed, needs payment, running, plan shown)
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
CHANGES_NOTHING: list[dict[str, Any]] = [
    {},
    {"cancel_at": iso(MONTH_END)},
    {"cancel_at": iso(MONTH_END), "cancel_at_period_end": True},
    {"pause_collection": "void", "pause_resumes_at": iso(MONTH_END)},
    {"current_period_end": "2001-01-01T00:00:00+00:00"},
]


@pytest.mark.parametrize(("state", "subscribed", "payment", "runs", "plan"), STATES)
def test_the_status_alone_entitles(
    state: dict[str, Any], subscribed: bool, payment: bool, runs: bool, plan: str
) -> None:
    for beside in CHANGES_NOTHING:
        one = row(**state, **beside)
        status = shown(one)
        assert status["subscribed"] is subscribed, beside
        assert status["needs_payment"] is payment, beside
        assert status["plan"] == plan, beside
        assert status["status"] == state["status"]
        assert status["can_checkout"] is not runs, beside
        assert running(one) is runs, beside
        assert running_row([one]) == (one if runs else None), beside


@pytest.mark.parametrize("status", BY_STATUS)
def test_a_reason_counts_only_while_paused(status: str) -> None:
    left_over = row(status=status, paused_reason="pause_requested")
    assert running(left_over) is running(row(status=status))
    assert needs_payment(left_over) is needs_payment(row(status=status))


def test_an_operator_may_let_people_in_while_stripe_retries_the_card() -> None:
    entitled = (*ENTITLED, "past_due")
    assert is_subscribed(row(status="past_due"), PLANS, entitled)
    assert needs_payment(row(status="past_due"))
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
    status = status_object(account(mistaken), corrected, ENTITLED, livemode=False)
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
    assert not running(only_a_customer)


@pytest.mark.parametrize(
    ("status", "plan", "runs"),
    [
        ("active", "pro", True),
        ("trialing", "pro", True),
        ("past_due", "pro", False),
        ("canceled", "pro", False),
        (None, "pro", False),
        ("active", "free", False),
        ("active", "enterprise", False),
        ("active", None, False),
    ],
)
def test_a_row_without_a_subscription_runs_where_it_says_subscribed(
    status: str | None, plan: str | None, runs: bool
) -> None:
    by_hand = row_of_the_original(stripe_subscription_id=None, status=status, plan=plan)
    status_ = shown(by_hand)
    assert running(by_hand) is runs
    assert status_["subscribed"] is runs
    assert status_["can_checkout"] is not runs
    assert status_["plan"] == ("pro" if runs else "free")
    assert not has_unknown_price(by_hand, PLANS)


def test_a_row_without_a_subscription_runs_by_its_price_as_well() -> None:
    by_hand = row(stripe_subscription_id=None)
    assert running(by_hand)
    assert not running(row(stripe_subscription_id=None, price_id="price_x", product_id=None))


@pytest.mark.parametrize(
    "empty", [{"price_id": ""}, {"product_id": ""}, {"price_id": "", "product_id": ""}], ids=str
)
@pytest.mark.parametrize(("plan", "subscribed"), [("pro", True), ("free", False)])
def test_the_empty_text_is_no_price(empty: Json, plan: str, subscribed: bool) -> None:
    original = row_of_the_original(plan=plan, **empty)
    status = shown(original)
    assert (status["subscribed"], status["plan"]) == (subscribed, plan)
    assert status["price_id"] is None
    assert status["items"] == []
    assert not has_unknown_price(original, PLANS)


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
        id="running beats ended",
    ),
    pytest.param(
        {"status": "past_due", "price_id": "price_basic", "current_period_end": None},
        {"status": "incomplete", "price_id": "price_team"},
        id="running beats incomplete",
    ),
    pytest.param(
        {"status": "incomplete", "price_id": "price_basic", "current_period_end": None},
        {"status": "canceled", "price_id": "price_team"},
        id="one that needs a payment beats a larger plan that ended",
    ),
    pytest.param(
        {"status": "paused", "price_id": "price_basic", "current_period_end": None},
        {"status": "incomplete_expired", "price_id": "price_team"},
        id="a trial that ended without a card beats what never began",
    ),
    pytest.param(
        {"status": "past_due", "price_id": "price_basic", "current_period_end": None},
        {"status": "paused", "paused_reason": "pause_requested", "price_id": "price_team"},
        id="one that needs a payment beats a larger plan that is paused, both running",
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
    pytest.param(
        {"current_period_end": "2026-11-18T11:06:41"},
        {"current_period_end": "2026-11-18T11:06:40+00:00"},
        id="the latest period end, in a column without a zone",
    ),
]


@pytest.mark.parametrize(("better", "worse"), BETTER_AND_WORSE)
def test_each_criterion_decides_where_those_before_tie(
    better: dict[str, Any], worse: dict[str, Any]
) -> None:
    # The worse one has the greater id, which would decide if nothing else did.
    good = row(product_id=None, stripe_subscription_id="sub_a", **better)
    bad = row(product_id=None, stripe_subscription_id="sub_b", **worse)
    assert best(good, bad) == good
    assert best(bad, good) == good


def test_the_greatest_id_decides_at_last() -> None:
    first, last = row(stripe_subscription_id="sub_a"), row(stripe_subscription_id="sub_b")
    assert best(last, first) == last
    assert best(first, last) == last


def test_without_rows_there_is_no_best_one() -> None:
    assert best() is None
    assert running_row([]) is None


def test_a_running_row_is_found_behind_a_better_one_that_is_not() -> None:
    entitled = (*ENTITLED, "incomplete")  # an operator's odd choice: subscribed, and not running
    not_running = row(stripe_subscription_id="sub_a", status="incomplete")
    runs = row(stripe_subscription_id="sub_b", status="past_due")
    assert by_merit([runs, not_running], PLANS, entitled) == (not_running, runs)
    assert running_row([not_running, runs]) == runs


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
    assert best(*shuffled) == best(*rows)
    assert running_row(shuffled) == running_row(rows)


@for_all(different_rows)
def test_what_is_shown_fits_together(rows: list[dict[str, Any]]) -> None:
    status = shown(*rows)
    if status["subscribed"]:
        assert status["plan"] in {"basic", "pro", "team"}
        assert status["needs_payment"] is False
    if any(row["stripe_subscription_id"] and is_subscribed(row, PLANS, ENTITLED) for row in rows):
        assert status["subscribed"]
    runs = running_row(rows)
    assert (runs is not None) is any(map(running, rows))
    assert status["can_checkout"] is (runs is None)
    assert not (status["subscribed"] and status["can_checkout"])
    assert len(status["items"]) == (0 if best(*rows) is None else len(row_items(best(*rows) or {})))
