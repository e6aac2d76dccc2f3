"""An owner is forgotten: no row and no link of that mode names them, and nothing brings it back."""

import json

import pytest

LATER = {"as_of": "2026-11-02T00:00:00Z"}


def forget(db, owner="user_ann", livemode=False):
    return db.service("select forget_owner(%s, %s) as it", owner, livemode)[0]["it"]


def everything(db):
    """All that the tables hold, as text."""
    tables = ("subscriptions", "billing_customers", "gone_customers")
    return json.dumps([db.owner(f"select to_jsonb(t) as it from {table} t") for table in tables])


@pytest.fixture
def ann(db, subscription):
    """ann's row and link; bob's beside them."""
    ann, _ = db.user("user_ann"), db.user("user_bob")
    db.write(subscription, clerk="user_ann")
    theirs = {"stripe_subscription_id": "sub_bob", "stripe_customer_id": "cus_bob"}
    db.write(subscription | theirs, clerk="user_bob")
    return ann


def test_her_id_and_the_apps_are_in_no_table_any_more(db, ann):
    before = db.row(), db.row("sub_bob")
    assert forget(db) == {"subscriptions": 1, "customers": 1, "of_the_other_mode": 0}
    assert "user_ann" not in everything(db)
    assert ann not in everything(db)

    names = {"clerk_owner_id", "user_id"}
    row = db.row()
    assert {k: v for k, v in row.items() if k not in names} == {
        k: v for k, v in before[0].items() if k not in names
    }
    assert db.row("sub_bob") == before[1]
    assert db.account("user_ann")["subscriptions"] == []
    assert db.account("user_ann")["stripe_customer_id"] is None
    assert db.account("user_bob")["stripe_customer_id"] == "cus_bob"


def test_what_stands_there_is_another_word_each_time(db, ann):
    forget(db, "user_ann"), forget(db, "user_bob")
    found = {row["clerk_owner_id"] for row in db.owner("select * from subscriptions")}
    assert len(found) == 2
    assert all(word.startswith("forgotten_") and len(word) == 42 for word in found)


def test_no_later_word_of_stripes_metadata_brings_it_back(db, subscription, ann):
    forget(db)
    assert db.write(subscription | LATER, None, clerk="user_ann")
    new = {"stripe_subscription_id": "sub_2"}
    assert db.write(subscription | new, clerk="user_ann")
    assert "user_ann" not in everything(db)
    assert ann not in everything(db)


def test_again_finds_nothing(db, ann):
    forget(db)
    before = everything(db)
    assert forget(db) == {"subscriptions": 0, "customers": 0, "of_the_other_mode": 0}
    assert everything(db) == before


def test_rows_of_hers_without_an_owner_are_forgotten_too(db, ann):
    """Of the app's user, from before the upgrade; and of her customer, not claimed yet."""
    db.store("old", user_id=ann)
    db.store("of her customer", stripe_customer_id="cus_1", livemode=False)
    assert forget(db)["subscriptions"] == 3
    assert ann not in everything(db)


def test_a_row_that_another_owner_has_keeps_its_user(db, ann):
    db.store("shared", user_id=ann, clerk_owner_id="user_bob", livemode=False)
    forget(db)
    assert db.row("shared")["user_id"] == ann


def test_the_other_mode_is_counted_and_stays(db, subscription, ann):
    live = {"stripe_subscription_id": "sub_live", "stripe_customer_id": "cus_live"}
    db.write(subscription | live | {"livemode": True}, clerk="user_ann")
    assert forget(db) == {"subscriptions": 1, "customers": 1, "of_the_other_mode": 2}
    assert db.account("user_ann", livemode=True)["stripe_customer_id"] == "cus_live"
    assert forget(db, livemode=True)["of_the_other_mode"] == 0
    assert "user_ann" not in everything(db)


def test_a_stranger_is_nobodys_business(db, ann):
    before = everything(db)
    for owner in ("user_eve", "", "forgotten_"):
        assert forget(db, owner) == {"subscriptions": 0, "customers": 0, "of_the_other_mode": 0}
    assert everything(db) == before
