"""A subscription finds its owner by customer first, by Stripe's metadata last, and keeps it."""

import psycopg
import pytest

LATER = {"as_of": "2026-11-02T00:00:00Z"}


def customers(db):
    return {
        (row["clerk_owner_id"], row["livemode"], row["stripe_customer_id"])
        for row in db.service("select * from billing_customers")
    }


def whose(row):
    return row["clerk_owner_id"], row["user_id"]


def test_metadata_finds_the_owner_of_a_new_customer_and_is_kept(db, subscription):
    ann = db.user("user_ann")
    assert db.write(subscription, clerk="user_ann")["user_id"] == ann
    assert customers(db) == {("user_ann", False, "cus_1")}


def test_the_linked_customer_finds_the_owner_without_metadata(db, subscription):
    ann = db.user("user_ann")
    db.link("user_ann", "cus_1")
    assert db.write(subscription)["user_id"] == ann


def test_the_linked_customer_goes_before_metadata(db, subscription):
    ann, _ = db.user("user_ann"), db.user("user_bob")
    db.link("user_ann", "cus_1")
    assert db.write(subscription, clerk="user_bob")["user_id"] == ann
    assert customers(db) == {("user_ann", False, "cus_1")}


def test_metadata_that_disagrees_shows_in_the_owner_that_comes_back(db, subscription):
    ann, _ = db.user("user_ann"), db.user("user_bob")
    assert whose(db.write(subscription, clerk="user_ann")) == ("user_ann", ann)
    assert whose(db.write(subscription | LATER, None, clerk="user_bob")) == ("user_ann", ann)

    db.owner("delete from billing_customers")
    row = db.write(subscription, db.row()["revision"], clerk="user_bob")
    assert whose(row) == ("user_ann", ann)
    assert customers(db) == set()


def test_metadata_never_opens_a_row_of_another_user(db, subscription):
    """Where only the app's user is known, as in a row older than the upgrade."""
    ann, _ = db.user("user_ann"), db.user("user_bob")
    db.store("sub_1", user_id=ann, stripe_customer_id="cus_1")
    row = db.write(subscription, db.row()["revision"], clerk="user_bob")
    assert whose(row) == (None, ann)
    assert customers(db) == set()
    assert db.account("user_bob")["subscriptions"] == []

    row = db.write(subscription, row["revision"], clerk="user_ann")
    assert whose(row) == ("user_ann", ann)
    assert customers(db) == {("user_ann", False, "cus_1")}


def test_the_rows_own_owner_goes_before_the_customers(db, subscription):
    db.link("user_bob", "cus_1")
    db.store("sub_1", clerk_owner_id="user_ann", stripe_customer_id="cus_1")
    row = db.write(subscription, db.row()["revision"], clerk="user_bob")
    assert row["clerk_owner_id"] == "user_ann"
    assert customers(db) == {("user_bob", False, "cus_1")}


def test_another_row_of_the_customer_gives_its_owner_before_metadata(db, subscription):
    """A second customer of an owner is kept in no billing_customers: the row alone knows it."""
    db.link("user_ann", "cus_0")
    db.write(subscription, clerk="user_ann")
    second = db.write(subscription | {"stripe_subscription_id": "sub_2"}, clerk="user_bob")
    assert second["clerk_owner_id"] == "user_ann"
    assert customers(db) == {("user_ann", False, "cus_0")}


def test_a_subscription_on_a_second_customer_is_found_by_its_owner_without_users(
    make, subscription
):
    db = make()
    db.migrate()
    db.link("user_ann", "cus_0")
    row = db.write(subscription, clerk="user_ann")
    assert whose(row) == ("user_ann", None)
    account = db.account("user_ann")
    assert account["stripe_customer_id"] == "cus_0"
    assert [row["stripe_customer_id"] for row in account["subscriptions"]] == ["cus_1"]
    assert db.account("user_bob")["subscriptions"] == []


def test_an_organization_owns_like_a_user(db, subscription):
    db.write(subscription, clerk="org_acme")
    assert db.account("org_acme")["subscriptions"][0]["clerk_owner_id"] == "org_acme"
    assert customers(db) == {("org_acme", False, "cus_1")}


def test_the_rows_of_another_owner_are_shown_by_the_apps_user_and_not_by_customer(db, subscription):
    """The app says who its user is, also when their Clerk account was made anew."""
    ann = db.user("user_ann")
    db.link("user_ann", "cus_1")
    db.store("by_user", user_id=ann, clerk_owner_id="user_bob")
    db.store("by_customer", stripe_customer_id="cus_1", clerk_owner_id="user_bob")
    db.store("anns", stripe_customer_id="cus_1")
    found = {row["stripe_subscription_id"] for row in db.account("user_ann")["subscriptions"]}
    assert found == {"anns", "by_user"}


def test_an_owner_never_moves_and_the_user_follows_once_the_app_knows_them(db, subscription):
    row = db.write(subscription, clerk="user_ann")
    assert whose(row) == ("user_ann", None)
    ann = db.user("user_ann")
    row = db.write(subscription, row["revision"], clerk="user_bob")
    assert whose(row) == ("user_ann", ann)


def test_linking_a_customer_claims_its_rows_that_nobody_owns(db, subscription):
    ann, bob = db.user("user_ann"), db.user("user_bob")
    row = db.write(subscription)
    db.store("bobs", user_id=bob, stripe_customer_id="cus_1")
    db.link("user_ann", "cus_1")
    db.link("user_ann", "cus_1")
    assert db.row() == row | {"clerk_owner_id": "user_ann", "user_id": ann}
    assert whose(db.row("bobs")) == (None, bob)


def test_a_customer_whose_rows_are_of_another_owner_is_not_linked(db, subscription):
    db.link("user_bob", "cus_0")
    db.write(subscription, clerk="user_bob")
    with pytest.raises(psycopg.errors.UniqueViolation):
        db.link("user_ann", "cus_1")
    assert customers(db) == {("user_bob", False, "cus_0")}


def test_a_customer_is_gone_in_one_mode_until_it_is_there_again(db, subscription):
    db.link("user_ann", "cus_1")
    db.write(subscription | {"stripe_customer_id": "cus_2"}, clerk="user_ann")
    for customer, livemode in [
        ("cus_1", False),
        ("cus_2", False),
        ("cus_1", True),
        ("cus_9", False),
    ]:
        for _ in range(2):
            db.service("select mark_customer(%s, %s, true)", customer, livemode)
    assert db.account("user_ann")["gone_customers"] == ["cus_1", "cus_2"]
    assert db.account("user_ann", livemode=True)["gone_customers"] == []
    assert db.account("user_bob")["gone_customers"] == []
    for _ in range(2):
        db.service("select mark_customer('cus_1', false, false)")
    assert db.account("user_ann")["gone_customers"] == ["cus_2"]
    left = db.service("select stripe_customer_id, livemode from gone_customers order by 1, 2")
    assert [tuple(row.values()) for row in left] == [
        ("cus_1", True),
        ("cus_2", False),
        ("cus_9", False),
    ]


def test_metadata_says_nothing_about_a_customer_of_a_user_whom_the_app_does_not_know_yet(
    db, subscription
):
    db.user("user_bob")
    db.link("user_ann", "cus_1")
    assert db.write(subscription, clerk="user_bob")["user_id"] is None
    ann = db.user("user_ann")
    assert db.write(subscription | LATER, None, clerk="user_bob")["user_id"] == ann


def test_the_linked_customer_goes_before_another_row(db, subscription):
    ann, bob = db.user("user_ann"), db.user("user_bob")
    db.store("sub_old", stripe_customer_id="cus_1", user_id=bob)
    db.link("user_ann", "cus_1")
    assert db.write(subscription)["user_id"] == ann
    assert db.row("sub_old")["user_id"] == bob


def test_another_row_of_the_customer_finds_the_owner_before_metadata(db, subscription):
    ann, _ = db.user("user_ann"), db.user("user_bob")
    db.store("sub_old", stripe_customer_id="cus_1", user_id=ann)
    assert db.write(subscription, clerk="user_bob")["user_id"] == ann
    assert customers(db) == set()


def test_a_row_of_the_customer_confirms_metadata(db, subscription):
    ann = db.user("user_ann")
    db.store("sub_old", stripe_customer_id="cus_1", user_id=ann)
    assert db.write(subscription, clerk="user_ann")["user_id"] == ann
    assert customers(db) == {("user_ann", False, "cus_1")}


def test_a_link_is_never_moved_and_its_customer_never_given_away(db, subscription):
    ann, _ = db.user("user_ann"), db.user("user_bob")
    db.store("sub_1", stripe_customer_id="cus_1", user_id=ann, as_of="2026-01-01")
    assert db.write(subscription, None, clerk="user_bob")["user_id"] == ann
    assert db.write(subscription | LATER, None, clerk="user_nobody")["user_id"] == ann
    assert customers(db) == set()


def test_a_link_survives_its_user_and_its_customer(db, subscription):
    ann = db.user("user_ann")
    first = db.write(subscription, clerk="user_ann")
    db.owner("delete from users")
    db.owner("delete from billing_customers")
    assert db.write(subscription, first["revision"])["user_id"] == ann


def test_a_buyer_whom_the_app_does_not_know_yet_is_found_by_clerk_id_and_linked_later(
    db, subscription
):
    first = db.write(subscription, clerk="user_ann")
    assert first["user_id"] is None
    account = db.account("user_ann")
    assert account["user_id"] is None
    assert account["stripe_customer_id"] == "cus_1"
    assert [row["stripe_subscription_id"] for row in account["subscriptions"]] == ["sub_1"]

    ann = db.user("user_ann")
    second = db.write(subscription | LATER, None)
    assert second["user_id"] == ann
    assert second["updated_at"] == first["updated_at"]


def test_a_buyer_whom_nobody_knows_is_stored_without_an_owner(db, subscription):
    assert db.write(subscription)["user_id"] is None
    assert db.write(subscription | {"stripe_subscription_id": "sub_2"}, clerk="")["user_id"] is None
    assert customers(db) == set()


def test_a_subscription_without_a_customer_is_stored(db, subscription):
    ann = db.user("user_ann")
    nobodys = subscription | {"stripe_customer_id": None}
    db.write(nobodys | {"stripe_subscription_id": "sub_2"})
    assert db.write(nobodys, clerk="user_ann")["user_id"] == ann
    assert db.row("sub_2")["user_id"] is None
    assert customers(db) == set()


def test_a_subscription_of_no_known_mode_keeps_no_customer(db, subscription):
    ann = db.user("user_ann")
    assert db.write(subscription | {"livemode": None}, clerk="user_ann")["user_id"] == ann
    assert customers(db) == set()


def test_a_clerk_id_keeps_its_first_customer_of_each_mode(db, subscription):
    db.link("user_ann", "cus_0")
    db.write(subscription, clerk="user_ann")
    db.write(
        subscription
        | {"stripe_subscription_id": "sub_2", "stripe_customer_id": "cus_2", "livemode": True},
        clerk="user_ann",
    )
    assert customers(db) == {("user_ann", False, "cus_0"), ("user_ann", True, "cus_2")}


@pytest.mark.parametrize("path", ["insert", "fast", "swap"])
def test_every_write_claims_the_other_rows_of_the_customer(db, subscription, path):
    others = [db.write(subscription | {"stripe_subscription_id": f"sub_{n}"}) for n in (2, 3)]
    stranger = db.write(
        subscription | {"stripe_subscription_id": "sub_9", "stripe_customer_id": "cus_9"}
    )
    if path != "insert":
        db.write(subscription)
    ann = db.user("user_ann")
    db.link("user_ann", "cus_1")
    expected = {"insert": 0, "fast": None, "swap": path == "swap" and db.row()["revision"]}[path]
    assert db.write(subscription | LATER, expected)["user_id"] == ann
    claimed = {"clerk_owner_id": "user_ann", "user_id": ann}
    for other in others:  # no word of Stripe's: nothing else moves
        assert db.row(other["stripe_subscription_id"]) == other | claimed
    assert db.row("sub_9") == stranger


def test_a_linked_row_claims_the_others_too(db, subscription):
    ann = db.user("user_ann")
    db.write(subscription, clerk="user_ann")
    db.owner("delete from billing_customers")
    db.store("sub_2", stripe_customer_id="cus_1")
    assert db.write(subscription | LATER, None)["user_id"] == ann
    assert db.row("sub_2")["user_id"] == ann


def test_a_row_that_is_not_written_claims_nothing(db, subscription):
    db.write(subscription)
    db.user("user_ann")
    assert db.write(subscription, None, clerk="user_ann") is None
    assert db.write(subscription, 0, clerk="user_ann") is None
    assert db.write(subscription, 99_999, clerk="user_ann") is None
    assert db.row()["user_id"] is None
    assert customers(db) == set()


def test_a_customer_is_linked_and_replaced_in_its_own_mode(db):
    db.link("user_ann", "cus_1")
    db.link("user_ann", "cus_live", livemode=True)
    db.link("user_ann", "cus_2")
    db.link("user_ann", "cus_2")
    assert customers(db) == {("user_ann", False, "cus_2"), ("user_ann", True, "cus_live")}


def test_a_customer_of_somebody_else_is_an_error_not_a_move(db):
    db.link("user_ann", "cus_1")
    with pytest.raises(psycopg.errors.UniqueViolation):
        db.link("user_bob", "cus_1")
    db.link("user_bob", "cus_2")
    with pytest.raises(psycopg.errors.UniqueViolation):
        db.link("user_bob", "cus_1")
    assert customers(db) == {("user_ann", False, "cus_1"), ("user_bob", False, "cus_2")}


@pytest.mark.parametrize(("clerk", "customer"), [("", "cus_1"), ("user_ann", "")])
def test_an_empty_id_is_no_link(db, clerk, customer):
    with pytest.raises(psycopg.errors.CheckViolation):
        db.link(clerk, customer)


def test_an_account_holds_the_rows_of_the_user_and_those_of_the_customer(db, subscription):
    ann, bob = db.user("user_ann"), db.user("user_bob")
    db.link("user_ann", "cus_1")
    for name, customer, user, livemode in [
        ("by_user", "cus_0", ann, False),
        ("by_customer", "cus_1", None, False),
        ("of_both", "cus_1", ann, None),
        ("of_another", "cus_1", bob, False),
        ("live", "cus_1", ann, True),
        ("live_by_user", None, ann, True),
        ("strange", "cus_9", bob, False),
        ("nobodys", None, None, None),
    ]:
        db.store(name, stripe_customer_id=customer, user_id=user, livemode=livemode)

    def ids(account):
        return {row["stripe_subscription_id"] for row in account["subscriptions"]}

    test = db.account("user_ann")
    assert ids(test) == {"by_user", "by_customer", "of_both", "of_another"}
    assert (test["user_id"], test["stripe_customer_id"]) == (ann, "cus_1")
    assert set(test["subscriptions"][0]) == set(db.row("by_user"))

    live = db.account("user_ann", livemode=True)
    assert ids(live) == {"of_both", "live", "live_by_user"}
    assert live["stripe_customer_id"] is None

    assert ids(db.account("user_bob")) == {"of_another", "strange"}
    nobody = {
        "user_id": None,
        "stripe_customer_id": None,
        "gone_customers": [],
        "subscriptions": [],
    }
    assert db.account("user_nobody") == nobody
    assert db.account("") == nobody


def test_deleting_a_user_is_the_apps_business(db, subscription):
    ann = db.user("user_ann")
    db.write(subscription, clerk="user_ann")
    db.owner("delete from users where id::text = %s", ann)
    assert db.account("user_ann")["subscriptions"][0]["user_id"] == ann


def test_a_row_of_another_owner_is_not_claimed_with_the_customers_others(db, subscription):
    """Its user is not known to the app yet: without a user it must not become the payer's."""
    ann = db.user("user_ann")
    db.link("user_ann", "cus_1")
    db.store("sub_bobs", clerk_owner_id="user_bob", stripe_customer_id="cus_1")
    db.store("sub_nobodys", stripe_customer_id="cus_1")

    assert whose(db.write(subscription)) == ("user_ann", ann)
    rows = db.service("select * from subscriptions")
    assert {row["stripe_subscription_id"]: whose(row) for row in rows} == {
        "sub_1": ("user_ann", ann),
        "sub_nobodys": ("user_ann", ann),
        "sub_bobs": ("user_bob", None),
    }
