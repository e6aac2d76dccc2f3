"""CORS: a frontend on an allowed origin can read every answer, errors too; nobody else can."""

from typing import Any

import pytest
from service_under_test import APP_URL, MakeService, Service

from sandbox.world import World

FOREIGN = "https://evil.example"
CALLS = [
    ("POST", "/portal"),
    ("POST", "/checkout"),
    ("GET", "/subscription"),
    ("POST", "/subscription/refresh"),
]


def preflight(service: Service, path: str, method: str, origin: str) -> Any:
    headers = {
        "Origin": origin,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": "authorization, content-type",
    }
    return service.call("OPTIONS", path, headers=headers)


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


@pytest.mark.parametrize(
    "origin", [FOREIGN, "null", f"{APP_URL}.evil.example", "http://localhost", f"{APP_URL}/", ""]
)
def test_any_other_origin_gets_no_permission(service: Service, origin: str) -> None:
    for method, path in CALLS:
        for answer in (
            preflight(service, path, method, origin),
            service.call(method, path, headers=service.bearer() | {"Origin": origin}),
        ):
            assert "Access-Control-Allow-Origin" not in answer.headers
            assert "Access-Control-Allow-Credentials" not in answer.headers


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
        ("https://x-acme.vercel.app", True),
        ("https://admin.example.com", True),
        ("https://-acme.vercel.app", False),
        ("https://a.b-acme.vercel.app", False),
        ("https://evil.example/x-acme.vercel.app", False),
        ("http://pr-7-acme.vercel.app", False),
        ("https://pr-7-acme.vercel.app.evil.example", False),
        ("https://pr-7-acme.vercel.app:444", False),
        (APP_URL, True),
    ],
)
def test_allowed_origins_stand_beside_the_apps_own_with_one_leading_label(
    make_service: MakeService, ada: str, origin: str, allowed: bool
) -> None:
    service = make_service(origins=("https://*-acme.vercel.app", "https://admin.example.com"))

    answer = preflight(service, "/portal", "POST", origin)
    assert answer.headers.get("Access-Control-Allow-Origin") == (origin if allowed else None)


def test_without_an_origin_there_is_no_permission_to_give(service: Service) -> None:
    assert "Access-Control-Allow-Origin" not in service.status().headers
