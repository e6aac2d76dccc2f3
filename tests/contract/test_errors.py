"""Every code of the contract is reached, in its documented shape, whoever it was that failed."""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import contract_document
import pytest
import responses
from by_requests import exchange_by_requests
from member import Member
from service_under_test import (
    Json,
    Log,
    MakeService,
    Service,
    calls,
    last_event,
    link,
    put_row,
    refused,
)
from werkzeug.test import TestResponse

from portal_service.errors import ERRORS
from portal_service.transport import Transport
from sandbox.world import World

# The contract's table: each code and its statuses.
CONTRACT = {
    "invalid_request": {400, 413, 415},
    "invalid_signature": {400},
    "invalid_payload": {400},
    "unauthorized": {401},
    "origin_not_allowed": {403},
    "impersonation_not_allowed": {403},
    "organization_required": {403},
    "not_billing_admin": {403},
    "user_not_found": {404},
    "no_subscription": {404},
    "not_found": {404},
    "method_not_allowed": {405},
    "already_subscribed": {409},
    "customer_not_found": {409},
    "stripe_refused": {409},
    "rate_limited": {429},
    "portal_not_configured": {500},
    "checkout_not_configured": {500},
    "internal_error": {500},
    "stripe_unavailable": {503},
    "database_unavailable": {503},
    "clerk_unavailable": {503},
}


@dataclass
class Place:
    """Where an error is reached from."""

    world: World
    make_service: MakeService

    @property
    def service(self) -> Service:
        return self.make_service()

    def with_customer(self) -> Service:
        link(self.world, self.world.stripe.create_customer()["id"])
        return self.service

    def fault(self, **switches: str) -> Service:
        self.world.faults.update(switches)
        return self.service


def _not_configured(at: Place) -> TestResponse:
    service = at.with_customer()
    at.world.stripe.configurations.clear()
    return service.portal()


def _checkout_not_configured(at: Place) -> TestResponse:
    at.world.stripe.archive("price_pro")
    return at.service.checkout()


def _refused_by_stripe(at: Place) -> TestResponse:
    at.world.stripe.create_subscription("user_ada", "price_pro")
    at.service.outcome(last_event(at.world.stripe))
    (default,) = at.world.stripe.configurations.values()
    default["features"]["subscription_cancel"]["enabled"] = False
    return at.service.portal(body={"flow": "subscription_cancel"})


def _customer_not_found(at: Place) -> TestResponse:
    link(at.world, "cus_of_another_account")
    return at.service.portal()


def _rate_limited(at: Place) -> TestResponse:
    service = at.make_service(rate_limit="1/minute")
    service.portal()
    return service.portal()


def _already_subscribed(at: Place) -> TestResponse:
    put_row(at.world, stripe_customer_id=None)
    return at.service.checkout()


def _impersonating(at: Place) -> TestResponse:
    service = at.service
    return service.call("POST", "/portal", headers=service.bearer(act={"sub": "user_admin"}))


def _where_organizations_pay(at: Place, organization: str | None) -> TestResponse:
    service = at.make_service(billing_owner="organization")
    return Member(service, "ada", organization).checkout()


def _by_azp(at: Place) -> TestResponse:
    service = at.service
    return service.call("GET", "/subscription", headers=service.bearer(azp="https://evil.example"))


REACHED: dict[str, Callable[[Place], TestResponse]] = {
    "invalid_request": lambda at: at.service.portal(body={"flow": "nonsense"}),
    "invalid_signature": lambda at: at.service.call("POST", "/webhook", data=b"{}"),
    "invalid_payload": lambda at: at.service.deliver(b"[]"),
    "unauthorized": lambda at: at.service.call("GET", "/subscription"),
    "origin_not_allowed": _by_azp,
    "impersonation_not_allowed": _impersonating,
    "organization_required": lambda at: _where_organizations_pay(at, None),
    "not_billing_admin": lambda at: _where_organizations_pay(at, "org_globex"),
    "user_not_found": lambda at: at.service.portal("stranger"),
    "no_subscription": lambda at: at.service.portal(),
    "not_found": lambda at: at.service.call("GET", "/nowhere"),
    "method_not_allowed": lambda at: at.service.call("DELETE", "/portal"),
    "already_subscribed": _already_subscribed,
    "customer_not_found": _customer_not_found,
    "stripe_refused": _refused_by_stripe,
    "rate_limited": _rate_limited,
    "portal_not_configured": _not_configured,
    "checkout_not_configured": _checkout_not_configured,
    "internal_error": lambda at: at.make_service(stripe_secret_key="sk_test_x").checkout(),
    "stripe_unavailable": lambda at: at.fault(stripe="rate_limited").checkout(),
    "database_unavailable": lambda at: at.fault(database="down").status(),
    "clerk_unavailable": lambda at: at.fault(clerk="down").status(),
}


def test_every_code_is_reached_here_and_no_other_exists() -> None:
    documented = contract_document.DOCUMENT["components"]["schemas"]["ErrorBody"]["properties"][
        "code"
    ]
    assert set(REACHED) == set(CONTRACT) == set(ERRORS) == set(documented["enum"])


@pytest.mark.parametrize("code", list(REACHED))
def test_a_code_has_its_status_its_sentence_and_the_requests_id(
    world: World, make_service: MakeService, ada: str, code: str
) -> None:
    answer = REACHED[code](Place(world, make_service))

    body = answer.json or {}
    assert answer.status_code in CONTRACT[code]
    assert set(body) == {"error", "code", "request_id"}
    assert (body["code"], body["request_id"]) == (code, answer.headers["X-Request-ID"])
    assert body["error"].strip()
    assert ("Retry-After" in answer.headers) == (answer.status_code in (429, 503))


@pytest.mark.parametrize("code", list(CONTRACT))
def test_a_code_has_the_same_statuses_in_the_table_and_in_the_document(code: str) -> None:
    documented: set[int] = set()
    for response in contract_document.DOCUMENT["components"]["responses"].values():
        listed = response["content"]["application/json"]["schema"]["allOf"][1]["properties"]
        if code in listed["code"]["enum"]:
            documented |= _statuses(response)

    assert ERRORS[code][0] in CONTRACT[code]
    assert documented == CONTRACT[code]


def _statuses(response: Json) -> set[int]:
    """Where the document uses a response."""
    document = contract_document.DOCUMENT
    name = next(n for n, r in document["components"]["responses"].items() if r is response)
    special = {"NotFound": {404}, "MethodNotAllowed": {405}}.get(name, set())
    return special | {
        int(status)
        for item in document["paths"].values()
        for operation in item.values()
        for status, used in operation["responses"].items()
        if used.get("$ref", "").endswith(f"/{name}")
    }


# Request ids, paths and methods


def test_the_frontends_request_id_is_that_of_answer_and_log(service: Service, log: Log) -> None:
    answer = service.call("GET", "/subscription", headers={"X-Request-ID": "A-b.c_d-0123"})

    assert refused(answer, "unauthorized")["request_id"] == "A-b.c_d-0123"
    assert log.line("request")["request_id"] == "A-b.c_d-0123"


def test_an_unknown_path_is_not_found(service: Service) -> None:
    for path in ("/api/stripe", "/api/stripe/", "/api/stripe/x", "/api/stripe/portal/",
                 "/api/stripe/portal/x", "/api/stripe/subscription/refresh/x", "/", "/portal",
                 "/x/é", "/favicon.ico", "/static/x", "/api/stripe/%2e%2e/healthz"):  # fmt: skip
        for method in ("GET", "POST", "PUT"):
            refused(service.root(path, method), "not_found")


@pytest.mark.parametrize(
    "path, allowed",
    [
        ("/api/stripe/portal", "POST"),
        ("/api/stripe/checkout", "POST"),
        ("/api/stripe/webhook", "POST"),
        ("/api/stripe/subscription/refresh", "POST"),
        ("/api/stripe/subscription", "GET"),
        ("/healthz", "GET"),
        ("/readyz", "GET"),
        ("/metrics", "GET"),
        ("/openapi.json", "GET"),
    ],
)
def test_a_method_that_a_path_does_not_have_is_refused(
    service: Service, path: str, allowed: str
) -> None:
    for method in {"GET", "POST", "PUT", "PATCH", "DELETE"} - {allowed}:
        answer = service.root(path, method)
        refused(answer, "method_not_allowed")
        assert allowed in answer.headers["Allow"].split(", ")
        assert method not in answer.headers["Allow"].split(", ")


def test_errors_are_json_whatever_the_client_accepts(service: Service) -> None:
    for path in ("/api/stripe/x", "/api/stripe/portal", "/x"):
        answer = service.root(path, "GET", headers={"Accept": "text/html"})
        assert json.loads(answer.text)["code"]


# Bodies. What is none, byte by byte: tests/rules/test_input_bodies.py


def post(service: Service, path: str, data: bytes, content_type: str | None) -> TestResponse:
    return service.call(
        "POST", path, data=data, content_type=content_type, headers=service.bearer()
    )


@pytest.mark.parametrize("path", ["/portal", "/checkout", "/subscription/refresh"])
def test_a_body_is_a_small_object_of_known_fields_sent_as_json(
    world: World, make_service: MakeService, ada: str, path: str
) -> None:
    service = Place(world, make_service).with_customer()
    body = b"{" + b" " * (16 * 1024 - 2) + b"}"

    assert post(service, path, body, "application/json; charset=utf-8").status_code == 200
    assert post(service, path, b"", "text/plain").status_code == 200
    refused(post(service, path, body + b" ", "application/json"), "invalid_request", 413)
    refused(post(service, path, b"{}", "text/plain"), "invalid_request", 415)
    for data in (b"{", b"[]", b'{"unknown": 1}'):
        refused(post(service, path, data, "application/json"), "invalid_request")


# What Stripe answers. What each of its errors means: tests/vendors/test_stripe_errors.py


def stripe_error(status: int, **error: Any) -> Json:
    body = {"type": "invalid_request_error", "message": "Told ada@example.com so.", **error}
    return {"status": status, "json": {"error": body}, "headers": {"Request-Id": "req_1abc"}}


@pytest.fixture
def stripe_http(
    world: World, make_service: MakeService, ada: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Service, responses.RequestsMock]]:
    """A service whose Stripe says what a test puts into its mouth."""
    service = make_service(stripe_api_base=None)
    monkeypatch.setattr(time, "sleep", lambda seconds: None)  # the SDK's before its one retry
    monkeypatch.setattr(Transport, "_exchange", exchange_by_requests)
    passed = (world.clerk.issuer, service.settings.supabase_url)
    with responses.RequestsMock(assert_all_requests_are_fired=False, passthru_prefixes=passed) as m:
        yield service, m


def test_a_refusal_of_stripes_is_one_line_in_the_log_without_what_it_knows_of_people(
    world: World, stripe_http: tuple[Service, responses.RequestsMock], log: Log
) -> None:
    service, stripe = stripe_http
    link(world, "cus_1")
    stripe.post("https://api.stripe.com/v1/billing_portal/sessions", **stripe_error(400))

    refused(service.portal(), "stripe_refused")
    line = log.line("stripe call failed")
    assert (line["level"], line["status"], line["stripe_request_id"]) == (
        "WARNING",
        400,
        "req_1abc",
    )
    assert line["stripe_message"] == "Told [removed] so."


@pytest.mark.parametrize(
    "answer, code",
    [
        (stripe_error(400), "internal_error"),
        (stripe_error(400, code="resource_missing", param="customer"), "internal_error"),
        (stripe_error(401), "internal_error"),
        (stripe_error(402, type="card_error", code="card_declined"), "internal_error"),
        (stripe_error(409, code="lock_timeout"), "stripe_unavailable"),
        (stripe_error(500, type="api_error"), "stripe_unavailable"),
        ({"body": ConnectionResetError("reset")}, "stripe_unavailable"),
    ],
)
def test_during_a_webhook_every_error_of_stripes_is_5xx(
    world: World, stripe_http: tuple[Service, responses.RequestsMock], answer: Json, code: str
) -> None:
    """Else Stripe would not deliver again."""
    service, stripe = stripe_http
    world.stripe.create_subscription("user_ada", "price_pro")
    event = last_event(world.stripe)
    stripe.get(f"https://api.stripe.com/v1/subscriptions/{event['data']['object']['id']}", **answer)

    refused(service.deliver(event), code)
    assert world.rows() == []


# Our own faults


def test_what_nobody_expected_is_an_internal_error_with_its_traceback_in_the_log(
    world: World, make_service: MakeService, ada: str, log: Log
) -> None:
    put_row(world)
    service = make_service(plans=None)

    refused(service.status(), "internal_error")
    line = log.line("unexpected error")
    assert "Traceback" in line["exception"]
    assert line["level"] == "ERROR"


# The database


def test_a_database_that_is_down_is_unavailable_everywhere(world: World, service: Service) -> None:
    world.faults.database = "down"
    for call in (service.portal, service.checkout, service.status, service.refresh):
        answer = call()
        refused(answer, "database_unavailable")
        assert int(answer.headers["Retry-After"]) >= 1
    assert calls(world.stripe) == []


def test_an_address_where_nobody_listens_is_unavailable(
    make_service: MakeService, ada: str
) -> None:
    nowhere = "http://127.0.0.1:9"
    refused(make_service(supabase_url=nowhere).status(), "database_unavailable")
    refused(make_service(stripe_api_base=nowhere).checkout(), "stripe_unavailable")
    refused(make_service(clerk_jwks_url=f"{nowhere}/jwks.json").status(), "clerk_unavailable")
