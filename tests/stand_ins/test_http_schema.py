"""The migrations' functions and policies over HTTP, as the service and a frontend use them."""

import pytest

SNAPSHOT = {
    "stripe_subscription_id": "sub_1",
    "stripe_customer_id": "cus_1",
    "status": "active",
    "price_id": "price_1",
    "product_id": "prod_1",
    "quantity": 1,
    "current_period_end": "2026-02-01T00:00:00Z",
    "cancel_at_period_end": False,
    "livemode": False,
    "as_of": "2026-01-01T00:00:10Z",
}


def upsert(api, expected_revision=None, clerk_owner_id=None, **changes):
    answer = api.rpc(
        "upsert_subscription",
        subscription=SNAPSHOT | changes,
        clerk_owner_id=clerk_owner_id,
        expected_revision=expected_revision,
    )
    assert answer.status_code == 200, answer.text
    return answer.json()


def link(api, clerk_owner_id, customer):
    answer = api.rpc(
        "link_customer", clerk_owner_id=clerk_owner_id, livemode=False, stripe_customer_id=customer
    )
    assert answer.status_code == 204, answer.text


def account(api, clerk_owner_id="user_1"):
    answer = api.rpc("billing_account", clerk_owner_id=clerk_owner_id, livemode=False)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.fixture
def user_id(sql):
    query = "insert into users (clerk_id) values ('user_1') returning id::text"
    return sql.execute(query).fetchone()[0]


def test_an_insert_gives_the_row(api):
    [row] = upsert(api, expected_revision=0)

    times = {
        "current_period_end": "2026-02-01T00:00:00+00:00",
        "as_of": "2026-01-01T00:00:10+00:00",
    }
    assert {name: row[name] for name in SNAPSHOT} == SNAPSHOT | times
    assert isinstance(row["revision"], int)
    assert row["user_id"] is None and row["ended_at"] is None


def test_an_insert_beside_a_row_gives_nothing(api):
    upsert(api, expected_revision=0)

    assert upsert(api, expected_revision=0, status="canceled") == []
    assert upsert(api, as_of="2026-01-01T00:01:10Z")[0]["status"] == "active"


def test_the_fast_path(api):
    assert upsert(api, status="past_due") == []
    [first] = upsert(api, expected_revision=0)

    assert upsert(api, status="past_due", as_of="2026-01-01T00:01:09Z") == []
    [second] = upsert(api, status="past_due", as_of="2026-01-01T00:01:10Z")

    assert second["status"] == "past_due"
    assert second["revision"] > first["revision"]


def test_compare_and_swap(api):
    [first] = upsert(api, expected_revision=0)

    [second] = upsert(api, first["revision"], status="canceled", as_of="2026-01-01T00:00:00Z")

    assert (second["status"], second["as_of"]) == ("canceled", "2026-01-01T00:00:00+00:00")
    assert upsert(api, first["revision"], status="active") == []
    assert upsert(api, second["revision"], stripe_subscription_id="sub_2") == []


def test_the_arguments_with_a_default_can_be_left_out(api):
    upsert(api, expected_revision=0)
    later = SNAPSHOT | {"as_of": "2026-01-02T00:00:00Z"}

    answer = api.client().rpc("upsert_subscription", {"subscription": later}).execute()

    assert answer.data[0]["as_of"] == "2026-01-02T00:00:00+00:00"


def test_a_subscription_without_an_id_is_refused(api):
    answer = api.rpc("upsert_subscription", subscription={"status": "active"}, expected_revision=0)

    assert (answer.status_code, answer.json()["code"]) == (400, "22004")


def test_an_account_nobody_knows(api):
    assert account(api) == {
        "user_id": None,
        "stripe_customer_id": None,
        "gone_customers": [],
        "subscriptions": [],
    }


def test_an_account(api, user_id):
    link(api, "user_1", "cus_1")
    [row] = upsert(api, expected_revision=0)
    for customer in ("cus_1", "cus_9"):
        arguments = {"stripe_customer_id": customer, "livemode": False, "gone": True}
        assert api.rpc("mark_customer", **arguments).status_code == 204

    expected = {
        "user_id": user_id,
        "stripe_customer_id": "cus_1",
        "gone_customers": ["cus_1"],
        "subscriptions": [row],
    }
    assert account(api) == expected
    assert (row["user_id"], row["clerk_owner_id"]) == (user_id, "user_1")
    arguments = {"clerk_owner_id": "user_1", "livemode": False}
    assert api.client().rpc("billing_account", arguments).execute().data == expected


def test_a_customer_is_replaced(api):
    link(api, "user_1", "cus_1")
    link(api, "user_1", "cus_2")

    assert account(api)["stripe_customer_id"] == "cus_2"


def test_a_customer_belongs_to_one_user(api):
    link(api, "user_1", "cus_1")

    answer = api.rpc(
        "link_customer", clerk_owner_id="user_2", livemode=False, stripe_customer_id="cus_1"
    )

    assert (answer.status_code, answer.json()["code"]) == (409, "23505")
    assert answer.json()["details"] == "Key (stripe_customer_id)=(cus_1) already exists."


def test_the_notices_can_be_asked_for(api):
    told = api.rpc("billing_notices").json()

    assert "finds your users by public.users.clerk_id" in told[0]["notice"]
    assert told[0]["noticed_at"]
    refused = api.rpc("billing_notices", api.token(role="authenticated", sub="user_1"))
    assert (refused.status_code, refused.json()["code"]) == (403, "42501")


def test_a_purchase_can_be_stored_and_trying_stores_nothing(api):
    assert api.rpc("billing_trial_write").json() == []
    assert api.client().table("subscriptions").select("status").execute().data == []


def test_one_run_of_sync_has_the_lease_and_leaves_what_it_found(api):
    def hold(holder):
        return api.rpc("billing_hold_sync", livemode=False, holder=holder, seconds=60).json()

    assert hold("a")["is_ours"]
    assert not hold("b")["is_ours"]
    found = {"scope": "all", "outcome": "done", "differing_rows": 3, "unclaimed_subscriptions": 1}
    for told in (found, None):  # the second time nothing is told any more
        ended = api.rpc("billing_end_sync", livemode=False, holder="a", found=told)
        assert ended.status_code == 204
    [kept] = api.rpc("billing_syncs", livemode=False).json()
    assert (kept["scope"], kept["differing_rows"], kept["failed_at"]) == ("all", 3, None)
    assert hold("b")["is_ours"]
    assert api.rpc("billing_end_sync", livemode=False, holder="b", found=None).status_code == 204
    assert api.client().rpc("billing_syncs", {"livemode": False}).execute().data == [kept]


def test_a_signed_in_member_reads_the_rows_of_the_active_organization(api):
    upsert(api, 0, "org_1")
    upsert(api, 0, "org_2", stripe_subscription_id="sub_2", stripe_customer_id="cus_2")

    for claims in ({"o": {"id": "org_1"}}, {"org_id": "org_1"}):
        token = api.token(role="authenticated", sub="user_1", **claims)
        rows = api.call("GET", "subscriptions?select=stripe_subscription_id", token).json()
        assert rows == [{"stripe_subscription_id": "sub_1"}]


def test_a_signed_in_user_reads_their_own_rows(api, user_id):
    upsert(api, 0, "user_1")
    upsert(api, 0, "user_2", stripe_subscription_id="sub_2", stripe_customer_id="cus_2")
    query = "subscriptions?select=stripe_subscription_id"

    for clerk_id, own in [("user_1", ["sub_1"]), ("user_2", ["sub_2"]), ("user_3", [])]:
        token = api.token(role="authenticated", sub=clerk_id)
        answer = api.call("GET", query, token)
        assert [{"stripe_subscription_id": id} for id in own] == answer.json()


def test_a_token_without_a_subject_reads_nothing(api, user_id):
    upsert(api, 0, "user_1")
    upsert(api, 0, stripe_subscription_id="sub_2", stripe_customer_id=None)

    assert api.call("GET", "subscriptions", api.token(role="authenticated")).json() == []


def test_the_service_role_reads_every_row(api):
    upsert(api, 0, "user_1")
    upsert(api, 0, "user_2", stripe_subscription_id="sub_2", stripe_customer_id="cus_2")

    rows = api.client().table("subscriptions").select("stripe_subscription_id").execute().data

    assert {"sub_1", "sub_2"} == {row["stripe_subscription_id"] for row in rows}
