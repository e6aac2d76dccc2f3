"""Calls of functions: how arguments go in, how results come out, what errors look like."""

import pytest

OBJECT = {"Accept": "application/vnd.pgrst.object+json"}


def error(code, message, details=None, hint=None):
    return {"code": code, "message": message, "details": details, "hint": hint}


@pytest.mark.parametrize(
    ("function", "arguments", "result"),
    [
        pytest.param("probe_role", {}, "service_role", id="a value"),
        pytest.param("probe_null", {}, None, id="null"),
        pytest.param("probe_texts", {"how_many": 2}, ["text 1", "text 2"], id="values"),
        pytest.param("probe_texts", {"how_many": 0}, [], id="no values"),
        pytest.param(
            "probe_pairs", {}, [{"a": 1, "b": "one"}, {"a": 2, "b": None}], id="rows of a table"
        ),
        pytest.param("probe_out", {}, {"a": 1, "b": "one"}, id="one record"),
    ],
)
def test_results(api, function, arguments, result):
    answer = api.rpc(function, **arguments)

    assert (answer.status_code, answer.json()) == (200, result)
    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
    assert result == api.client().rpc(function, arguments).execute().data


def test_postgres_casts_the_arguments(api):
    given = {
        "a_time": "2026-01-01T01:00:10+01:00",
        "an_id": "6A1B74AF-BEFC-4091-9CDF-E2C2D15F43E6",
        "a_list": [1, 2],
        "some_json": {"b": [1, {"ü": "\u2028"}], "a": None},
    }

    answer = api.rpc("probe_types", **given)

    assert answer.json() == [
        "2026-01-01T00:00:10+00:00",
        "6a1b74af-befc-4091-9cdf-e2c2d15f43e6",
        [1, 2],
        {"b": [1, {"ü": "\u2028"}], "a": None},
        True,
    ]
    assert answer.json()[:4] + [False] == api.rpc("probe_types", **given, flag=False).json()


def test_a_null_argument_is_null(api):
    given = dict.fromkeys(["a_time", "an_id", "a_list", "some_json", "flag"])

    assert api.rpc("probe_types", **given).json() == [None] * 5


def test_an_argument_of_the_wrong_type(api):
    answer = api.rpc("probe_texts", how_many="many")

    message = 'invalid input syntax for type integer: "many"'
    assert (answer.status_code, answer.json()) == (400, error("22P02", message))


def test_a_function_without_a_result_is_204(api):
    arguments = {"clerk_owner_id": "user_1", "livemode": False, "stripe_customer_id": "cus_1"}

    answer = api.rpc("link_customer", **arguments)

    assert (answer.status_code, answer.content) == (204, b"")
    assert "Content-Type" not in answer.headers
    assert api.client().rpc("link_customer", arguments).execute().data == []


def test_an_object_of_one_row(api):
    answer = api.call("POST", "rpc/probe_pairs", json={"how_many": 1}, headers=OBJECT)

    assert (answer.status_code, answer.json()) == (200, {"a": 1, "b": "one"})
    assert answer.headers["Content-Type"] == "application/vnd.pgrst.object+json; charset=utf-8"


@pytest.mark.parametrize("rows", [0, 2])
def test_no_object_of_no_row_or_several(api, rows):
    answer = api.call("POST", "rpc/probe_pairs", json={"how_many": rows}, headers=OBJECT)

    message = api.says(
        "Cannot coerce the result to a single JSON object",
        older="JSON object requested, multiple (or no) rows returned",
    )
    details = f"The result contains {rows} rows"
    assert (answer.status_code, answer.json()) == (406, error("PGRST116", message, details))


def test_refusing_to_answer_undoes_the_write(api, sql):
    body = {"subscription": {"stripe_subscription_id": "sub_1"}, "expected_revision": 0}
    api.call("POST", "rpc/upsert_subscription", json=body)
    body["expected_revision"] = sql.execute("select revision from subscriptions").fetchone()[0]
    body["subscription"]["status"] = "active"

    once = api.call("POST", "rpc/upsert_subscription", json=body, headers=OBJECT)
    again = api.call("POST", "rpc/upsert_subscription", json=body, headers=OBJECT)

    assert [once.status_code, again.status_code] == [200, 406]
    assert (
        once.json()["revision"] == sql.execute("select revision from subscriptions").fetchone()[0]
    )


@pytest.mark.parametrize(
    ("code", "status"),
    [
        *[("0P000", 403), ("22023", 400), ("22P02", 400), ("23502", 400)],
        *[("23503", 409), ("23505", 409), ("25006", 405), ("25P02", 500), ("28000", 403)],
        *[("40P01", 500), ("42501", 403), ("42703", 400), ("42883", 404), ("42P01", 404)],
        *[("55P03", 500), ("57014", 500)],
        *[("58000", 500), ("P0001", 400), ("P0002", 500), ("PT409", 409), ("XX000", 500)],
    ],
)
def test_errors_of_postgres(api, code, status):
    """All but 40001, which PostgREST tries again by itself, for ever if need be."""
    answer = api.rpc("probe_fail", code=code)

    body = error(code, "it failed", "a detail", "a hint")
    assert (answer.status_code, answer.json()) == (status, body)


@pytest.mark.parametrize(
    ("code", "hosted", "older"),
    [("21000", 500, 400), ("42P17", 500, 400), ("53400", 500, 503), ("54001", 500, 413)],
)
def test_errors_of_postgres_that_changed_their_status(api, code, hosted, older):
    answer = api.rpc("probe_fail", code=code)

    assert answer.status_code == api.says(hosted, older=older)


def test_an_error_reaches_supabase_py(api):
    from supabase import PostgrestAPIError

    with pytest.raises(PostgrestAPIError) as caught:
        api.client().rpc("probe_fail", {"code": "40P01"}).execute()

    assert error("40P01", "it failed", "a detail", "a hint") == caught.value.json()


def test_a_value_is_its_own_object(api):
    answer = api.call("POST", "rpc/probe_role", json={}, headers=OBJECT)

    assert (answer.status_code, answer.json()) == (200, "service_role")


def test_a_stable_function_may_not_write(api):
    answer = api.rpc("probe_write_when_stable")

    message = "cannot execute nextval() in a read-only transaction"
    assert (answer.status_code, answer.json()) == (405, error("25006", message))


SIGNATURE = "public.link_customer(clerk_owner_id, livemode, stripe_customer_id)"


@pytest.mark.parametrize(
    ("function", "arguments", "called", "searched", "hint"),
    [
        pytest.param(
            "xyzzy", {}, "public.xyzzy without parameters", "without parameters", None, id="unknown"
        ),
        pytest.param(
            "xyzzy",
            {"b": 1, "a": 2},
            "public.xyzzy(a, b)",
            "with parameters a, b",
            None,
            id="unknown, with arguments",
        ),
        pytest.param(
            "link_customer",
            {"clerk_owner_id": "user_1", "livemode": True},
            "public.link_customer(clerk_owner_id, livemode)",
            "with parameters clerk_owner_id, livemode",
            f"Perhaps you meant to call the function {SIGNATURE}",
            id="an argument is missing",
        ),
        pytest.param(
            "link_customer",
            {"clerk_owner_id": "user_1", "livemode": True, "stripe_customer": "cus_1"},
            "public.link_customer(clerk_owner_id, livemode, stripe_customer)",
            "with parameters clerk_owner_id, livemode, stripe_customer",
            f"Perhaps you meant to call the function {SIGNATURE}",
            id="an argument is misspelt",
        ),
        pytest.param(
            "probe_null",
            {"x": 1},
            "public.probe_null(x)",
            "with parameter x",
            None,
            id="an argument too many",
        ),
        pytest.param(
            "billing_account",
            {},
            "public.billing_account without parameters",
            "without parameters",
            None,
            id="all arguments are missing",
        ),
    ],
)
def test_no_such_function(api, function, arguments, called, searched, hint):
    answer = api.rpc(function, **arguments)

    message = f"Could not find the function {called} in the schema cache"
    details = (
        f"Searched for the function public.{function} {searched} or with a single unnamed"
        " json/jsonb parameter, but no matches were found in the schema cache."
    )
    assert (answer.status_code, answer.json()) == (404, error("PGRST202", message, details, hint))


def test_a_body_that_is_no_json(api):
    answer = api.call(
        "POST", "rpc/probe_null", content="{", headers={"Content-Type": "application/json"}
    )

    assert (answer.status_code, answer.json()) == (400, error("PGRST102", "Empty or invalid json"))


def test_no_body_is_no_arguments(api):
    answer = api.call("POST", "rpc/probe_role")

    assert (answer.status_code, answer.json()) == (200, "service_role")


def test_another_schema(api):
    answer = api.call("POST", "rpc/probe_null", json={}, headers={"Content-Profile": "private"})

    body = api.says(
        error(
            "PGRST106",
            "Invalid schema: private",
            hint="Only the following schemas are exposed: public",
        ),
        older=error("PGRST106", "The schema must be one of the following: public"),
    )
    assert (answer.status_code, answer.json()) == (406, body)


def test_another_media_type(api):
    answer = api.call("POST", "rpc/probe_null", json={}, headers={"Accept": "text/html"})

    body = error("PGRST107", "None of these media types are available: text/html")
    assert (answer.status_code, answer.json()) == (api.says(406, older=415), body)
