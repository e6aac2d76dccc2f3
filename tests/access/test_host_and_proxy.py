"""What a stranger says of the address, the scheme and the proxies in front: nothing of it appears
in an answer, and nothing is decided by it.
"""

import json
from itertools import product
from typing import Any

import pytest
from flask.testing import FlaskClient
from service_under_test import (
    APP_URL,
    Log,
    MakeService,
    Service,
    last_event,
    link,
    refused,
    signature,
)
from under_attack import CALLS, Answer, exchange, request
from werkzeug.test import TestResponse

from sandbox.service import Service as Gunicorn
from sandbox.world import World

EVIL = "evil.example"
SPOOFED = {
    "X-Forwarded-Host": EVIL,
    "X-Forwarded-Server": EVIL,
    "X-Forwarded-Proto": "gopher",
    "X-Forwarded-Scheme": "gopher",
    "X-Forwarded-Protocol": "gopher",
    "X-Forwarded-Ssl": "on",
    "X-Forwarded-Port": "6666",
    "X-Forwarded-Prefix": f"/{EVIL}",
    "X-Forwarded-Path": f"/{EVIL}",
    "X-Forwarded-Uri": f"/{EVIL}",
    "X-Forwarded-For": "6.6.6.6, 6.6.6.7",
    "Forwarded": f"for=6.6.6.6;host={EVIL};proto=gopher",
    "X-Real-Ip": "6.6.6.6",
    "X-Client-Ip": "6.6.6.6",
    "True-Client-Ip": "6.6.6.6",
    "X-Host": EVIL,
    "X-Original-Host": EVIL,
    "X-Original-Url": f"/{EVIL}",
    "X-Rewrite-Url": f"/{EVIL}",
    "X-Script-Name": f"/{EVIL}",
    "Script-Name": f"/{EVIL}",
    "X-Wap-Profile": f"http://{EVIL}/x.xml",
    "Referer": f"http://{EVIL}/",
    "From": f"root@{EVIL}",
}
# The port with what stands before one: random ids and the stand-ins' ports have its digits too.
MARKS = (EVIL, "gopher", ":6666", ": 6666", "6.6.6.")


def is_echoed_in(answer: TestResponse | Answer, body: str) -> list[str]:
    return [mark for mark in MARKS if mark in f"{answer.headers}{body}"]


def says_nothing_of_it(answer: TestResponse) -> None:
    assert not is_echoed_in(answer, answer.text)
    assert "Location" not in answer.headers


@pytest.fixture(params=[0, 1, 3], ids=lambda hops: f"{hops} trusted")
def service(
    request: pytest.FixtureRequest, world: World, make_service: MakeService, ada: str
) -> Service:
    link(world, world.stripe.create_customer()["id"])
    world.stripe.calls.clear()
    return make_service(trusted_proxy_hops=request.param)


def told_to_stripe(world: World) -> str:
    return json.dumps([world.stripe.portal_sessions, world.stripe.sessions])


def test_no_spoofed_header_reaches_an_answer_or_stripe(world: World, service: Service) -> None:
    hosts = (EVIL, f"{EVIL}:6666", f"localhost:8000@{EVIL}", "", f"x.{EVIL}.")
    for host, (method, path) in product(hosts, CALLS):
        headers = service.bearer() | SPOOFED | {"Host": host}
        answer = service.call(method, path, headers=headers)
        assert answer.status_code == 200, answer.text
        if path in ("/portal", "/checkout"):  # Stripe's own address
            assert answer.json["url"].startswith(world.stripe_url)
        says_nothing_of_it(answer)
    sent = told_to_stripe(world)
    assert not [mark for mark in MARKS if mark in sent]
    assert APP_URL in sent


PATHS = [
    "/", "/healthz", "/openapi.json", "/metrics", "/nowhere", f"/{EVIL}", "/api/stripe",
    "/api/stripe/", "/api/stripe/x", "/api/stripe/portal/", "/api//stripe/portal",
    "/api/stripe//portal", "/api/stripe/./portal", "/api/stripe/x/../portal", "/api/stripe/%2e%2e/",
    "/api/stripe/portal;x", "/api/stripe/portal%00", "/API/STRIPE/PORTAL", "/api/stripe/portal%20",
    f"/api/stripe//{EVIL}/%2f..",
]  # fmt: skip


def test_no_path_redirects_anywhere(service: Service) -> None:
    for path in PATHS:
        for method in ("GET", "POST", "HEAD"):
            answer = service.root(path, method, headers=SPOOFED | {"Host": EVIL})
            assert answer.status_code in (200, 404, 405), path
            assert "Location" not in answer.headers
            if path not in ("/metrics", "/openapi.json"):
                says_nothing_of_it(answer)


def test_errors_say_nothing_of_it_either(world: World, service: Service) -> None:
    world.faults.stripe = "error"
    for headers, code in (
        ({}, "unauthorized"),
        (service.bearer(azp=f"https://{EVIL}"), "origin_not_allowed"),
        (service.bearer(), "stripe_unavailable"),
    ):
        answer = service.call("POST", "/checkout", headers=headers | SPOOFED | {"Host": EVIL})
        refused(answer, code)
        says_nothing_of_it(answer)


@pytest.mark.parametrize("header", ["Host", "X-Forwarded-Host"])
def test_our_own_address_is_no_allowed_origin_because_a_header_says_so(
    service: Service, header: str
) -> None:
    """Same origin by Host is what many frameworks take for an answer."""
    headers = {"Cookie": f"__session={service.token()}", "Origin": f"http://{EVIL}", header: EVIL}
    refused(service.call("POST", "/portal", headers=headers), "origin_not_allowed")
    refused(
        service.call("POST", "/portal", headers=service.bearer(azp=f"http://{EVIL}")
                     | {header: EVIL}), "origin_not_allowed",
    )  # fmt: skip


def test_another_method_in_a_header_or_a_field_is_not_believed(service: Service) -> None:
    for name in ("X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"):
        answer = service.call("GET", "/portal", headers=service.bearer() | {name: "POST"})
        refused(answer, "method_not_allowed")
    answer = service.call("GET", "/portal?_method=POST", headers=service.bearer())
    refused(answer, "method_not_allowed")


def test_a_limit_is_the_users_whatever_address_the_call_claims(
    make_service: MakeService, world: World, ada: str
) -> None:
    service = make_service(rate_limit="2/minute", trusted_proxy_hops=1)
    statuses = []
    for number in range(5):
        claims = {"X-Forwarded-For": f"6.6.6.{number}", "X-Real-Ip": f"6.6.6.{number}"}
        answer = service.call("POST", "/checkout", headers=service.bearer() | claims)
        statuses.append(answer.status_code)
    assert statuses == [200, 200, 429, 429, 429]


HOSTS = [
    EVIL, "<script>", "a b", "\xff", "[::1", "localhost, evil.example", "x" * 5000, "..", "a\tb",
    "http://evil.example", "",
]  # fmt: skip


def test_a_host_that_is_none_is_no_fault(service: Service) -> None:
    service.app.test_client_class = FlaskClient  # the document has no word of such requests
    for host in HOSTS:
        for path, expected in (("/subscription", "unauthorized"), ("/nowhere", "not_found")):
            answer = service.call("GET", path, headers={"Host": host})
            refused(answer, "invalid_request" if answer.status_code == 400 else expected)
            assert "Location" not in answer.headers


def test_a_spoofed_header_of_any_length_and_alphabet_is_no_fault(service: Service) -> None:
    for header in SPOOFED:
        for value in (
            "",
            ",",
            ",,,,",
            "\xff",
            "x" * 5000,
            "http",
            "[",
            ":",
            "-1",
            "999999",
            "a\tb",
        ):
            answer = service.call("GET", "/subscription", headers={header: value})
            refused(answer, "unauthorized")


def test_a_delivery_is_stripes_by_its_signature_and_not_by_its_address(
    world: World, service: Service
) -> None:
    world.stripe.create_customer()
    body = json.dumps(last_event(world.stripe)).encode()
    from_stripe = {"X-Forwarded-For": "3.18.12.63", "X-Real-Ip": "3.18.12.63"}  # one of Stripe's
    refused(service.call("POST", "/webhook", data=body, headers=from_stripe), "invalid_signature")
    headers = SPOOFED | {"Host": EVIL, "Stripe-Signature": signature(body)}
    assert service.call("POST", "/webhook", data=body, headers=headers).status_code == 200


def test_the_log_holds_nothing_a_stranger_made_up_but_what_was_checked(
    service: Service, log: Log
) -> None:
    service.call("GET", "/subscription", headers=SPOOFED | {"Host": EVIL})
    assert not [mark for mark in MARKS if mark in log.text]


# At the real server


def told(gunicorn: Gunicorn, head: bytes) -> Answer:
    return exchange(gunicorn.url, head)


def test_the_real_server_says_nothing_of_it_either(gunicorn: Gunicorn) -> None:
    headers = [f"{name}: {value}" for name, value in SPOOFED.items()]
    for path in ("/api/stripe/subscription", "/api//stripe/portal", "//evil.example/..", "/x"):
        answer = told(gunicorn, request("GET", path, *headers, host=EVIL))
        assert answer.status in (400, 401, 404, 405)
        assert not is_echoed_in(answer, repr(answer.body))
        assert "location" not in answer.headers


ODD_REQUEST_LINES = [
    b"GET http://evil.example/api/stripe/subscription HTTP/1.1\r\nHost: x\r\n",
    b"GET http://evil.example/api//stripe/portal HTTP/1.1\r\nHost: x\r\n",
    b"GET /api/stripe/subscription HTTP/1.1\r\nHost: a\r\nHost: evil.example\r\n",
    b"GET /api/stripe/subscription HTTP/1.1\r\n",
    b"GET /api/stripe/subscription HTTP/1.0\r\n",
    b"GET /api/stripe/subscription HTTP/1.1\r\nHost: evil.example\r\n X: y\r\n",
    b"GET /api/stripe/\x00 HTTP/1.1\r\nHost: x\r\n",
    b"GET /api/stripe/%00%ff%fe HTTP/1.1\r\nHost: x\r\n",
    b"GET /api/stripe/subscription HTTP/9.9\r\nHost: x\r\n",
    b"CONNECT evil.example:443 HTTP/1.1\r\nHost: x\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: x\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n",
]


def test_an_odd_request_line_is_refused_and_goes_nowhere(gunicorn: Gunicorn) -> None:
    for head in ODD_REQUEST_LINES:
        answer = told(gunicorn, head + b"Connection: close\r\n\r\n")
        assert 400 <= answer.status < 500, head
        assert "location" not in answer.headers, head


def test_no_banner_tells_what_runs_here(gunicorn: Gunicorn) -> None:
    for path in ("/healthz", "/api/stripe/portal", "/nowhere"):
        answer: Any = told(gunicorn, request("GET", path))
        assert "x-powered-by" not in answer.headers
        banner = answer.headers.get("server", "").lower()
        for name in ("gunicorn", "python", "werkzeug", "flask"):
            assert name not in banner
