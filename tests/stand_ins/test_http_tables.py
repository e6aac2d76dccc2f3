"""Reading tables: which rows, in which order, which columns, and how they are written."""

import pytest
from supabase import PostgrestAPIError

OBJECT = {"Accept": "application/vnd.pgrst.object+json"}


def error(code, message, details=None, hint=None):
    return {"code": code, "message": message, "details": details, "hint": hint}


@pytest.fixture(autouse=True)
def rows(sql):
    sql.execute("""
        insert into subscriptions (
            stripe_subscription_id, stripe_customer_id, status, quantity, livemode, as_of, user_id
        ) values
            ('sub_1', 'cus_1', 'active', 1, true, '2026-01-01T00:00:10Z', 'a, "b" (c)'),
            ('sub_2', 'cus_1', 'canceled', 3, false, '2026-01-02T01:00:00.25+01', 'd'),
            ('sub_3', 'cus_2', 'active', null, null, null, null)
    """)


def found(api, query):
    answer = api.call("GET", f"subscriptions?select=stripe_subscription_id&{query}")
    assert answer.status_code == 200, answer.text
    return [row["stripe_subscription_id"][-1] for row in answer.json()]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("order=stripe_subscription_id", "123"),
        ("order=stripe_subscription_id.desc", "321"),
        ("order=status.desc,stripe_subscription_id.desc", "231"),
        ("order=quantity", "123"),
        ("order=quantity.desc", "321"),
        ("order=quantity.asc.nullsfirst", "312"),
        ("order=quantity.desc.nullslast", "213"),
        ("order=quantity.nullsfirst", "312"),
        ("order=stripe_subscription_id&limit=2", "12"),
        ("order=stripe_subscription_id&limit=1&offset=1", "2"),
        ("order=stripe_subscription_id&offset=1", "23"),
        ("order=stripe_subscription_id&offset=7", ""),
        ("limit=0", ""),
        ("status=eq.canceled", "2"),
        ("status=eq.", ""),
        ('status=eq."canceled"', ""),
        ('user_id=eq.a, "b" (c)', "1"),
        ("quantity=eq.3", "2"),
        ("status=neq.active", "2"),
        ("quantity=gt.1", "2"),
        ("quantity=gte.1&order=quantity", "12"),
        ("quantity=gte.1&quantity=lt.3", "1"),
        ("quantity=lte.1", "1"),
        ("as_of=gt.2026-01-01T00:00:10Z", "2"),
        ("as_of=gte.2026-01-01T01:00:10%2B01:00&order=as_of", "12"),
        ("quantity=is.null", "3"),
        ("quantity=is.NULL", "3"),
        ("livemode=is.true", "1"),
        ("livemode=is.false", "2"),
        ("livemode=eq.false", "2"),
        ("status=in.(canceled,paused)", "2"),
        ("quantity=in.(1,3)&order=quantity", "12"),
        ('user_id=in.("a, \\"b\\" (c)",x)', "1"),
        ("status=like.act*&order=stripe_subscription_id", "13"),
        ("status=like.a_tive&order=stripe_subscription_id", "13"),
        ("status=like.act", ""),
        ("status=in.()", ""),
        ("quantity=in.()", ""),
    ],
)
def test_which_rows(api, query, expected):
    assert found(api, query) == list(expected)


def test_supabase_py_reads(api):
    table = api.client().table("subscriptions")
    query = table.select("status, quantity").eq("stripe_customer_id", "cus_1")

    ordered = query.in_("user_id", ['a, "b" (c)', "d"]).order("quantity", desc=True).execute()
    assert ordered.data == [
        {"status": "canceled", "quantity": 3},
        {"status": "active", "quantity": 1},
    ]
    assert table.select("status").is_("as_of", None).execute().data[0]["status"] == "active"
    paged = table.select("quantity").order("quantity").range(1, 1).execute()
    assert paged.data == [{"quantity": 3}]


def test_supabase_py_reads_one(api):
    table = api.client().table("subscriptions")

    single = table.select("status").eq("stripe_subscription_id", "sub_2").single().execute()
    assert single.data == {"status": "canceled"}
    assert table.select("status").eq("user_id", "x").maybe_single().execute() is None
    with pytest.raises(PostgrestAPIError) as caught:
        table.select("status").single().execute()
    assert (caught.value.code, caught.value.details) == ("PGRST116", "The result contains 3 rows")


def test_all_columns_as_postgres_writes_them(api, sql):
    query = "select to_jsonb(s) from subscriptions s where stripe_subscription_id = 'sub_2'"
    sql.execute("set time zone 'UTC'")

    answer = api.call("GET", "subscriptions?stripe_subscription_id=eq.sub_2")

    [row] = answer.json()
    assert sql.execute(query).fetchone()[0] == row
    assert row["as_of"] == "2026-01-02T00:00:00.25+00:00"
    assert row == api.call("GET", "subscriptions?select=*&quantity=eq.3").json()[0]
    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"


@pytest.mark.parametrize(
    ("query", "content_range"),
    [("", "0-2/*"), ("limit=1&offset=1&order=quantity", "1-1/*"), ("quantity=eq.7", "*/*")],
)
def test_the_answer_says_which_rows_it_holds(api, query, content_range):
    assert api.call("GET", f"subscriptions?{query}").headers["Content-Range"] == content_range


@pytest.mark.parametrize(
    ("query", "status", "content_range"),
    [
        ("", 200, "0-2/3"),
        ("limit=1", 206, "0-0/3"),
        ("status=eq.active&limit=1", 206, "0-0/2"),
        ("quantity=eq.7", 200, "*/0"),
    ],
)
def test_it_counts_where_it_is_asked_to(api, query, status, content_range):
    answer = api.call("GET", f"subscriptions?{query}", headers={"Prefer": "count=exact"})
    assert (answer.status_code, answer.headers["Content-Range"]) == (status, content_range)


def test_one_row_as_an_object(api):
    query = "subscriptions?select=status,quantity&stripe_subscription_id=eq.sub_2"

    answer = api.call("GET", query, headers=OBJECT)

    assert (answer.status_code, answer.json()) == (200, {"status": "canceled", "quantity": 3})
    assert answer.headers["Content-Type"] == "application/vnd.pgrst.object+json; charset=utf-8"


def test_only_the_headers(api):
    answer = api.call("HEAD", "subscriptions?select=status")

    assert (answer.status_code, answer.content, answer.headers["Content-Range"]) == (
        200,
        b"",
        "0-2/*",
    )


@pytest.mark.parametrize("query", ["select=nope", "nope=eq.1", "order=nope"])
def test_no_such_column(api, query):
    answer = api.call("GET", f"subscriptions?{query}")

    message = "column subscriptions.nope does not exist"
    assert (answer.status_code, answer.json()) == (400, error("42703", message))


def test_no_such_table(api):
    """PGRST205 came with version 13; before, Postgres itself was asked."""
    answer = api.call("GET", "xyzzy")

    body = api.says(
        error("PGRST205", "Could not find the table 'public.xyzzy' in the schema cache"),
        older=error("42P01", 'relation "public.xyzzy" does not exist'),
    )
    assert (answer.status_code, answer.json()) == (404, body)


@pytest.mark.parametrize("query", ["quantity=eq.abc", "quantity=in.(1,abc)", "quantity=gt.abc"])
def test_a_value_of_the_wrong_type(api, query):
    answer = api.call("GET", f"subscriptions?{query}")

    message = 'invalid input syntax for type integer: "abc"'
    assert (answer.status_code, answer.json()) == (400, error("22P02", message))


def test_a_plus_sign_is_a_space(api):
    answer = api.call("GET", "subscriptions?as_of=eq.2026-01-01T00:00:10+00:00")

    assert (answer.status_code, answer.json()["code"]) == (400, "22007")


def test_quotes_stay_quotes(api):
    answer = api.call("GET", "subscriptions?user_id=eq.' or true --")

    assert (answer.status_code, answer.json()) == (200, [])


def test_another_schema(api):
    answer = api.call("GET", "subscriptions", headers={"Accept-Profile": "private"})

    assert (answer.status_code, answer.json()["code"]) == (406, "PGRST106")


def test_a_path_that_is_none(api):
    answer = api.call("GET", "subscriptions/sub_1")

    hosted = error("PGRST125", "Invalid path specified in request URL")
    assert (answer.status_code, answer.json()) == (404, api.says(hosted, older={}))
