"""Who is calling: the token or the cookie, the origin, the keys."""

import base64
import hashlib
from typing import Any

import pytest
from service_under_test import APP_URL, Log, MakeService, Service, link, put_row, refused

from sandbox.clerk import Clerk
from sandbox.world import World

FOREIGN = "https://evil.example"


@pytest.fixture
def customer(world: World, ada: str) -> str:
    """ada's customer, so that each call has something to answer."""
    customer: str = world.stripe.create_customer()["id"]
    link(world, customer)
    return customer


def suffixed_cookie(service: Service) -> str:
    """Clerk's name for the cookie of this instance."""
    digest = hashlib.sha1((service.settings.clerk_publishable_key or "").encode()).digest()
    return f"__session_{base64.urlsafe_b64encode(digest).decode()[:8]}"


def with_cookies(
    service: Service, cookies: dict[str, str], method: str = "GET", **headers: str
) -> Any:
    path = {"GET": "/subscription", "POST": "/portal"}[method]
    sent = "; ".join(f"{name}={value}" for name, value in cookies.items())
    return service.call(method, path, headers={"Cookie": sent} | headers)


def status(service: Service, authorization: str, **headers: str) -> Any:
    return service.call("GET", "/subscription", headers={"Authorization": authorization} | headers)


# Where the token stands


@pytest.mark.parametrize(
    "method, path",
    [("POST", "/portal"), ("POST", "/checkout"), ("GET", "/subscription"),
     ("POST", "/subscription/refresh")],
)  # fmt: skip
def test_without_a_token_every_call_is_unauthorized(
    service: Service, method: str, path: str
) -> None:
    answer = service.call(method, path)

    assert refused(answer, "unauthorized")["error"] == "Unauthorized"
    assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_a_bearer_token_says_who_is_calling(service: Service) -> None:
    for written in ("Bearer {t}", "bearer {t}", "BEARER  {t}"):
        assert status(service, written.replace("{t}", service.token())).status_code == 200


def test_a_bad_bearer_is_unauthorized_and_the_cookie_is_not_tried(service: Service) -> None:
    cookie = f"__session={service.token()}"
    for bad in ("Bearer", "Bearer ", "Bearer x", "Bearer {t} x", "Bearer {t},Bearer {t}",
                "Bearer é", "Bearer null", "bearer undefined"):  # fmt: skip
        sent = bad.replace("{t}", service.token()).encode().decode("latin-1")
        refused(status(service, sent, Cookie=cookie), "unauthorized")


def test_any_other_scheme_does_not_count_and_the_cookie_is_tried(service: Service) -> None:
    for other in ("Basic dTpw", "{t}", "Token {t}", "Digest x", "", "Basic x,Bearer {t}"):
        sent = other.replace("{t}", service.token("eve"))
        refused(status(service, sent), "unauthorized")
        assert status(service, sent, Cookie=f"__session={service.token()}").status_code == 200


def test_a_good_bearer_wins_over_a_bad_cookie(service: Service) -> None:
    answer = status(service, f"Bearer {service.token()}", Cookie="__session=nonsense")
    assert answer.status_code == 200


def test_the_cookie_of_the_instance_wins_over_the_plain_one(
    world: World, service: Service, customer: str
) -> None:
    ada, eve = service.token("ada"), service.token("eve")
    mine = suffixed_cookie(service)

    for cookies in ({mine: ada, "__session": eve}, {"__session": eve, mine: ada}):
        assert with_cookies(service, cookies).json["can_manage_billing"]
    assert not with_cookies(service, {mine: eve, "__session": ada}).json["can_manage_billing"]


def test_the_plain_cookie_is_enough_beside_empty_ones(service: Service) -> None:
    token = service.token()
    empty: dict[str, str] = {suffixed_cookie(service): ""}
    for cookies in (
        {"__session": token},
        {"": "x", "__session": token},
        empty | {"__session": token},
    ):
        assert with_cookies(service, cookies).status_code == 200


def test_the_cookie_of_another_instance_is_none(service: Service) -> None:
    refused(with_cookies(service, {"__session_abcd1234": service.token()}), "unauthorized")


def test_without_a_publishable_key_there_is_the_plain_cookie(
    make_service: MakeService, ada: str
) -> None:
    service = make_service(clerk_publishable_key=None)
    assert with_cookies(service, {"__session": service.token()}).status_code == 200


# Origins


@pytest.mark.parametrize(
    "origin, allowed",
    [(APP_URL, True), ("https://pr-7-acme.vercel.app", True), (None, False), (FOREIGN, False)],
)
def test_a_post_by_cookie_needs_an_allowed_origin(
    make_service: MakeService, customer: str, origin: str | None, allowed: bool
) -> None:
    """Which origin is one: tests/rules/test_config_origins.py."""
    service = make_service(origins=(APP_URL, "https://*-acme.vercel.app"))
    headers = {} if origin is None else {"Origin": origin}

    for azp in (None, APP_URL):
        answer = with_cookies(service, {"__session": service.token(azp=azp)}, "POST", **headers)
        if allowed:
            assert answer.status_code == 200
        else:
            refused(answer, "origin_not_allowed")


def test_a_get_by_cookie_and_a_post_by_bearer_need_no_origin(
    service: Service, customer: str
) -> None:
    assert with_cookies(service, {"__session": service.token()}).status_code == 200
    for headers in ({}, {"Origin": FOREIGN}):
        answer = service.call("POST", "/portal", headers=service.bearer() | headers)
        assert answer.status_code == 200


@pytest.mark.parametrize(
    "azp, allowed",
    [(APP_URL, True), ("https://pr-7-acme.vercel.app", True), (FOREIGN, False), ("", False),
     ([APP_URL], False)],
)  # fmt: skip
def test_the_origin_in_a_token_must_be_allowed(
    make_service: MakeService, ada: str, log: Log, azp: Any, allowed: bool
) -> None:
    service = make_service(origins=(APP_URL, "https://*-acme.vercel.app"))

    answer = status(service, f"Bearer {service.token(azp=azp)}")
    if allowed:
        assert answer.status_code == 200
    else:
        refused(answer, "origin_not_allowed")
        assert log.line("request")["azp"] == azp  # which it was


def test_a_missing_azp_is_normal_and_refused_by_the_strict(
    service: Service, make_service: MakeService
) -> None:
    token = service.token()

    assert status(service, f"Bearer {token}").status_code == 200
    strict = make_service(require_azp=True)
    refused(status(strict, f"Bearer {token}"), "origin_not_allowed")
    assert status(strict, f"Bearer {strict.token(azp=APP_URL)}").status_code == 200


def test_a_foreign_azp_in_a_bad_token_is_unauthorized(service: Service) -> None:
    other = Clerk(service.world.faults)
    other.issuer = service.world.clerk.issuer
    token = other.session_token("user_ada", azp=FOREIGN)
    refused(status(service, f"Bearer {token}"), "unauthorized")


# Impersonation


def test_whoever_acts_for_a_user_may_look_and_not_spend(service: Service, customer: str) -> None:
    act = {"iss": "https://dashboard.clerk.com", "sid": "sess_1", "sub": "user_admin"}
    headers = service.bearer(act=act)

    shown = service.call("GET", "/subscription", headers=headers).json
    assert (shown["can_manage_billing"], shown["can_checkout"]) == (False, False)
    assert service.shown()["can_manage_billing"]
    assert service.call("POST", "/subscription/refresh", headers=headers).status_code == 200
    for path in ("/portal", "/checkout"):
        refused(service.call("POST", path, headers=headers), "impersonation_not_allowed")


# What a session token is, claim by claim, and Clerk's keys: tests/vendors/test_clerk.py


def test_who_is_calling_comes_from_the_token_alone(world: World, service: Service) -> None:
    put_row(world)
    world.add_user("eve")

    headers = service.bearer("eve") | {"X-User-Id": "user_ada"}
    answer = service.call("GET", "/subscription?user_id=user_ada&clerk_user_id=user_ada",
                          headers=headers)  # fmt: skip
    assert (answer.json or {})["plan"] == "free"


def test_with_a_pem_key_no_network_is_needed(
    world: World, make_service: MakeService, ada: str
) -> None:
    world.faults.clerk = "down"
    before = world.clerk.jwks_requests

    assert make_service(clerk_jwt_key=world.clerk.public_key_pem).status().status_code == 200
    assert world.clerk.jwks_requests == before


def test_where_no_key_can_be_had_only_who_has_a_token_is_told(
    world: World, service: Service
) -> None:
    world.faults.clerk = "down"
    refused(service.status(), "clerk_unavailable")
    refused(service.call("GET", "/subscription"), "unauthorized")  # nobody has to be asked


def test_a_rotated_key_is_fetched_once(world: World, service: Service) -> None:
    before = world.clerk.jwks_requests
    for user in ("ada", "eve", "ada"):
        service.shown(user)
    assert world.clerk.jwks_requests == before + 1
    world.clerk.rotate(keep_kid=False)
    assert service.status().status_code == 200
    assert world.clerk.jwks_requests == before + 2


# The log


def test_the_log_names_the_user_and_why_a_token_was_refused_and_never_the_token(
    world: World, service: Service, log: Log
) -> None:
    good, bad = service.token(), service.token(sts="pending")
    status(service, f"Bearer {good}")
    status(service, f"Bearer {bad}")

    first, second = (line for line in log.lines if line["message"] == "request")
    assert first["clerk_user_id"] == "user_ada"
    assert second["refused"]
    assert good not in log.text and bad not in log.text
    assert "eyJ" not in log.text
