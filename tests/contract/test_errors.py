"""Every code of the contract is reached, and what Stripe, the database or a body does wrong maps to
the right one."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import contract_document
import pytest
import responses
from service_under_test import (
    APP_URL,
    Json,
    Log,
    MakeService,
    OtherStripe,
    Service,
    calls,
    last_event,
    link,
    put_row,
    refused,
    rows,
)
from werkzeug.test import TestResponse

from portal_service import deadline
from portal_service.errors import ERRORS
from sandbox.world import World

# The contract's table: each code and its statuses.
CONTRACT = {
    "invalid_request": {400, 413, 415},
    "invalid_signature": {400},
    "invalid_payload": {400},
    "unauthorized": {401},
    "origin_not_allowed": {403},
    "impersonation_not_allowed": {403},
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
    documented = contract_document.DOCUMENT["components"]["schemas"]["Error"]["properties"]["code"]
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


@pytest.mark.parametrize(
    "code, sentence",
    [
        ("unauthorized", "Unauthorized"),
        ("user_not_found", "User not found"),
        ("no_subscription", "No subscription found"),
    ],
)
def test_the_sentences_of_the_original_stay_word_for_word(
    world: World, make_service: MakeService, ada: str, code: str, sentence: str
) -> None:
    assert (REACHED[code](Place(world, make_service)).json or {})["error"] == sentence


# Request ids


@pytest.mark.parametrize("sent", ["abcd1234", "A-b.c_d-0123", "x" * 64])
def test_a_good_request_id_is_kept(service: Service, log: Log, sent: str) -> None:
    answer = service.call("GET", "/subscription", headers={"X-Request-ID": sent})

    assert refused(answer, "unauthorized")["request_id"] == sent
    assert log.line("request")["request_id"] == sent


@pytest.mark.parametrize("sent", ["", "short", "x" * 65, "abcd 1234", "abcd1234\xe9", "a=b;c=d,e"])
def test_any_other_is_replaced(service: Service, sent: str) -> None:
    answer = service.call("GET", "/subscription", headers={"X-Request-ID": sent})
    assert answer.headers["X-Request-ID"] != sent


# Paths and methods


@pytest.mark.parametrize(
    "path", ["/api/stripe", "/api/stripe/", "/api/stripe/x", "/api/stripe/portal/",
             "/api/stripe/portal/x", "/api/stripe/subscription/refresh/x", "/", "/portal", "/x/é",
             "/favicon.ico", "/static/x", "/api/stripe/%2e%2e/healthz"]
)  # fmt: skip
def test_an_unknown_path_is_not_found(service: Service, path: str) -> None:
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


# Bodies


PATHS = ["/portal", "/checkout", "/subscription/refresh"]


def post(service: Service, path: str, data: bytes, content_type: str | None) -> TestResponse:
    return service.call(
        "POST", path, data=data, content_type=content_type, headers=service.bearer()
    )


@pytest.mark.parametrize(
    "data",
    [b"{", b"nonsense", b"[]", b"null", b"7", b'"x"', b"\xff", b"[" * 5000, b'{"a":' * 2500,
     b'{"quantity": ' + b"9" * 5000 + b"}", b"{}{}", b'{"unknown": 1}'],
)  # fmt: skip
def test_what_is_no_json_object_is_invalid(service: Service, data: bytes) -> None:
    for path in PATHS:
        refused(post(service, path, data, "application/json"), "invalid_request")


@pytest.mark.parametrize(
    "content_type", [None, "text/plain", "application/x-www-form-urlencoded", "text/json", "x"]
)
def test_a_body_that_is_not_sent_as_json_is_unsupported(
    service: Service, content_type: str | None
) -> None:
    for path in PATHS:
        refused(post(service, path, b"{}", content_type), "invalid_request", 415)


@pytest.mark.parametrize("content_type", ["application/json", "application/json; charset=utf-8"])
def test_json_may_name_its_charset(service: Service, content_type: str) -> None:
    assert post(service, "/subscription/refresh", b"{}", content_type).status_code == 200


@pytest.mark.parametrize("path", PATHS)
def test_a_body_may_have_16_kib_and_not_one_byte_more(
    world: World, make_service: MakeService, ada: str, path: str
) -> None:
    service = Place(world, make_service).with_customer()
    body = b"{" + b" " * (16 * 1024 - 2) + b"}"

    assert post(service, path, body, "application/json").status_code == 200
    refused(post(service, path, body + b" ", "application/json"), "invalid_request", 413)


# Stripe's errors


def stripe_error(status: int, **error: Any) -> Json:
    body = {"type": "invalid_request_error", "message": "Told ada@example.com so.", **error}
    return {"status": status, "json": {"error": body}, "headers": {"Request-Id": "req_1abc"}}


UNAVAILABLE, REFUSED, INTERNAL = "stripe_unavailable", "stripe_refused", "internal_error"
NOT_CONFIGURED = "No configuration provided and your test mode default configuration has not been"
STRIPE_ERRORS = [
    (stripe_error(400), REFUSED),
    (stripe_error(400, code="resource_missing", param="customer"), "customer_not_found"),
    (
        stripe_error(400, code="resource_missing", param="configuration"),
        "portal_not_configured",
    ),
    (stripe_error(400, code="parameter_unknown", param="x"), INTERNAL),
    (stripe_error(400, code="parameter_invalid_empty", param="x"), INTERNAL),
    (stripe_error(400, code="url_invalid", param="return_url"), INTERNAL),
    (stripe_error(400, message=NOT_CONFIGURED), "portal_not_configured"),
    (stripe_error(400, code="rate_limit"), UNAVAILABLE),
    (stripe_error(400, type="idempotency_error"), REFUSED),
    (stripe_error(401), INTERNAL),
    (stripe_error(402, type="card_error", code="card_declined"), REFUSED),
    (stripe_error(403), INTERNAL),
    (stripe_error(404, code="resource_missing", param="id"), REFUSED),
    (stripe_error(409, type="idempotency_error", code="idempotency_key_in_use"), UNAVAILABLE),
    (stripe_error(409, code="lock_timeout"), UNAVAILABLE),
    (stripe_error(429, code="rate_limit"), UNAVAILABLE),
    (stripe_error(429, code="lock_timeout"), UNAVAILABLE),
    (stripe_error(500, type="api_error"), UNAVAILABLE),
    (stripe_error(503, type="api_error"), UNAVAILABLE),
    ({"status": 502, "body": "<html>Bad gateway</html>"}, UNAVAILABLE),
    ({"status": 200, "body": "<html>A proxy's page</html>"}, UNAVAILABLE),
    ({"status": 500, "json": {}}, UNAVAILABLE),
    ({"body": ConnectionResetError("reset")}, UNAVAILABLE),
    ({"body": TimeoutError("slow")}, UNAVAILABLE),
]  # fmt: skip


@pytest.fixture
def stripe_http(
    world: World, make_service: MakeService, ada: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Service, responses.RequestsMock]]:
    """A service whose Stripe says what a test puts into its mouth."""
    service = make_service(stripe_api_base=None)
    monkeypatch.setattr(time, "sleep", lambda seconds: None)  # the SDK's before its one retry
    passed = (world.clerk.issuer,)
    with responses.RequestsMock(assert_all_requests_are_fired=False, passthru_prefixes=passed) as m:
        yield service, m


@pytest.mark.parametrize("answer, code", STRIPE_ERRORS)
def test_what_an_error_of_stripes_is_for_the_frontend(
    world: World,
    stripe_http: tuple[Service, responses.RequestsMock],
    log: Log,
    answer: Json,
    code: str,
) -> None:
    service, stripe = stripe_http
    link(world, "cus_1")
    stripe.post("https://api.stripe.com/v1/billing_portal/sessions", **answer)

    refused(service.portal(), code)
    if error := answer.get("json", {}).get("error"):
        line = log.line("stripe call failed")
        assert (line["stripe_code"], line["stripe_param"], line["stripe_request_id"]) == (
            error.get("code"),
            error.get("param"),
            "req_1abc",
        )
        assert line["stripe_type"] and line["status"] == answer["status"]
        assert line["stripe_message"] == error["message"].replace("ada@example.com", "[removed]")
        lock = error.get("code") == "lock_timeout"  # two writers at once, as with one key: normal
        two_clicks = error["type"] == "idempotency_error" or lock
        level = "ERROR" if ERRORS[code][0] >= 500 else "WARNING"
        assert line["level"] == ("INFO" if two_clicks else level)
    assert service.settings.stripe_secret_key not in log.text


@pytest.mark.parametrize(
    "answer",
    # That a subscription does not exist is an answer, and the portal is not asked here.
    [a for a, code in STRIPE_ERRORS if a.get("status") != 404 and code != "portal_not_configured"],
)
def test_during_a_webhook_every_error_of_stripes_is_5xx(
    world: World, stripe_http: tuple[Service, responses.RequestsMock], answer: Json
) -> None:
    service, stripe = stripe_http
    world.stripe.create_subscription("user_ada", "price_pro")
    event = last_event(world.stripe)
    stripe.get(f"https://api.stripe.com/v1/subscriptions/{event['data']['object']['id']}", **answer)

    assert service.deliver(event).status_code >= 500
    assert world.rows() == []


def test_stripe_is_tried_twice_and_no_more(
    world: World, stripe_http: tuple[Service, responses.RequestsMock]
) -> None:
    service, stripe = stripe_http
    link(world, "cus_1")
    stripe.post("https://api.stripe.com/v1/billing_portal/sessions", **stripe_error(500))

    refused(service.portal(), "stripe_unavailable")
    assert len(stripe.calls) == 2
    first, second = (call.request.headers for call in stripe.calls)
    assert first["Idempotency-Key"] == second["Idempotency-Key"]
    assert first["Stripe-Version"] == "2026-10-28.endive"


def test_one_try_that_succeeds_is_enough(
    world: World, stripe_http: tuple[Service, responses.RequestsMock]
) -> None:
    service, stripe = stripe_http
    link(world, "cus_1")
    address = "https://api.stripe.com/v1/billing_portal/sessions"
    stripe.post(address, **stripe_error(409, code="lock_timeout"))
    stripe.post(address, json={"object": "billing_portal.session", "url": "https://x.example/"})

    assert service.portal().json == {"url": "https://x.example/"}


def test_a_portal_that_is_not_configured_names_the_cure_in_the_log(
    world: World, make_service: MakeService, ada: str, log: Log
) -> None:
    refused(_not_configured(Place(world, make_service)), "portal_not_configured")
    assert "STRIPE_PORTAL_CONFIGURATION" in log.line("stripe call failed")["cure"]


def test_a_key_that_is_refused_is_loud(make_service: MakeService, ada: str, log: Log) -> None:
    refused(make_service(stripe_secret_key="sk_test_revoked").checkout(), "internal_error")

    line = log.line("stripe call failed")
    assert (line["level"], line["status"]) == ("ERROR", 401)
    assert "STRIPE_SECRET_KEY" in line["cure"]
    assert "sk_test_revoked" not in log.text


def test_neither_keys_nor_session_addresses_are_ever_logged(
    world: World, make_service: MakeService, ada: str, log: Log
) -> None:
    service = Place(world, make_service).with_customer()
    addresses = [(service.portal().json or {})["url"], (service.checkout().json or {})["url"]]
    world.faults.stripe = "error"
    service.portal()

    for secret in (*addresses, service.settings.stripe_secret_key, service.settings.supabase_key):
        assert secret not in log.text
        assert secret.rpartition("/")[2] not in log.text


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


@pytest.mark.parametrize("path", ["portal", "checkout", "status", "refresh"])
def test_a_database_that_is_down_is_unavailable_everywhere(
    world: World, service: Service, path: str
) -> None:
    world.faults.database = "down"
    answer = getattr(service, path)()

    refused(answer, "database_unavailable")
    assert int(answer.headers["Retry-After"]) >= 1
    assert calls(world.stripe) == []


def test_a_database_key_that_is_refused_is_unavailable(
    world: World, make_service: MakeService, ada: str
) -> None:
    refused(make_service(supabase_key=world.anon_key).status(), "database_unavailable")
    refused(make_service(supabase_key="sb_secret_nonsense").status(), "database_unavailable")


def test_an_address_where_nobody_listens_is_unavailable(
    make_service: MakeService, ada: str
) -> None:
    nowhere = "http://127.0.0.1:9"
    refused(make_service(supabase_url=nowhere).status(), "database_unavailable")
    refused(make_service(stripe_api_base=nowhere).checkout(), "stripe_unavailable")
    refused(make_service(clerk_jwks_url=f"{nowhere}/jwks.json").status(), "clerk_unavailable")


def test_a_page_in_place_of_json_is_unavailable(
    world: World, make_service: MakeService, ada: str
) -> None:
    # The stand-in for Clerk answers each of these with JSON of its own, or with none.
    other = world.clerk.issuer
    refused(make_service(supabase_url=other).status(), "database_unavailable")
    refused(make_service(clerk_jwks_url=f"{other}/nothing").status(), "clerk_unavailable")


def test_a_database_that_is_slow_is_unavailable_after_its_timeout(
    world: World, make_service: MakeService, ada: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sandbox.faults.SLOW_SECONDS", 0.5)
    world.faults.database = "slow"

    began = time.monotonic()
    refused(make_service(database_timeout=0.1).status(), "database_unavailable")
    assert time.monotonic() - began < 0.45


# Time


@pytest.fixture
def stuck_stripe(other_stripe: OtherStripe) -> Iterator[OtherStripe]:
    """A Stripe that does what it is told and does not answer before the test is over."""
    over = threading.Event()
    other_stripe.faults.stripe = "slow"
    other_stripe.slowly = lambda seconds: over.wait(20) and None
    yield other_stripe
    over.set()


def test_a_stripe_that_is_slow_is_unavailable_after_its_timeout_and_one_retry(
    world: World, service_at: Callable[..., Service], stuck_stripe: OtherStripe
) -> None:
    link(world, stuck_stripe.state.create_customer()["id"])
    service = service_at(stuck_stripe, stripe_timeout=0.1)

    began = time.monotonic()
    refused(service.portal(), "stripe_unavailable")
    assert time.monotonic() - began < 2
    assert 1 <= len(stuck_stripe.state.portal_sessions) <= 2


@pytest.mark.parametrize("path", ["portal", "checkout", "refresh"])
def test_an_attempt_gets_no_more_than_what_is_left_of_the_budget(
    world: World,
    service_at: Callable[..., Service],
    stuck_stripe: OtherStripe,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
) -> None:
    monkeypatch.setattr(deadline, "begin", partial(deadline.begin, 0.4))
    monkeypatch.setattr(deadline, "CHECKOUT_SECONDS", 0.4)
    link(world, stuck_stripe.state.create_customer()["id"])
    service = service_at(stuck_stripe, stripe_timeout=30.0)

    began = time.monotonic()
    refused(getattr(service, path)(), "stripe_unavailable")
    assert time.monotonic() - began < 1.5


def test_checkout_has_a_longer_budget_than_the_other_calls(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.shown()  # Clerk's keys are there
    monkeypatch.setattr(deadline, "begin", partial(deadline.begin, 0.0))

    assert service.portal().status_code == 503
    assert service.refresh().status_code == 503
    assert service.checkout().status_code == 200


def test_the_budget_holds_for_webhooks_too(
    world: World,
    service_at: Callable[..., Service],
    stuck_stripe: OtherStripe,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(deadline, "begin", partial(deadline.begin, 0.4))
    stuck_stripe.state.create_subscription("user_ada", "price_pro")
    service = service_at(stuck_stripe, stripe_timeout=30.0)

    began = time.monotonic()
    refused(service.deliver(last_event(stuck_stripe.state)), "stripe_unavailable")
    assert time.monotonic() - began < 1.5
    assert rows(world) == {}


def test_no_attempt_begins_without_time_left(
    world: World, make_service: MakeService, ada: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database takes all the time that there was: Stripe is not asked any more."""
    monkeypatch.setattr(deadline, "begin", partial(deadline.begin, 0.35))
    monkeypatch.setattr("sandbox.faults.SLOW_SECONDS", 0.32)
    link(world, world.stripe.create_customer()["id"])
    world.faults.database = "slow"

    answer = make_service(database_timeout=30.0).portal()
    assert answer.status_code == 503
    assert calls(world.stripe) == []


def test_who_waits_for_anothers_question_to_stripe_waits_within_the_own_budget(
    world: World,
    service_at: Callable[..., Service],
    stuck_stripe: OtherStripe,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(deadline, "begin", partial(deadline.begin, 0.5))
    link(world, stuck_stripe.state.create_customer()["id"])
    service = service_at(stuck_stripe, stripe_timeout=30.0)
    answers: list[TestResponse] = []
    threads = [threading.Thread(target=lambda: answers.append(service.refresh())) for _ in range(4)]

    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert time.monotonic() - began < 3
    for answer in answers:
        refused(answer, "stripe_unavailable")


def test_an_error_answers_to_the_frontends_origin(service: Service) -> None:
    answer = service.call("GET", "/subscription", headers={"Origin": APP_URL})
    refused(answer, "unauthorized")
    assert answer.headers["Access-Control-Allow-Origin"] == APP_URL


def test_errors_are_json_whatever_the_client_accepts(service: Service) -> None:
    for path in ("/api/stripe/x", "/api/stripe/portal", "/x"):
        answer = service.root(path, "GET", headers={"Accept": "text/html"})
        assert json.loads(answer.text)["code"]
