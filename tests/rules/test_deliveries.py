"""What a delivery leaves for operators: how late, why Stripe was asked, about what."""

from typing import Any, get_args

import pytest
from given import (
    NOON,
    checkout_session,
    iso,
    item,
    row,
    row_of_the_original,
    snapshot_event,
    subscription,
    thin_event,
)
from prometheus_client import REGISTRY

from portal_service import deliveries
from portal_service.deliveries import Reason, about, count, count_question
from portal_service.mirror import OUR_RELEASE

Json = dict[str, Any]
UPDATED = "customer.subscription.updated"
COMPLETED = "checkout.session.completed"
CUT = subscription(items={"object": "list", "has_more": True, "data": [item()]})


def sample(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def questions() -> dict[str, float]:
    name = "portal_webhook_questions_total"
    return {reason: sample(name, reason=reason) for reason in get_args(Reason)}


def event(snapshot: Json | None = None, **changes: Any) -> Json:
    return snapshot_event(UPDATED, snapshot or subscription(), **changes)


def as_of(seconds: int) -> Json:
    return row(as_of=iso(NOON + seconds))


@pytest.mark.parametrize(
    ("told", "stored", "reason"),
    [
        (event(CUT), None, "more_items"),
        (event(CUT, api_version="2024-06-20"), as_of(0), "more_items"),
        (event(api_version="2025-03-31.basil"), None, "release"),
        (event(api_version=None), as_of(-3600), "release"),
        (event(subscription(test_clock="clock_1")), as_of(-3600), "test_clock"),
        (event(), None, "first"),
        (event(), row_of_the_original(), "undated"),
        (event(), as_of(1), "older"),
        (event(), as_of(0), "older"),
        (event(), as_of(-1), "margin"),
        (event(), as_of(-59), "margin"),
        (event(), as_of(-60), "meanwhile"),
    ],
)
def test_why_stripe_is_asked_is_counted_once(told: Json, stored: Json | None, reason: str) -> None:
    before = questions()
    count_question(told, stored, OUR_RELEASE)
    after = questions()
    assert {name for name in after if after[name] != before[name]} == {reason}
    assert after[reason] == before[reason] + 1


@pytest.mark.parametrize(
    ("told", "outcome", "reason"),
    [
        (thin_event(UPDATED, "sub_1"), "refreshed", "thin"),
        (thin_event(COMPLETED, "cs_1"), "failed", "thin"),
        (snapshot_event(COMPLETED, checkout_session()), "unchanged", "checkout"),
        (snapshot_event(COMPLETED, checkout_session()), "ignored", None),
        (event(), "applied", None),
    ],
)
def test_what_carries_no_snapshot_always_asks(told: Json, outcome: Any, reason: str | None) -> None:
    before = questions()
    count(told, outcome)
    after = questions()
    assert {name for name in after if after[name] != before[name]} == {reason} - {None}


@pytest.mark.parametrize(
    ("told", "names"),
    [
        (event(), {"subscription": "sub_1", "customer": "cus_1"}),
        (event(subscription(customer={"id": "cus_9"})), {"subscription": "sub_1",
                                                         "customer": "cus_9"}),
        (event(subscription(customer=[7])), {"subscription": "sub_1", "customer": None}),
        (snapshot_event(COMPLETED, checkout_session()), {"subscription": "sub_1",
                                                         "customer": "cus_1"}),
        (thin_event(UPDATED, "sub_3"), {"subscription": "sub_3"}),
        (thin_event(COMPLETED, "cs_3"), {"session": "cs_3"}),
        (snapshot_event("customer.created", {"id": "cus_1", "email": "ada@example.com"}), {}),
    ],
)  # fmt: skip
def test_an_event_says_what_it_is_about(told: Json, names: Json) -> None:
    assert about(told) == names


@pytest.mark.parametrize("told", [event(), thin_event(UPDATED, "sub_1", created=iso(NOON))])
def test_how_late_it_came_is_measured_and_when(monkeypatch: pytest.MonkeyPatch, told: Json) -> None:
    monkeypatch.setattr(deliveries.time, "time", lambda: NOON + 40.0)
    before = sample("portal_webhook_lag_seconds_sum"), sample("portal_webhook_lag_seconds_count")
    count(told, "refreshed")
    assert sample("portal_webhook_lag_seconds_sum") == before[0] + 40
    assert sample("portal_webhook_lag_seconds_count") == before[1] + 1
    assert sample("portal_webhook_last_timestamp_seconds") == NOON + 40


def test_one_that_failed_was_not_taken_in(monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = {"type": UPDATED, "outcome": "failed"}
    count(event(), "applied")
    monkeypatch.setattr(deliveries.time, "time", lambda: NOON + 7000.0)
    last, lags = (sample(f"portal_webhook_{name}") for name in
                  ("last_timestamp_seconds", "lag_seconds_count"))  # fmt: skip
    failed = sample("portal_webhook_outcomes_total", **outcome)
    count(event(), "failed")
    assert sample("portal_webhook_outcomes_total", **outcome) == failed + 1
    assert sample("portal_webhook_last_timestamp_seconds") == last
    assert sample("portal_webhook_lag_seconds_count") == lags


def test_a_type_of_the_accounts_own_has_no_label_and_no_lag() -> None:
    lags = sample("portal_webhook_lag_seconds_count")
    other = sample("portal_webhook_outcomes_total", type="other", outcome="ignored")
    count(snapshot_event("acme.made.this.up", {"id": "x"}, created="nonsense"), "ignored")
    assert sample("portal_webhook_outcomes_total", type="other", outcome="ignored") == other + 1
    assert sample("portal_webhook_lag_seconds_count") == lags
