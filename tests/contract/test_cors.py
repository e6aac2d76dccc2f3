"""CORS: a frontend on an allowed origin can read every answer, errors too; nobody else can.

Which origin is allowed: tests/rules/test_config_origins.py. Attacks: tests/access/
test_methods_and_cors.py.
"""

from typing import Any

import pytest
from service_under_test import APP_URL, Log, MakeService, Service, refused

from sandbox.world import World

FOREIGN = "https://evil.example"
PACKAGED = "capacitor://localhost"
ALLOWED_HEADERS = "Access-Control-Allow-Headers"
CALLS = [
    ("POST", "/portal"),
    ("POST", "/checkout"),
    ("GET", "/subscription"),
    ("POST", "/subscription/refresh"),
]


def preflight(service: Service, path: str, method: str, origin: str, **more: str) -> Any:
    headers = {
        "Origin": origin,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": "authorization, content-type",
    }
    return service.call("OPTIONS", path, headers=headers | more)


def words(answer: Any, header: str) -> set[str]:
    return {word.strip().lower() for word in answer.headers.get(header, "").split(",")}


@pytest.mark.parametrize("method, path", CALLS)
def test_a_browser_may_send_the_token_and_json_from_an_allowed_origin(
    service: Service, method: str, path: str
) -> None:
    answer = preflight(service, path, method, APP_URL)

    assert answer.status_code in (200, 204)
    assert answer.headers["Access-Control-Allow-Origin"] == APP_URL
    assert method.lower() in words(answer, "Access-Control-Allow-Methods")
    assert words(answer, "Access-Control-Allow-Headers") >= {"authorization", "content-type"}
    assert "origin" in words(answer, "Vary")
    assert "Access-Control-Allow-Credentials" not in answer.headers


@pytest.mark.parametrize("header", ["traceparent", "tracestate", "baggage", "sentry-trace"])
def test_headers_of_tracing_pass(service: Service, header: str) -> None:
    asked = {"Access-Control-Request-Headers": f"authorization, {header}, x-evil"}
    allowed = words(preflight(service, "/checkout", "POST", APP_URL, **asked), ALLOWED_HEADERS)
    assert {"authorization", header} <= allowed
    assert "x-evil" not in allowed


def test_any_other_origin_gets_no_permission(service: Service) -> None:
    for answer in (
        preflight(service, "/portal", "POST", FOREIGN),
        service.call("GET", "/subscription", headers=service.bearer() | {"Origin": FOREIGN}),
        service.status(),  # without any
    ):
        assert "Access-Control-Allow-Origin" not in answer.headers
        assert "Access-Control-Allow-Credentials" not in answer.headers


@pytest.mark.parametrize(
    "asked, reason",
    [
        ({"Origin": FOREIGN}, "preflight_origin"),
        ({"Access-Control-Request-Headers": "authorization, x-evil"}, "preflight_header"),
        ({"Access-Control-Request-Method": "DELETE"}, "preflight_method"),
        ({}, None),
    ],
)
def test_a_preflight_that_was_refused_is_told(
    service: Service, log: Log, asked: dict[str, str], reason: str | None
) -> None:
    name, labels = "portal_refused_origins_total", {"reason": str(reason)}
    before = service.metric(name, **labels)
    preflight(service, "/portal", "POST", APP_URL, **asked)
    line = next(line for line in log.lines if line.get("method") == "OPTIONS")
    assert line.get("kept_from_page") == reason
    assert line.get("origin") == ((asked.get("Origin") or APP_URL) if reason else None)
    assert service.metric(name, **labels) == before + bool(reason)


def test_a_call_of_a_foreign_page_is_told(service: Service, log: Log) -> None:
    service.call("GET", "/subscription", headers=service.bearer() | {"Origin": FOREIGN})
    line = log.line("request")
    assert (line["kept_from_page"], line["origin"]) == ("origin", FOREIGN)


def test_what_a_stranger_writes_as_an_origin_is_not_told(service: Service, log: Log) -> None:
    service.call("GET", "/subscription", headers={"Origin": FOREIGN})
    line = log.line("request")
    assert line["kept_from_page"] == "origin"
    assert "origin" not in line


@pytest.mark.parametrize(
    "method, path, status",
    [
        ("GET", "/subscription", 200),
        ("POST", "/portal", 404),
        ("POST", "/checkout", 503),
        ("GET", "/nowhere", 404),
        ("DELETE", "/portal", 405),
        ("POST", "/webhook", 400),
    ],
)
def test_every_answer_can_be_read_with_its_request_id_and_when_to_try_again(
    world: World, service: Service, method: str, path: str, status: int
) -> None:
    world.faults.stripe = "rate_limited"
    answer = service.call(method, path, headers=service.bearer() | {"Origin": APP_URL})

    assert answer.status_code == status
    assert answer.headers["Access-Control-Allow-Origin"] == APP_URL
    exposed = words(answer, "Access-Control-Expose-Headers")
    assert exposed == {"x-request-id", "retry-after"}
    assert "Access-Control-Allow-Credentials" not in answer.headers


def test_what_has_no_token_can_be_read_too(service: Service) -> None:
    answer = service.call("GET", "/subscription", headers={"Origin": APP_URL})
    assert answer.status_code == 401
    assert answer.headers["Access-Control-Allow-Origin"] == APP_URL


def test_a_broken_service_can_be_read_too(
    world: World, make_service: MakeService, ada: str
) -> None:
    service = make_service(stripe_secret_key="sk_test_revoked")
    answer = service.call("POST", "/checkout", headers=service.bearer() | {"Origin": APP_URL})
    assert (answer.status_code, (answer.json or {})["code"]) == (500, "internal_error")
    assert answer.headers["Access-Control-Allow-Origin"] == APP_URL


@pytest.mark.parametrize(
    "origin, allowed",
    [
        ("https://pr-7-acme.vercel.app", True),
        ("https://admin.example.com", True),
        ("https://a.b-acme.vercel.app", False),
        ("http://pr-7-acme.vercel.app", False),
        (PACKAGED, True),
        (f"{PACKAGED}.evil.example", False),
        ("CAPACITOR://localhost", False),
        (APP_URL, True),
    ],
)
def test_allowed_origins_stand_beside_the_apps_own(
    make_service: MakeService, ada: str, origin: str, allowed: bool
) -> None:
    service = make_service(
        origins=("https://*-acme.vercel.app", "https://admin.example.com", PACKAGED)
    )

    answer = preflight(service, "/portal", "POST", origin)
    assert answer.headers.get("Access-Control-Allow-Origin") == (origin if allowed else None)


def test_a_packaged_app_may_ask_with_a_token_made_for_it(
    make_service: MakeService, ada: str
) -> None:
    service = make_service(origins=(PACKAGED,))

    headers = service.bearer(azp=PACKAGED) | {"Origin": PACKAGED}
    for method, path in (("GET", "/subscription"), ("POST", "/checkout"), ("POST", "/portal")):
        answer = service.call(method, path, headers=headers)
        assert answer.status_code == 200, answer.text
        assert answer.headers["Access-Control-Allow-Origin"] == PACKAGED
    other = service.bearer(azp=f"{PACKAGED}.evil.example")
    refused(service.call("GET", "/subscription", headers=other), "origin_not_allowed")
