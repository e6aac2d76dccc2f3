"""The control API: what it answers, and what it refuses."""

from typing import Any

import jwt
import pytest
from flask import Flask
from flask.testing import FlaskClient

from sandbox import control
from sandbox.world import World

APP_URL = "http://localhost:8000"


@pytest.fixture
def client(world: World) -> FlaskClient:
    app = Flask(__name__)
    control.register(app, world, app_url=APP_URL, service_url="http://127.0.0.1:1")
    return app.test_client()


def post(client: FlaskClient, path: str, body: Any = None) -> Any:
    answer = client.post(f"/_sandbox{path}", json=body)
    assert answer.status_code == 200, answer.text
    return answer.get_json()


def refused(client: FlaskClient, path: str, body: Any, status: int) -> str:
    answer = client.post(f"/_sandbox{path}", json=body)
    assert answer.status_code == status, answer.text
    assert set(answer.get_json()) == {"error"}
    return str(answer.get_json()["error"])


def test_info_says_where_everything_is(client: FlaskClient) -> None:
    info = client.get("/_sandbox/info").get_json()
    assert set(info) == {
        *("service_url", "supabase_url", "supabase_service_key", "supabase_anon_key"),
        *("stripe_url", "clerk_issuer", "clerk_jwks_url", "clerk_publishable_key"),
        *("database_url", "webhook_secret", "app_url", "billing_owner"),
    }
    assert all(info.values())


def test_a_session_is_a_token_and_a_row(client: FlaskClient, world: World) -> None:
    session = post(client, "/session", {"user": "ada"})

    assert session["clerk_id"] == "user_ada"
    assert session["user_id"] == world.user_id("ada")
    claims = jwt.decode(session["token"], options={"verify_signature": False})
    assert (claims["sub"], claims["azp"]) == ("user_ada", APP_URL)
    assert post(client, "/session", {"user": "ada"})["user_id"] == session["user_id"]


def test_a_user_changes_something_at_clerk_and_leaves(client: FlaskClient, world: World) -> None:
    event = post(client, "/clerk/users/ada", {"email": "ada@new.example", "last_name": "King"})
    assert event["type"] == "user.updated"
    assert event["data"]["email_addresses"][0]["email_address"] == "ada@new.example"
    assert world.clerk_users.user("user_ada")["last_name"] == "King"

    assert "ada" in refused(client, "/clerk/users/A%20B", {"delete": True}, 400)
    for nonsense in ({}, {"delete": False}, {"email": ""}, {"email": 7}, {"first": "Ada"}):
        assert refused(client, "/clerk/users/ada", nonsense, 400)
    assert post(client, "/clerk/users/ada", {"delete": True})["type"] == "user.deleted"
    assert "left" in refused(client, "/clerk/users/ada", {"delete": True}, 404)
    assert client.get("/_sandbox/clerk/deliveries").get_json() == []
    post(client, "/reset")
    assert world.clerk_users.user("user_ada")["first_name"] == "Ada"


def test_an_organization_gets_another_name_and_is_deleted(
    client: FlaskClient, world: World
) -> None:
    event = post(client, "/clerk/organizations/org_acme", {"name": "Acme Ltd"})
    assert (event["type"], event["data"]["name"]) == ("organization.updated", "Acme Ltd")
    assert event["data"]["updated_at"] <= event["timestamp"]
    assert refused(client, "/clerk/organizations/org_acme", {}, 400)

    event = post(client, "/clerk/organizations/org_acme", {"delete": True})
    assert event["data"] == {"deleted": True, "id": "org_acme", "object": "organization"}
    assert "org_acme" not in world.clerk.organizations.all()
    assert refused(client, "/clerk/organizations/org_acme", {"name": "Acme"}, 404)


def test_a_session_without_a_row_and_with_other_claims(client: FlaskClient, world: World) -> None:
    body = {"user": "grace", "row": False, "claims": {"azp": None, "sts": "pending"}}
    session = post(client, "/session", body)

    assert session["user_id"] is None
    assert world.user_id("grace") is None
    claims = jwt.decode(session["token"], options={"verify_signature": False})
    assert "azp" not in claims
    assert claims["sts"] == "pending"


def test_a_session_in_an_organization_that_the_user_is_in(client: FlaskClient) -> None:
    changed = {"organization": "org_acme", "clerk_id": "user_linus", "role": "admin"}
    assert post(client, "/organizations", changed)["org_acme"]["user_linus"] == "admin"
    asked = {"user": "linus", "organization": "org_acme"}
    token = post(client, "/session", asked)["token"]
    assert jwt.decode(token, options={"verify_signature": False})["o"]["rol"] == "admin"
    token = post(client, "/session", asked | {"version": 1})["token"]
    assert jwt.decode(token, options={"verify_signature": False})["org_role"] == "org:admin"

    assert "user_linus" not in post(client, "/organizations", changed | {"role": None})["org_acme"]
    assert "no member" in refused(client, "/session", asked, 404)
    assert client.get("/_sandbox/organizations").get_json()["org_globex"]["user_grace"] == "admin"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (None, "user"),
        ({}, "user"),
        ({"user": 5}, "user"),
        ({"user": "Ada Lovelace"}, "small letters"),
        ({"user": "ada\n"}, "small letters"),
        ({"user": "ada", "claims": []}, "claims"),
        ({"user": "ada", "row": "no"}, "row"),
        ({"user": "ada", "usr": 1}, "usr"),
        ({"user": "ada", "organization": 7}, "organization"),
        ({"user": "ada", "version": 3}, "version"),
        ([], "JSON object"),
    ],
)
def test_a_bad_session_is_refused(client: FlaskClient, body: Any, said: str) -> None:
    assert said in refused(client, "/session", body, 400)


def test_what_is_not_json_is_refused(client: FlaskClient) -> None:
    answer = client.post("/_sandbox/session", data="user=ada")
    assert answer.status_code == 400
    assert "JSON" in answer.get_json()["error"]


def test_curl_without_a_content_type_is_fine(client: FlaskClient) -> None:
    answer = client.post(
        "/_sandbox/session",
        data='{"user": "ada"}',
        content_type="application/x-www-form-urlencoded",
    )
    assert answer.status_code == 200


def test_rows_and_deliveries(client: FlaskClient, world: World) -> None:
    assert client.get("/_sandbox/rows").get_json() == []
    assert client.get("/_sandbox/deliveries").get_json() == []

    post(client, "/stripe/subscriptions", {"user": "ada"})

    deliveries = client.get("/_sandbox/deliveries").get_json()
    assert "customer.subscription.created" in [delivery["type"] for delivery in deliveries]
    assert {"event_id", "type", "attempt", "status_code", "outcome"} <= set(deliveries[0])


def test_faults_are_turned_on_and_off(client: FlaskClient, world: World) -> None:
    assert post(client, "/faults", {"stripe": "slow", "webhook_duplicates": 2})["stripe"] == "slow"
    assert client.get("/_sandbox/faults").get_json() == {
        "webhook_delay_ms": 0,
        "webhook_duplicates": 2,
        "webhook_shuffle": False,
        "stripe": "slow",
        "stripe_latency_ms": 0,
        "database": "up",
        "database_latency_ms": 0,
        "clerk": "up",
    }


@pytest.mark.parametrize(
    "body",
    [
        {"stripe": "sideways"},
        {"weather": "bad"},
        {"webhook_delay_ms": "soon"},
        {"stripe": []},
        {"stripe_latency_ms": 60_001},
        {"database_latency_ms": -1},
    ],
)
def test_a_bad_fault_changes_nothing(client: FlaskClient, world: World, body: Any) -> None:
    assert next(iter(body)) in refused(client, "/faults", {"clerk": "down"} | body, 400)
    assert world.faults.clerk == "up"


def test_only_the_sandboxs_own_service_can_be_stopped(client: FlaskClient) -> None:
    assert "running" in refused(client, "/service", {"running": "no"}, 400)
    assert "not the sandbox's own" in refused(client, "/service", {"running": False}, 404)
    assert client.get("/_sandbox/service").status_code == 404


def test_subscriptions_are_made_and_acted_upon(client: FlaskClient, world: World) -> None:
    body = {"user": "ada", "price": "price_team", "status": "trialing"}
    made = post(client, "/stripe/subscriptions", body)
    assert (made["status"], made["metadata"]["clerk_user_id"]) == ("trialing", "user_ada")

    path = f"/stripe/subscriptions/{made['id']}"
    assert post(client, path, {"action": "cancel_at_period_end"})["cancel_at"]
    assert post(client, path, {"action": "resume"})["cancel_at"] is None
    changed = post(client, path, {"action": "change_plan", "price": "price_pro"})
    assert changed["items"]["data"][0]["price"]["id"] == "price_pro"
    assert post(client, path, {"action": "cancel_now"})["status"] == "canceled"


@pytest.mark.parametrize(
    ("path", "body", "status", "said"),
    [
        ("/stripe/subscriptions", {"user": "ada", "price": "price_nope"}, 400, "price is one of"),
        ("/stripe/subscriptions", {"user": "ada", "status": "happy"}, 400, "status is one of"),
        ("/stripe/subscriptions", {"price": "price_pro"}, 400, "user"),
        ("/stripe/subscriptions/sub_nope", {"action": "pay"}, 404, "sub_nope"),
        ("/stripe/checkout/cs_nope", {"action": "pay"}, 404, "cs_nope"),
        ("/stripe/checkout/cs_nope", {"action": "dance"}, 400, "pay, decline, expire"),
        ("/stripe/checkout/cs_nope", {}, 400, "action"),
        ("/nowhere", {}, 404, ""),
        ("/info", {}, 405, ""),
    ],
)
def test_what_stripe_does_not_have_is_refused(
    client: FlaskClient, path: str, body: Any, status: int, said: str
) -> None:
    assert said in refused(client, path, body, status)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"action": "dance"}, "cancel_at_period_end"),
        ({"action": "pay"}, "owes nothing"),
        ({"action": 1}, "action"),
        ({"action": "change_plan", "quantity": "many"}, "quantity"),
        ({"action": "pay", "price": "price_pro"}, "pay takes nothing more"),
        ({"action": "pay", "how": "cash"}, "how"),
    ],
)
def test_what_can_not_happen_to_a_subscription_is_refused(
    client: FlaskClient, body: Any, said: str
) -> None:
    made = post(client, "/stripe/subscriptions", {"user": "ada"})
    assert said in refused(client, f"/stripe/subscriptions/{made['id']}", body, 400)


def test_reset_forgets_everything(client: FlaskClient, world: World) -> None:
    post(client, "/session", {"user": "ada"})
    made = post(client, "/stripe/subscriptions", {"user": "ada"})
    post(client, "/faults", {"clerk": "down"})

    post(client, "/reset")

    assert world.user_id("ada") is None
    assert world.faults.clerk == "up"
    assert client.get("/_sandbox/deliveries").get_json() == []
    refused(client, f"/stripe/subscriptions/{made['id']}", {"action": "pay"}, 404)
