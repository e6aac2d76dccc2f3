"""Who is calling: the token or the cookie, the origin, the keys."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from service_under_test import APP_URL, Json, Log, MakeService, Service, link, put_row, refused

from sandbox.clerk import Clerk
from sandbox.world import World

FOREIGN = "https://evil.example"
Sign = Callable[[Clerk, Json], str]


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


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
@pytest.mark.parametrize("space", [" ", "  "])
def test_a_bearer_token_says_who_is_calling(service: Service, scheme: str, space: str) -> None:
    assert status(service, f"{scheme}{space}{service.token()}").status_code == 200


@pytest.mark.parametrize(
    "authorization",
    ["Bearer", "Bearer ", "Bearer x", "Bearer a.b.c", "Bearer {t} x", "Bearer {t},Bearer {t}",
     "Bearer é", "Bearer " + "x" * 20_000, "Bearer ..", "Bearer null", "bearer undefined"],
)  # fmt: skip
def test_a_bad_bearer_is_unauthorized_and_the_cookie_is_not_tried(
    service: Service, authorization: str
) -> None:
    cookie = f"__session={service.token()}"
    bad = authorization.replace("{t}", service.token()).encode().decode("latin-1")

    refused(status(service, bad, Cookie=cookie), "unauthorized")


@pytest.mark.parametrize(
    "authorization", ["Basic dTpw", "{t}", "Token {t}", "Digest x", "", "Basic x,Bearer {t}"]
)
def test_any_other_scheme_does_not_count_and_the_cookie_is_tried(
    service: Service, authorization: str
) -> None:
    other = authorization.replace("{t}", service.token("eve"))

    refused(status(service, other), "unauthorized")
    assert status(service, other, Cookie=f"__session={service.token()}").status_code == 200


def test_two_headers_are_answered_and_not_a_fault(service: Service) -> None:
    for first, second in [("Basic x", "Bearer y"), ("Bearer x", "Bearer y")]:
        headers = [("Authorization", first), ("Authorization", second)]
        refused(service.call("GET", "/subscription", headers=headers), "unauthorized")


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


@pytest.mark.parametrize("cookies", [{"__session": "{t}"}, {"": "x", "__session": "{t}"}])
def test_the_plain_cookie_is_enough(service: Service, cookies: dict[str, str]) -> None:
    sent = {name: value.replace("{t}", service.token()) for name, value in cookies.items()}
    assert with_cookies(service, sent).status_code == 200


def test_an_empty_cookie_of_the_instance_is_none(service: Service) -> None:
    cookies = {suffixed_cookie(service): "", "__session": service.token()}
    assert with_cookies(service, cookies).status_code == 200


def test_the_cookie_of_another_instance_is_none(service: Service) -> None:
    refused(with_cookies(service, {"__session_abcd1234": service.token()}), "unauthorized")


def test_without_a_publishable_key_there_is_the_plain_cookie(
    make_service: MakeService, ada: str
) -> None:
    service = make_service(clerk_publishable_key=None)
    assert with_cookies(service, {"__session": service.token()}).status_code == 200


# Origins


@pytest.mark.parametrize("azp", [None, APP_URL])
@pytest.mark.parametrize(
    "origin, allowed",
    [
        (APP_URL, True),
        ("https://pr-7-acme.vercel.app", True),
        (None, False),
        ("", False),
        ("null", False),
        (FOREIGN, False),
        (f"{APP_URL}/", False),
        (f"{APP_URL}.evil.example", False),
        ("http://localhost", False),
        ("https://evil.example/-acme.vercel.app", False),
        ("https://a.b-acme.vercel.app", False),
    ],
)
def test_a_post_by_cookie_needs_an_allowed_origin(
    make_service: MakeService, customer: str, azp: str | None, origin: str | None, allowed: bool
) -> None:
    service = make_service(origins=(APP_URL, "https://*-acme.vercel.app"))
    headers = {} if origin is None else {"Origin": origin}

    answer = with_cookies(service, {"__session": service.token(azp=azp)}, "POST", **headers)
    if allowed:
        assert answer.status_code == 200
    else:
        refused(answer, "origin_not_allowed")


@pytest.mark.parametrize("path", ["/portal", "/checkout", "/subscription/refresh"])
def test_every_post_by_cookie_asks_for_the_origin(service: Service, path: str) -> None:
    headers = {"Cookie": f"__session={service.token()}", "Origin": FOREIGN}
    refused(service.call("POST", path, headers=headers), "origin_not_allowed")


def test_a_get_by_cookie_and_a_post_by_bearer_need_no_origin(
    service: Service, customer: str
) -> None:
    assert with_cookies(service, {"__session": service.token()}).status_code == 200
    for headers in ({}, {"Origin": FOREIGN}):
        answer = service.call("POST", "/portal", headers=service.bearer() | headers)
        assert answer.status_code == 200


@pytest.mark.parametrize(
    "azp, allowed",
    [
        (APP_URL, True),
        ("https://pr-7-acme.vercel.app", True),
        (FOREIGN, False),
        (f"{APP_URL}/", False),
        ("HTTP://LOCALHOST:8000", False),
        ("", False),
        ("null", False),
        (7, False),
        (False, False),
        ([APP_URL], False),
        ({"origin": APP_URL}, False),
    ],
)
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


# What a session token is


def _good(clerk: Clerk, claims: Json) -> str:
    return clerk.sign(claims)


def _oauth(clerk: Clerk, claims: Json) -> str:
    return clerk.sign(claims, typ="at+jwt")


def _part(value: Json) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def _unsigned(clerk: Clerk, claims: Json) -> str:
    return f"{_part({'alg': 'none', 'typ': 'JWT'})}.{_part(claims)}."


def _by_hmac(clerk: Clerk, claims: Json) -> str:
    """Signed with the public key, as if it were a shared secret."""
    signed = f"{_part({'alg': 'HS256', 'typ': 'JWT'})}.{_part(claims)}"
    mac = hmac.new(clerk.public_key_pem.encode(), signed.encode(), hashlib.sha256).digest()
    return f"{signed}.{base64.urlsafe_b64encode(mac).decode().rstrip('=')}"


def _by_another_key(clerk: Clerk, claims: Json) -> str:
    header = json.loads(base64.urlsafe_b64decode(clerk.sign({}).split(".")[0] + "=="))
    return Clerk(clerk._faults).sign(claims, kid=header["kid"])


def _changed(clerk: Clerk, claims: Json) -> str:
    header, _, mac = clerk.sign(claims).split(".")
    return f"{header}.{_part(claims | {'sub': 'user_eve'})}.{mac}"


def _without_kid(clerk: Clerk, claims: Json) -> str:
    return clerk.sign(claims, kid="")


@pytest.mark.parametrize(
    "sign", [_oauth, _unsigned, _by_hmac, _by_another_key, _changed, _without_kid]
)
def test_a_token_that_clerk_did_not_sign_as_a_session_is_unauthorized(
    world: World, service: Service, sign: Sign
) -> None:
    token = sign(world.clerk, world.clerk.claims("user_ada"))
    refused(status(service, f"Bearer {token}"), "unauthorized")


@pytest.mark.parametrize(
    "changes, accepted",
    [
        ({}, True),
        ({"aud": "supabase"}, True),
        ({"v": None, "sts": None, "jti": None, "fva": None}, True),
        ({"exp": -3}, True),
        ({"exp": -10}, False),
        ({"nbf": 3}, True),
        ({"nbf": 30}, False),
        ({"iat": 30}, False),
        ({"exp": None}, False),
        ({"nbf": None}, False),
        ({"iss": None}, False),
        ({"sid": None}, False),
        ({"sub": None}, False),
        ({"iss": "https://clerk.evil.example"}, False),
        ({"iss": ["{iss}"]}, False),
        ({"iss": "{iss}/"}, False),
        ({"sts": "pending"}, False),
        ({"sub": ""}, False),
        ({"sub": "mch_machine"}, False),
        ({"sub": "user_"}, False),
        ({"sub": "user_ada\n"}, False),
        ({"sub": "user_ada' or 1=1"}, False),
        ({"sub": "user_" + "a" * 300}, False),
        ({"sub": ["user_ada"]}, False),
        ({"sub": 7}, False),
        ({"sid": ""}, False),
        ({"sid": 7}, False),
        ({"exp": "soon"}, False),
        ({"exp": [1]}, False),
        ({"nbf": {}}, False),
    ],
)
def test_which_claims_make_a_session(
    world: World, service: Service, changes: Json, accepted: bool
) -> None:
    claims = world.clerk.claims("user_ada")
    for name, value in changes.items():
        if type(value) is int and name in ("exp", "nbf", "iat"):
            value = int(time.time()) + value
        if "{iss}" in str(value):
            value = json.loads(json.dumps(value).replace("{iss}", world.clerk.issuer))
        claims[name] = value
    token = world.clerk.sign({name: value for name, value in claims.items() if value is not None})

    answer = status(service, f"Bearer {token}")
    if accepted:
        assert answer.status_code == 200
    else:
        refused(answer, "unauthorized")


@pytest.mark.parametrize("claims", [[], "user_ada", 7, None])
def test_claims_that_are_no_object_are_unauthorized(
    world: World, service: Service, claims: Any
) -> None:
    refused(status(service, f"Bearer {world.clerk.sign(claims)}"), "unauthorized")


def test_who_is_calling_comes_from_the_token_alone(world: World, service: Service) -> None:
    put_row(world)
    world.add_user("eve")

    headers = service.bearer("eve") | {"X-User-Id": "user_ada"}
    answer = service.call("GET", "/subscription?user_id=user_ada&clerk_user_id=user_ada",
                          headers=headers)  # fmt: skip
    assert (answer.json or {})["plan"] == "free"


# Clerk's keys


def test_the_key_set_is_fetched_once(world: World, service: Service) -> None:
    before = world.clerk.jwks_requests
    for user in ("ada", "eve", "ada"):
        service.shown(user)
    assert world.clerk.jwks_requests == before + 1


def test_with_a_pem_key_no_network_is_needed(
    world: World, make_service: MakeService, ada: str
) -> None:
    world.faults.clerk = "down"
    before = world.clerk.jwks_requests
    service = make_service(clerk_jwt_key=world.clerk.public_key_pem)

    assert service.status().status_code == 200
    refused(status(service, f"Bearer {_by_another_key(world.clerk, world.clerk.claims('user_a'))}"),
            "unauthorized")  # fmt: skip
    assert world.clerk.jwks_requests == before


def test_clerk_down_before_any_key_was_loaded_is_unavailable_and_then_mends_itself(
    world: World, make_service: MakeService, ada: str
) -> None:
    world.faults.clerk = "down"
    service = make_service()

    refused(service.status(), "clerk_unavailable")
    refused(service.call("GET", "/subscription"), "unauthorized")  # nobody has to be asked
    world.faults.clerk = "up"
    assert make_service().status().status_code == 200


def test_the_last_good_key_set_survives_an_outage(world: World, service: Service) -> None:
    service.shown()
    world.faults.clerk = "down"

    assert service.status().status_code == 200
    refused(status(service, "Bearer a.b.c"), "unauthorized")
    token = _by_another_key(world.clerk, world.clerk.claims("user_ada"))
    refused(status(service, f"Bearer {token}"), "unauthorized")
    unknown = Clerk(world.faults).sign(world.clerk.claims("user_ada"))
    refused(status(service, f"Bearer {unknown}"), "unauthorized")
    assert service.status().status_code == 200


@pytest.mark.parametrize("keep_kid", [True, False])
def test_a_rotated_key_is_picked_up(world: World, service: Service, keep_kid: bool) -> None:
    service.shown()
    world.clerk.rotate(keep_kid=keep_kid)

    assert service.status().status_code == 200


def test_bad_tokens_cause_one_fetch_per_cool_down(world: World, service: Service) -> None:
    service.shown()
    before = world.clerk.jwks_requests
    claims = world.clerk.claims("user_ada")

    for _ in range(3):
        refused(status(service, f"Bearer {_by_another_key(world.clerk, claims)}"), "unauthorized")
        token = Clerk(world.faults).sign(claims)  # of a key that nobody knows
        refused(status(service, f"Bearer {token}"), "unauthorized")
    assert world.clerk.jwks_requests == before + 1
    assert service.status().status_code == 200


def test_an_issuer_may_have_a_path(world: World, make_service: MakeService, ada: str) -> None:
    issuer = "https://app.example.com/__clerk"
    service = make_service(clerk_issuer=issuer)

    assert status(service, f"Bearer {service.token(iss=issuer)}").status_code == 200
    refused(status(service, f"Bearer {service.token()}"), "unauthorized")


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
