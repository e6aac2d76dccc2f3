"""Who is asking: tokens, roles and what they may."""

import base64
import json
import time

import jwt
import pytest


def error(code, message, details=None, hint=None):
    return {"code": code, "message": message, "details": details, "hint": hint}


def unsigned(claims):
    return jwt.encode(claims, None, algorithm="none")


@pytest.mark.parametrize("role", ["anon", "authenticated", "service_role"])
def test_the_token_gives_the_role(api, role):
    """Here, PUBLIC may execute: the probes keep Postgres' default grant."""
    answer = api.rpc("probe_role", api.token(role=role, sub="user_1"))

    assert (answer.status_code, answer.json()) == (200, role)


def test_functions_and_policies_can_read_the_claims(api):
    claims = {"role": "authenticated", "sub": "user_1", "extra": {"a": [1, None]}}

    assert api.rpc("probe_claims", api.token(**claims)).json() == claims


def test_without_a_token_one_is_anon(api):
    answer = api.rpc("probe_claims", None)

    assert (answer.status_code, answer.json()) == (200, {"role": "anon"})


def test_a_token_without_a_role_is_anon(api):
    assert api.rpc("probe_role", api.token(sub="user_1")).json() == "anon"


def test_another_scheme_than_bearer_is_no_token(api):
    answer = api.call("POST", "rpc/probe_role", None, headers={"Authorization": "Basic abc"})

    assert answer.json() == "anon"


def test_the_keys_of_a_project_are_tokens(api):
    assert api.rpc("probe_role", api.key("service_role")).json() == "service_role"
    assert api.rpc("probe_role", api.key("anon")).json() == "anon"


@pytest.mark.parametrize(
    ("bad", "hosted", "older"),
    [
        pytest.param(
            lambda api: api.token("somebody else's secret, just as long", role="service_role"),
            error(
                "PGRST301",
                "No suitable key or wrong key type",
                "None of the keys was able to decode the JWT",
            ),
            error("PGRST301", "JWSError JWSInvalidSignature"),
            id="signed by somebody else",
        ),
        pytest.param(
            lambda api: api.token(role="service_role", exp=int(time.time()) - 60),
            error("PGRST303", "JWT expired"),
            error("PGRST301", "JWT expired"),
            id="expired",
        ),
        pytest.param(
            lambda api: api.token(role="service_role", nbf=int(time.time()) + 3600),
            error("PGRST303", "JWT not yet valid"),
            error("PGRST301", "JWTNotYetValid"),
            id="not valid yet",
        ),
        pytest.param(
            lambda api: "abc",
            error("PGRST301", "Expected 3 parts in JWT; got 1"),
            error(
                "PGRST301",
                "JWSError (CompactDecodeError Invalid number of parts: Expected 3 parts; got 1)",
            ),
            id="no token at all",
        ),
    ],
)
def test_a_bad_token_is_401(api, bad, hosted, older):
    answer = api.rpc("probe_role", bad(api))

    assert (answer.status_code, answer.json()) == (401, api.says(hosted, older=older))
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize(
    "bad",
    [
        lambda api: unsigned({"role": "service_role"}),
        lambda api: "a.b.c",
        lambda api: api.key("service_role")[:-4],
        lambda api: tampered(api.key("anon"), role="service_role"),
    ],
)
def test_a_forged_token_is_401(api, bad):
    answer = api.rpc("probe_role", bad(api))

    assert (answer.status_code, answer.json()["code"]) == (401, "PGRST301")


def tampered(token, **changes):
    head, body, signature = token.split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "==")) | changes
    body = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"{head}.{body}.{signature}"


def test_half_a_minute_of_clock_skew_is_forgiven(api):
    answer = api.rpc("probe_role", api.token(role="anon", exp=int(time.time()) - 10))

    assert answer.status_code == 200


def test_a_role_that_is_not_for_tokens_is_refused(api):
    answer = api.rpc("probe_role", api.token(role="postgres"))

    message = 'permission denied to set role "postgres"'
    assert (answer.status_code, answer.json()) == (403, error("42501", message))


@pytest.mark.parametrize(
    ("token", "status"),
    [
        pytest.param(lambda api: None, 401, id="nobody"),
        pytest.param(lambda api: api.key("anon"), 401, id="the public key"),
        pytest.param(lambda api: api.token(role="authenticated", sub="user_1"), 403, id="a user"),
    ],
)
@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        ("billing_account", {"clerk_owner_id": "user_1", "livemode": False}),
        ("billing_user_id", {"clerk_id": "user_1"}),
        (
            "link_customer",
            {"clerk_owner_id": "user_1", "livemode": False, "stripe_customer_id": "cus_1"},
        ),
        ("upsert_subscription", {"subscription": {"stripe_subscription_id": "sub_1"}}),
        (
            "upsert_subscription",
            {"subscription": {"stripe_subscription_id": "sub_1"}, "expected_revision": 0},
        ),
    ],
)
def test_the_functions_of_the_service_are_for_the_service_role_alone(
    api, token, status, function, arguments
):
    answer = api.rpc(function, token(api), **arguments)

    message = f"permission denied for function {function}"
    assert (answer.status_code, answer.json()) == (status, error("42501", message))


@pytest.mark.parametrize("table", ["subscriptions", "billing_customers", "users"])
def test_the_public_key_reads_no_table(api, table):
    answer = api.call("GET", table, api.key("anon"))

    message = f"permission denied for table {table}"
    assert (answer.status_code, answer.json()) == (401, error("42501", message))
    assert answer.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("table", ["billing_customers", "users"])
def test_a_signed_in_user_reads_no_other_table(api, table):
    answer = api.call("GET", table, api.token(role="authenticated", sub="user_1"))

    message = f"permission denied for table {table}"
    assert (answer.status_code, answer.json()) == (403, error("42501", message))
