"""upsert_subscription decides by as_of and revision alone which write counts."""

from datetime import datetime
from typing import Any

import psycopg
import pytest

CHANGES = {
    "stripe_customer_id": "cus_2",
    "status": "past_due",
    "plan": "team",
    "price_id": "price_2",
    "product_id": "prod_2",
    "quantity": 7,
    "collection_method": "send_invoice",
    "current_period_end": "2027-01-01T00:00:00+00:00",
    "cancel_at": "2027-01-02T00:00:00+00:00",
    "canceled_at": "2027-01-03T00:00:00+00:00",
    "trial_end": "2027-01-04T00:00:00+00:00",
    "ended_at": "2027-01-05T00:00:00+00:00",
    "pause_resumes_at": "2027-01-06T00:00:00+00:00",
    "cancel_at_period_end": True,
    "pause_collection": "void",
    "paused_reason": "pause_requested",
    "livemode": True,
    "items": [{"price_id": "price_2", "product_id": "prod_2", "quantity": 7}],
}


def plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value


def test_the_first_write_inserts_every_value(db, subscription):
    row = db.write(subscription | CHANGES)
    assert {name: plain(row[name]) for name in CHANGES} == CHANGES
    assert plain(row["as_of"]) == "2026-11-01T12:00:00+00:00"
    assert row["revision"] > 0
    assert row["created_at"] == row["updated_at"]
    assert row == db.row()


def test_a_second_insert_changes_nothing(db, subscription):
    first = db.write(subscription)
    assert db.write(subscription | CHANGES) is None
    assert db.row() == first


@pytest.mark.parametrize(
    ("stamp", "decisive"),
    [
        ("2026-11-01T11:59:59Z", False),
        ("2026-11-01T12:00:00Z", False),
        ("2026-11-01T12:00:59Z", False),
        ("2026-11-01T12:01:00Z", True),
        ("2026-11-01T12:01:01Z", True),
        (None, False),
    ],
)
def test_the_fast_path_wants_a_minute_between_the_row_and_the_stamp(
    db, subscription, stamp, decisive
):
    before = db.write(subscription)
    row = db.write(subscription | {"status": "past_due", "as_of": stamp}, expected=None)
    if decisive:
        assert row["status"] == "past_due"
        assert row["revision"] > before["revision"]
        assert plain(row["as_of"]) == stamp.replace("Z", "+00:00")
        assert db.row() == row
    else:
        assert row is None
        assert db.row() == before


def test_the_fast_path_never_trusts_a_row_that_describes_no_known_moment(db, subscription):
    before = db.write(subscription | {"as_of": None})
    later = subscription | {"status": "past_due", "as_of": "2030-01-01T00:00:00Z"}
    assert db.write(later, expected=None) is None
    assert db.row() == before


def test_the_fast_path_never_inserts(db, subscription):
    assert db.write(subscription, expected=None) is None
    assert db.service("select from subscriptions") == []


def test_a_swap_needs_the_present_revision(db, subscription):
    first = db.write(subscription)
    # Its stamp does not matter: a swap needs no clock.
    second = db.write(
        subscription | {"status": "past_due", "as_of": "2026-10-01T00:00:00Z"}, first["revision"]
    )
    assert second["status"] == "past_due"
    assert plain(second["as_of"]) == "2026-10-01T00:00:00+00:00"
    assert second["revision"] > first["revision"]

    assert db.write(subscription, first["revision"]) is None
    assert db.write(subscription, second["revision"] + 1) is None
    assert db.write(subscription, -1) is None
    assert db.row() == second


def test_a_swap_may_leave_the_moment_unknown(db, subscription):
    first = db.write(subscription)
    assert db.write(subscription | {"as_of": None}, first["revision"])["as_of"] is None


def test_a_swap_inserts_nothing_where_the_row_was_deleted(db, subscription):
    first = db.write(subscription)
    db.service("delete from subscriptions")
    assert db.write(subscription, first["revision"]) is None
    assert db.service("select from subscriptions") == []


def test_a_row_made_again_never_repeats_a_revision(db, subscription):
    first = db.write(subscription)
    second = db.write(subscription, first["revision"])
    db.service("delete from subscriptions")
    again = db.write(subscription)
    assert again["revision"] > second["revision"]
    assert db.write(subscription, first["revision"]) is None
    assert db.write(subscription, second["revision"]) is None


@pytest.mark.parametrize("path", ["fast", "swap"])
def test_a_write_that_finds_nothing_new_moves_the_row_on_and_not_updated_at(db, subscription, path):
    before = db.write(subscription)
    later = subscription | {"as_of": "2026-11-01T12:05:00Z"}
    row = db.write(later, None if path == "fast" else before["revision"])
    assert row["revision"] > before["revision"]
    assert row["as_of"] > before["as_of"]
    moved = {"revision", "as_of"}
    assert {k: v for k, v in row.items() if k not in moved} == {
        k: v for k, v in before.items() if k not in moved
    }


@pytest.mark.parametrize("path", ["fast", "swap"])
@pytest.mark.parametrize("name", CHANGES)
def test_each_content_is_written_and_moves_updated_at(db, subscription, path, name):
    before = db.write(subscription)
    changed = subscription | {name: CHANGES[name], "as_of": "2026-11-01T12:05:00Z"}
    row = db.write(changed, None if path == "fast" else before["revision"])
    assert plain(row[name]) == CHANGES[name]
    assert row["updated_at"] > before["updated_at"]
    assert row["created_at"] == before["created_at"]

    emptied = subscription | {name: None, "as_of": "2026-11-01T12:10:00Z"}
    empty = db.write(emptied, None if path == "fast" else row["revision"])
    assert empty[name] is None
    assert empty["updated_at"] > row["updated_at"]


def test_a_subscription_without_an_id_is_refused(db, subscription):
    with pytest.raises(psycopg.errors.NullValueNotAllowed):
        db.write(subscription | {"stripe_subscription_id": None})
    with pytest.raises(psycopg.errors.NullValueNotAllowed):
        db.write(subscription | {"stripe_subscription_id": ""})


def test_only_the_columns_on_the_list_are_written(db, subscription):
    own = {"user_id": "me", "clerk_owner_id": "me", "revision": 5, "created_at": "2000-01-01"}
    row = db.write(subscription | own)
    assert (row["user_id"], row["clerk_owner_id"]) == (None, None)
    assert row["revision"] != 5
    assert row["created_at"].year > 2000
