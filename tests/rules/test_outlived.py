"""When a row must have changed since, and nobody told. Each limit from both sides."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from given import row

from portal_service.entitlement import has_outlived_itself

Json = dict[str, Any]
NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
HOUR, DAY, SECOND = timedelta(hours=1), timedelta(days=1), timedelta(seconds=1)


def ago(time: timedelta) -> str:
    return (NOW - time).isoformat()


def outlived(**about: Any) -> bool:
    """Of a row that nothing was heard of for two hours, and that has no date of its own."""
    quiet: Json = {"as_of": ago(2 * HOUR), "current_period_end": None}
    return has_outlived_itself(row(**(quiet | about)), NOW)


@pytest.mark.parametrize(
    ("about", "limit"),
    [
        pytest.param({"status": "active"}, ("cancel_at", HOUR), id="a cancel that was scheduled"),
        pytest.param({"status": "trialing"}, ("cancel_at", HOUR), id="a trial's cancel"),
        pytest.param({"status": "trialing"}, ("trial_end", HOUR), id="a trial"),
        pytest.param({"status": "active"}, ("current_period_end", DAY), id="a period"),
        pytest.param({"status": "past_due"}, ("current_period_end", DAY), id="a period, unpaid"),
        pytest.param({"status": "paused"}, ("cancel_at", HOUR), id="paused"),
        pytest.param({"status": "incomplete"}, ("current_period_end", DAY), id="incomplete"),
        pytest.param({"status": "a_status_of_2030"}, ("cancel_at", HOUR), id="unknown"),
    ],
)
def test_a_row_has_outlived_itself_when_its_own_date_is_past(
    about: Json, limit: tuple[str, timedelta]
) -> None:
    date, grace = limit
    assert outlived(**about, **{date: ago(grace + SECOND)})
    assert not outlived(**about, **{date: ago(grace - SECOND)})
    assert not outlived(**about, **{date: ago(-DAY)})
    assert not outlived(**about)


def test_any_one_of_the_dates_is_enough() -> None:
    assert outlived(cancel_at=ago(2 * HOUR), current_period_end=ago(-DAY))
    assert outlived(cancel_at=ago(-DAY), current_period_end=ago(2 * DAY))


@pytest.mark.parametrize("status", ["active", "past_due", "paused", "incomplete"])
def test_the_end_of_a_trial_counts_only_while_trialing(status: str) -> None:
    assert not outlived(status=status, trial_end=ago(DAY))


@pytest.mark.parametrize("status", ["canceled", "incomplete_expired"])
@pytest.mark.parametrize("date", ["cancel_at", "current_period_end", "trial_end"])
def test_what_has_ended_is_never_asked_about(status: str, date: str) -> None:
    assert not outlived(status=status, as_of=None, **{date: ago(90 * DAY)})


@pytest.mark.parametrize(
    ("as_of", "asked"),
    [
        (None, True),
        (ago(HOUR + SECOND), True),
        (ago(HOUR - SECOND), False),
        (ago(-HOUR), False),  # Stripe's clock is ahead
    ],
)
def test_stripe_is_not_asked_again_within_an_hour(as_of: str | None, asked: bool) -> None:
    assert outlived(as_of=as_of, cancel_at=ago(DAY)) is asked


@pytest.mark.parametrize("missing", [None, ""])
def test_a_row_without_a_subscription_has_nothing_to_ask_about(missing: str | None) -> None:
    assert not outlived(stripe_subscription_id=missing, cancel_at=ago(DAY))


@pytest.mark.parametrize(
    ("as_of", "cancel_at", "asked"),
    [
        ("2026-11-27T10:59:59", "2026-11-27T10:59:59", True),  # columns without a zone: UTC
        ("2026-11-27T11:00:01", "2026-11-27T10:59:59", False),
        ("2026-11-27T10:59:59", "2026-11-27T11:00:01", False),
        ("2026-11-27 11:59:59+01:00", "2026-11-27 20:59:59.5+10:00", True),
        ("2026-11-27 12:00:01+01:00", "2026-11-27 20:59:59.5+10:00", False),
    ],
)
@pytest.mark.usefixtures("in_tokyo")
def test_times_are_compared_across_zones(as_of: str, cancel_at: str, asked: bool) -> None:
    assert outlived(as_of=as_of, cancel_at=cancel_at) is asked
