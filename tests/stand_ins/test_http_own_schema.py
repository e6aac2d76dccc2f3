"""A schema of its own beside public: which one a request speaks to, and who may do what there."""

import psycopg
import pytest

BILLING = {"Accept-Profile": "billing", "Content-Profile": "billing"}
SUBSCRIPTION = {
    "stripe_subscription_id": "sub_1",
    "stripe_customer_id": "cus_1",
    "status": "active",
    "livemode": False,
    "as_of": "2026-01-01T00:00:10Z",
}


@pytest.fixture(autouse=True)
def nothing_bought(newsletter_database):
    with psycopg.connect(newsletter_database) as connection:
        connection.execute("delete from billing.subscriptions")
        connection.execute("delete from billing.billing_customers")
        connection.execute("delete from billing.gone_customers")


def bought(api, subscription_id):
    arguments = {
        "subscription": SUBSCRIPTION | {"stripe_subscription_id": subscription_id},
        "clerk_owner_id": "user_1",
        "expected_revision": 0,
    }
    return api.client(schema="billing").rpc("upsert_subscription", arguments).execute().data


def test_supabase_py_is_told_of_the_schema(two_schemas):
    client = two_schemas.client(schema="billing")

    assert client.table("subscriptions").select("*").eq("status", "never").execute().data == []
    account = client.rpc("billing_account", {"clerk_owner_id": "user_1", "livemode": False})
    assert account.execute().data["user_id"] == "1"


def test_a_purchase_is_kept_there_and_the_newsletter_is_untouched(two_schemas):
    [row] = bought(two_schemas, "sub_kept")

    assert row["user_id"] == "1"
    rows = two_schemas.call("GET", "subscriptions?stripe_subscription_id=eq.sub_kept",
                            headers=BILLING)  # fmt: skip
    assert rows.json() == [row]
    assert two_schemas.call("GET", "subscriptions").json() == [{"email": "ann@example.com"}]


def test_without_a_word_it_is_the_first_schema(two_schemas):
    answer = two_schemas.rpc("billing_account", clerk_owner_id="user_1", livemode=False)

    assert (answer.status_code, answer.json()["code"]) == (404, "PGRST202")
    assert "public.billing_account" in answer.json()["message"]


@pytest.mark.parametrize("headers", [{}, {"Accept-Profile": "public"}, BILLING])
def test_the_answer_names_the_schema(two_schemas, headers):
    answer = two_schemas.call("GET", "subscriptions?limit=0", headers=headers)

    assert answer.status_code == 200
    assert answer.headers["Content-Profile"] == headers.get("Accept-Profile", "public")


def test_reading_and_writing_have_headers_of_their_own(two_schemas):
    only_accept = {"Accept-Profile": "billing"}
    arguments = {"clerk_owner_id": "user_1", "livemode": False}

    called = two_schemas.call("POST", "rpc/billing_account", headers=only_accept, json=arguments)
    assert (called.status_code, called.json()["code"]) == (404, "PGRST202")
    wrong = {"Accept-Profile": "private", "Content-Profile": "billing"}
    called = two_schemas.call("POST", "rpc/billing_account", headers=wrong, json=arguments)
    assert called.status_code == 200, called.text
    assert called.headers["Content-Profile"] == "billing"
    read = two_schemas.call("GET", "subscriptions", headers={"Content-Profile": "billing"})
    assert read.json() == [{"email": "ann@example.com"}]


@pytest.mark.parametrize("schema", ["private", "billing_private", "Billing", '"billing"', "auth"])
def test_a_schema_that_is_not_exposed(two_schemas, schema):
    answer = two_schemas.call("GET", "subscriptions", headers={"Accept-Profile": schema})

    body = two_schemas.says(
        {
            "message": f"Invalid schema: {schema}",
            "hint": "Only the following schemas are exposed: public, billing",
        },
        older={"message": "The schema must be one of the following: public, billing", "hint": None},
    )
    assert (answer.status_code, answer.json()) == (
        406,
        body | {"code": "PGRST106", "details": None},
    )
    assert "Content-Profile" not in answer.headers


def test_signed_in_users_read_their_own_rows_there(two_schemas):
    [row] = bought(two_schemas, "sub_read")
    ours = "subscriptions?stripe_subscription_id=eq.sub_read"

    def read_as(**claims):
        token = two_schemas.token(role="authenticated", **claims)
        return two_schemas.call("GET", ours, token, headers=BILLING)

    assert read_as(sub="user_1").json() == [row]
    assert read_as(sub="user_2").json() == []


@pytest.mark.parametrize(("role", "status"), [("anon", 401), ("authenticated", 403)])
@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        ("billing_account", {"clerk_owner_id": "user_1", "livemode": False}),
        ("upsert_subscription", {"subscription": SUBSCRIPTION}),
        ("billing_user_id", {"clerk_id": "user_1"}),
    ],
)
def test_the_service_role_alone_calls(two_schemas, role, status, function, arguments):
    token = two_schemas.token(role=role)

    answer = two_schemas.call("POST", f"rpc/{function}", token, headers=BILLING, json=arguments)

    assert (answer.status_code, answer.json()["code"]) == (status, "42501")


@pytest.mark.parametrize("table", ["billing_customers", "gone_customers"])
def test_nobody_else_reads_who_pays(two_schemas, table):
    for role, status in (("anon", 401), ("authenticated", 403)):
        answer = two_schemas.call("GET", table, two_schemas.token(role=role), headers=BILLING)
        assert (answer.status_code, answer.json()["code"]) == (status, "42501")
