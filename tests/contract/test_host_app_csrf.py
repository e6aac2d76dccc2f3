"""The blueprint in an app with Flask-WTF's protection: its own POSTs stay guarded, ours work, for
each of them is guarded by a signature, a Bearer token or the Origin.
"""

import json
from collections.abc import Callable

import contract_document
import pytest
from flask import Blueprint, Flask
from flask.testing import FlaskClient
from flask_wtf import CSRFProtect
from service_under_test import APP_URL, last_event, refused, rows, signature
from werkzeug.test import TestResponse

import portal_service
from portal_service import Settings
from sandbox.world import World

PREFIX = "/api/stripe"


def before(app: Flask, settings: Settings) -> None:
    CSRFProtect(app)
    app.register_blueprint(portal_service.blueprint(settings))


def after(app: Flask, settings: Settings) -> None:
    app.register_blueprint(portal_service.blueprint(settings))
    CSRFProtect(app)


def before_and_exempt(app: Flask, settings: Settings) -> None:
    csrf, bp = CSRFProtect(app), portal_service.blueprint(settings)
    csrf.exempt(bp)
    app.register_blueprint(bp)


def after_and_exempt(app: Flask, settings: Settings) -> None:
    bp = portal_service.blueprint(settings)
    app.register_blueprint(bp)
    CSRFProtect(app).exempt(bp)


def late(app: Flask, settings: Settings) -> None:
    """The factory pattern of Flask's own documentation."""
    csrf = CSRFProtect()
    app.register_blueprint(portal_service.blueprint(settings))
    csrf.init_app(app)


def nested(app: Flask, settings: Settings) -> None:
    """Below a blueprint of the team's own."""
    team = Blueprint("team", "team")
    team.register_blueprint(portal_service.blueprint(settings))
    CSRFProtect(app)
    app.register_blueprint(team)


ORDERS = [before, after, before_and_exempt, after_and_exempt, late, nested]


@pytest.fixture(params=ORDERS, ids=lambda order: order.__name__)
def client(request: pytest.FixtureRequest, settings: Settings, ada: str) -> FlaskClient:
    app = Flask("host")
    app.secret_key = "x"
    app.add_url_rule("/comment", "comment", lambda: "kept", methods=["POST"])
    app.add_url_rule(f"{PREFIX}-notes", "notes", lambda: "kept", methods=["POST"])
    request.param(app, settings)
    return app.test_client(use_cookies=False)


def ours(answer: TestResponse) -> TestResponse:
    contract_document.check(answer, PREFIX)
    return answer


def test_every_post_of_ours_works(world: World, client: FlaskClient) -> None:
    headers = {"Authorization": f"Bearer {world.clerk.session_token('user_ada')}"}

    for path in ("checkout", "portal", "subscription/refresh"):
        answer = client.post(f"{PREFIX}/{path}", headers=headers, json={})
        assert ours(answer).status_code == 200, answer.text
    assert client.get(f"{PREFIX}/subscription", headers=headers).status_code == 200


def test_a_signed_webhook_is_taken_in(world: World, client: FlaskClient) -> None:
    subscription = world.stripe.create_subscription("user_ada", "price_pro")
    body = json.dumps(last_event(world.stripe)).encode()

    answer = client.post(
        f"{PREFIX}/webhook", data=body, headers={"Stripe-Signature": signature(body)}
    )
    assert (ours(answer).json or {})["outcome"] == "refreshed"
    assert rows(world)[subscription["id"]]["status"] == "active"


def test_a_cookie_still_needs_an_allowed_origin(world: World, client: FlaskClient) -> None:
    cookie = {"Cookie": f"__session={world.clerk.session_token('user_ada')}"}

    answer = client.post(f"{PREFIX}/checkout", headers=cookie)
    refused(ours(answer), "origin_not_allowed")
    evil = cookie | {"Origin": "https://evil.example"}
    refused(ours(client.post(f"{PREFIX}/checkout", headers=evil)), "origin_not_allowed")
    good = cookie | {"Origin": APP_URL}
    assert ours(client.post(f"{PREFIX}/checkout", headers=good)).status_code == 200


@pytest.mark.parametrize("path", ["/comment", f"{PREFIX}-notes"])
def test_the_hosts_own_posts_stay_guarded(client: FlaskClient, path: str) -> None:
    answer = client.post(path)
    assert (answer.status_code, "CSRF" in answer.text) == (400, True)


def test_unknown_paths_below_the_prefix_are_ours_all_the_same(client: FlaskClient) -> None:
    refused(ours(client.post(f"{PREFIX}/nowhere")), "not_found")
    refused(ours(client.delete(f"{PREFIX}/portal")), "method_not_allowed")


def test_protection_by_decree_of_another_kind_is_left_alone(settings: Settings) -> None:
    """Somebody else's extension of that name."""

    class Other:
        exempt: Callable[..., None] = lambda self, bp: pytest.fail("it is not Flask-WTF's")

    app = Flask("host")
    app.extensions["csrf"] = Other()
    app.register_blueprint(portal_service.blueprint(settings))
    assert app.test_client().get(f"{PREFIX}/nowhere").status_code == 404
