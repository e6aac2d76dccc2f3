"""The blueprint in somebody else's app: below the prefix all is ours, elsewhere nothing."""

import logging
import os
from dataclasses import replace

import contract_document
import pytest
from flask import Flask
from flask.testing import FlaskClient
from service_under_test import APP_URL, MakeService, last_event, put_row, refused, signature
from werkzeug.test import TestResponse

import portal_service
from portal_service import Settings
from sandbox.world import World

PREFIX = "/api/stripe"


@pytest.fixture
def host(world: World, settings: Settings, ada: str) -> Flask:
    """A team's own app, with its own page, its own errors and our blueprint."""
    app = Flask("host")
    app.add_url_rule("/", "page", lambda: "The team's page")
    app.add_url_rule("/broken", "broken", lambda: 1 / 0)
    app.add_url_rule(f"{PREFIX}-docs", "docs", lambda: "not below the prefix")
    app.register_error_handler(404, lambda error: ("The team's own 404", 404))
    app.register_error_handler(405, lambda error: ("The team's own 405", 405))
    app.register_error_handler(Exception, lambda error: ("The team's own 500", 500))
    app.register_blueprint(portal_service.blueprint(settings))
    return app


@pytest.fixture
def client(host: Flask) -> FlaskClient:
    return host.test_client(use_cookies=False)


def ours(answer: TestResponse) -> TestResponse:
    """Fail unless it is an answer of the contract."""
    contract_document.check(answer, PREFIX)
    return answer


def bearer(world: World) -> dict[str, str]:
    return {"Authorization": f"Bearer {world.clerk.session_token('user_ada')}"}


def test_every_call_of_the_prefix_works(world: World, client: FlaskClient) -> None:
    headers = bearer(world)

    assert ours(client.get(f"{PREFIX}/subscription", headers=headers)).status_code == 200
    assert ours(client.post(f"{PREFIX}/checkout", headers=headers)).status_code == 200
    assert ours(client.post(f"{PREFIX}/portal", headers=headers)).status_code == 200
    answer = ours(client.post(f"{PREFIX}/subscription/refresh", headers=headers))
    assert answer.status_code == 200
    world.stripe.create_subscription("user_ada", "price_pro")
    body = b'{"object": "event", "type": "x", "livemode": false, "data": {"object": {}}}'
    answer = client.post(
        f"{PREFIX}/webhook", data=body, headers={"Stripe-Signature": signature(body)}
    )
    assert ours(answer).json == {"received": True, "outcome": "ignored"}


@pytest.mark.parametrize("path", ["", "/", "/x", "/portal/", "/portal/x"])
def test_unknown_paths_below_the_prefix_are_ours(client: FlaskClient, path: str) -> None:
    for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
        refused(ours(client.open(PREFIX + path, method=method)), "not_found")


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE"])
def test_unknown_methods_below_the_prefix_are_ours(client: FlaskClient, method: str) -> None:
    answer = client.open(f"{PREFIX}/portal", method=method)

    assert answer.status_code == 405
    assert "POST" in answer.headers["Allow"]
    assert answer.headers["X-Request-ID"]
    if method != "HEAD":
        refused(ours(answer), "method_not_allowed")


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/openapi.json", "/nowhere"])
def test_no_root_endpoint_is_added(client: FlaskClient, path: str) -> None:
    answer = client.get(path)
    assert (answer.status_code, answer.text) == (404, "The team's own 404")


def test_the_document_and_what_is_for_sale_stand_under_the_prefix(client: FlaskClient) -> None:
    assert f"{PREFIX}/plans" in (client.get(f"{PREFIX}/openapi.json").json or {})["paths"]
    assert client.get(f"{PREFIX}/plans").status_code == 200


@pytest.mark.parametrize(
    "method, path, status, text",
    [
        ("GET", "/", 200, "The team's page"),
        ("POST", "/", 405, "The team's own 405"),
        ("GET", "/broken", 500, "The team's own 500"),
        ("GET", "/nowhere", 404, "The team's own 404"),
        ("GET", f"{PREFIX}-docs", 200, "not below the prefix"),
        ("GET", f"{PREFIX}x", 404, "The team's own 404"),
    ],
)
def test_the_hosts_own_answers_stay_as_they_are(
    client: FlaskClient, method: str, path: str, status: int, text: str
) -> None:
    answer = client.open(path, method=method, headers={"Origin": APP_URL})

    assert (answer.status_code, answer.text) == (status, text)
    for header in ("X-Request-ID", "Cache-Control", "Access-Control-Allow-Origin"):
        assert header not in answer.headers


def test_our_errors_are_ours_despite_the_hosts_handlers(world: World, client: FlaskClient) -> None:
    refused(ours(client.get(f"{PREFIX}/subscription")), "unauthorized")
    world.faults.database = "down"
    answer = client.get(f"{PREFIX}/subscription", headers=bearer(world))
    refused(ours(answer), "database_unavailable")


def test_cors_is_answered_below_the_prefix(client: FlaskClient) -> None:
    headers = {"Origin": APP_URL, "Access-Control-Request-Method": "POST"}
    answer = client.options(f"{PREFIX}/portal", headers=headers)
    assert answer.headers["Access-Control-Allow-Origin"] == APP_URL


def test_the_hosts_log_is_left_alone(settings: Settings) -> None:
    root, logger = logging.getLogger(), logging.getLogger("portal_service")
    logger.handlers, logger.propagate, before = [], True, list(root.handlers)

    Flask("host").register_blueprint(portal_service.blueprint(settings))
    assert (logger.handlers, logger.propagate, root.handlers) == ([], True, before)


def test_nothing_reads_the_environment(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, world: World, ada: str
) -> None:
    for name in list(os.environ):
        monkeypatch.delenv(name)
    app = Flask("host")
    app.register_blueprint(portal_service.blueprint(settings))

    answer = app.test_client().get(f"{PREFIX}/subscription", headers=bearer(world))
    assert answer.status_code == 200


def test_two_apps_in_one_process_do_not_mix(world: World, settings: Settings, ada: str) -> None:
    put_row(world, status="past_due")
    clients = []
    for entitled in (("active",), ("past_due",)):
        app = Flask("host")
        changed = replace(settings, entitled_statuses=entitled)
        app.register_blueprint(portal_service.blueprint(changed))
        clients.append(app.test_client())

    answers = [c.get(f"{PREFIX}/subscription", headers=bearer(world)) for c in clients]
    assert [(answer.json or {})["subscribed"] for answer in answers] == [False, True]


def test_the_commands_come_with_it(host: Flask) -> None:
    result = host.test_cli_runner().invoke(args=["portal", "--help"])
    assert result.exit_code == 0
    assert {"sync", "replay"} <= set(result.output.split())


@pytest.mark.parametrize("prefix", ["/billing", "/a/b/c", ""])
def test_the_prefix_is_a_setting(world: World, settings: Settings, ada: str, prefix: str) -> None:
    app = Flask("host")
    app.register_blueprint(portal_service.blueprint(replace(settings, url_prefix=prefix)))
    client = app.test_client()

    assert client.get(f"{prefix}/subscription", headers=bearer(world)).status_code == 200
    assert (client.get(f"{prefix}/nowhere").json or {})["code"] == "not_found"


def test_the_standalone_service_takes_another_prefix_too(
    world: World, make_service: MakeService, ada: str
) -> None:
    for prefix in ("/billing", ""):
        service = make_service(url_prefix=prefix)
        assert service.status().status_code == 200
        for path in ("/healthz", "/readyz", "/metrics", "/openapi.json"):
            assert service.root(path).status_code == 200
        refused(service.root("/api/stripe/subscription"), "not_found")
        world.stripe.create_customer()
        assert service.deliver(last_event(world.stripe)).status_code == 200
