"""Methods that nobody asked for, and pages of foreign origins asking for permission."""

import json
from typing import Any

import pytest
from flask.testing import FlaskClient
from service_under_test import APP_URL, Log, MakeService, Service, refused
from under_attack import CALLS, exchange, request

from sandbox.service import Service as Gunicorn
from sandbox.world import World

METHODS = ["TRACE", "TRACK", "CONNECT", "FOO", "PROPFIND", "DEBUG", "PURGE", "POST2", "GET-",
           "M" * 500]  # fmt: skip
FOREIGN = [
    "https://evil.example", "null", "NULL", "*", "", " ", "file://", "http://localhost",
    "https://localhost:8000", "http://localhost:8001", "http://localhost:8000/", f"{APP_URL}/x",
    f"{APP_URL}.evil.example", f"{APP_URL}@evil.example", f"https://evil.example#{APP_URL}",
    f"{APP_URL}, https://evil.example", f"{APP_URL} https://evil.example", f"https://{APP_URL}",
    "HTTP://LOCALHOST:8000", "http://LocalHost:8000", "http://localhost.:8000", "localhost:8000",
    "http://localhost:8000\t", "http://localhost:8000%00", "http://localhost:8000\xa0",
    "http://127.0.0.1:8000", "http://[::1]:8000", "http://localhost:8000:8000", "http://*:8000",
    "http://l\xf6calhost:8000", "https://evil-acme.vercel.app.evil.example", "http://.:8000",
    "https://-acme.vercel.app", "https://a.b-acme.vercel.app", "http://pr-acme.vercel.app",
    "https://evil.example/-acme.vercel.app", "https://evil.example?-acme.vercel.app", "x" * 5000,
    "https://evil.example%0d%0a-acme.vercel.app", "https://*-acme.vercel.app", ".*", "http://.*",
]  # fmt: skip
PERMISSIONS = [
    "Access-Control-Allow-Origin", "Access-Control-Allow-Credentials",
    "Access-Control-Allow-Private-Network",
]  # fmt: skip


@pytest.fixture
def service(make_service: MakeService, ada: str) -> Service:
    return make_service(
        origins=(APP_URL, "https://*-acme.vercel.app"), rate_limit="1000000/minute",
        refresh_rate_limit="1000000/minute",
    )  # fmt: skip


def preflight(service: Service, path: str, origin: str, **more: str) -> Any:
    headers = {
        "Origin": origin.encode().decode("latin-1"),
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization, content-type",
    }
    return service.call("OPTIONS", path, headers=headers | more)


@pytest.mark.parametrize("path", ["/checkout", "/webhook", "/nowhere"])
def test_a_foreign_page_gets_no_permission_whatever_it_asks(service: Service, path: str) -> None:
    permitted = []
    for origin in FOREIGN:
        more: dict[str, str] = {"Access-Control-Request-Private-Network": "true"}
        answer = preflight(service, path, origin, **more)
        permitted += [(origin, name) for name in PERMISSIONS if name in answer.headers]
    assert permitted == []


def test_a_foreign_page_cannot_read_an_answer(service: Service) -> None:
    permitted = []
    cookie = {"Cookie": f"__session={service.token()}"}
    for number, origin in enumerate(FOREIGN):
        for credentials in (service.bearer(), cookie, {}):
            method, path = CALLS[number % len(CALLS)]
            headers = credentials | {"Origin": origin.encode().decode("latin-1")}
            answer = service.call(method, path, headers=headers)
            permitted += [(origin, name) for name in PERMISSIONS if name in answer.headers]
    assert permitted == []


@pytest.mark.parametrize("origin", [APP_URL, "https://pr-7-acme.vercel.app"])
@pytest.mark.parametrize("method, path", CALLS)
def test_an_allowed_page_gets_its_own_origin_alone_and_never_credentials(
    service: Service, method: str, path: str, origin: str
) -> None:
    more = {"Access-Control-Request-Private-Network": "true"}
    for answer in (
        preflight(service, path, origin, **more),
        service.call(method, path, headers=service.bearer() | {"Origin": origin}),
    ):
        assert answer.headers.getlist("Access-Control-Allow-Origin") == [origin]
        assert "Origin" in answer.headers["Vary"]
        assert "Access-Control-Allow-Credentials" not in answer.headers
        assert answer.headers.get("Access-Control-Allow-Private-Network", "false") == "false"


def test_permission_is_for_what_the_contract_has(service: Service) -> None:
    answer = preflight(service, "/portal", APP_URL)
    methods = {m.strip() for m in answer.headers["Access-Control-Allow-Methods"].split(",")}
    assert methods == {"GET", "POST"}
    for asked in ("stripe-signature", "cookie", "x-forwarded-for", "authorization, x-evil", "*"):
        answer = preflight(service, "/portal", APP_URL, **{"Access-Control-Request-Headers": asked})
        allowed = answer.headers.get("Access-Control-Allow-Headers", "").lower()
        assert not {"stripe-signature", "cookie", "x-forwarded-for", "x-evil", "*"} & {
            word.strip() for word in allowed.split(",")
        }


def test_a_preflight_is_answered_without_a_token_and_asks_nobody(
    world: World, service: Service, log: Log
) -> None:
    world.faults.clerk = world.faults.database = "down"
    before = world.clerk.jwks_requests
    for _, path in CALLS:
        answer = preflight(service, path, APP_URL, Authorization="Bearer garbage")
        assert answer.status_code in (200, 204)
    assert world.clerk.jwks_requests == before
    assert not world.stripe.calls


def test_an_odd_preflight_is_no_fault(service: Service) -> None:
    for header in ("Access-Control-Request-Method", "Access-Control-Request-Headers"):
        for value in ("", ",", "\xff", "x" * 10_000, "FOO", "a\tb", "<script>", "*"):
            answer = preflight(service, "/portal", APP_URL, **{header: value})
            assert answer.status_code in (200, 204)
            assert "<script>" not in f"{answer.headers}"


# Methods


@pytest.mark.parametrize("allowed, path", [*CALLS, ("POST", "/webhook")])
def test_an_unheard_of_method_is_refused_with_those_that_there_are(
    service: Service, allowed: str, path: str
) -> None:
    for method in METHODS:
        answer = service.call(method, path, headers=service.bearer())
        refused(answer, "method_not_allowed")
        told = set(answer.headers["Allow"].split(", "))
        assert told <= {allowed, "OPTIONS", "HEAD"} and allowed in told, told
        assert "user_ada" not in answer.text.replace(answer.headers["X-Request-ID"], "")


@pytest.mark.parametrize("path", ["/api/stripe/nowhere", "/nowhere"])
def test_where_there_is_nothing_a_method_changes_nothing(service: Service, path: str) -> None:
    service.app.test_client_class = FlaskClient  # the document has no word of these methods
    for method in METHODS:
        answer = service.app.test_client().open(path, method=method)
        assert answer.status_code in (404, 405)
        refused(answer, answer.json["code"], answer.status_code)


def test_a_request_is_never_sent_back(service: Service, gunicorn: Gunicorn) -> None:
    """TRACE would show a page the cookies that it may not read."""
    secret = "Cookie: __session=mark-of-the-secret"
    for path in ("/api/stripe/portal", "/healthz", "/"):
        answer = exchange(gunicorn.url, request("TRACE", path, secret, "Max-Forwards: 0"))
        assert answer.status in (404, 405)
        assert b"mark-of-the-secret" not in answer.body


def test_a_plain_options_tells_the_methods_that_there_are(service: Service) -> None:
    for method, path in CALLS:
        answer = service.call("OPTIONS", path)
        assert answer.status_code == 200
        allowed = {word.strip() for word in answer.headers["Allow"].split(",")}
        assert allowed <= {method, "OPTIONS", "HEAD"}, allowed


def test_every_answer_is_kept_by_nobody_and_taken_for_nothing_else(
    service: Service, world: World
) -> None:
    answers = [
        service.call(method, path, headers=headers)
        for path in ("/portal", "/checkout", "/subscription", "/webhook", "/nowhere", "")
        for method in ("GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS")
        for headers in ({}, service.bearer())
    ]
    answers += [service.root(path) for path in ("/healthz", "/metrics", "/openapi.json", "/x")]
    for answer in answers:
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "Set-Cookie" not in answer.headers
        assert "X-Powered-By" not in answer.headers
        if answer.text and answer.mimetype != "text/plain":
            assert answer.mimetype == "application/json"
            json.loads(answer.text)
