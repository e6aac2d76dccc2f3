"""Where people come back to from Stripe's pages, and the origins that may ask: a preview, a second
app, packaged apps; return paths that carry the id of an earlier checkout; what browsers call a
language.
"""

from typing import Any

import pytest
from service_under_test import APP_URL, Json, MakeService, Service, link, order_of, refused

from portal_service import Settings
from sandbox.world import World

PREVIEW = "https://pr-7-acme.vercel.app"
SECOND = "https://admin.example.com"
PACKAGED = (
    "capacitor://localhost",
    "ionic://localhost",
    "tauri://localhost",
    "chrome-extension://abcdefghijklmnopabcdefghijklmnop",
    "moz-extension://2c127fa4-62c7-7e4f-90e5-472b45eecfdc",
)
ID = "checkout_session_id={CHECKOUT_SESSION_ID}"


@pytest.fixture
def service(make_service: MakeService, ada: str) -> Service:
    return make_service(origins=("https://*-acme.vercel.app", SECOND, *PACKAGED))


@pytest.fixture
def customer(world: World) -> str:
    customer: str = world.stripe.create_customer()["id"]
    link(world, customer)
    return customer


def back_to(world: World, service: Service, origin: str | None, body: Any = None) -> Json:
    """The addresses that checkout and portal come back to, for a page of this origin."""
    headers = service.bearer() | ({"Origin": origin} if origin else {})
    answer = service.call("POST", "/checkout", headers=headers, json=body)
    order = order_of(world.stripe, answer)
    assert service.call("POST", "/portal", headers=headers, json=body).status_code == 200
    portal = list(world.stripe.portal_sessions.values())[-1]
    return {
        "success": order["success_url"],
        "cancel": order["cancel_url"],
        "portal": portal["return_url"],
    }


# The request's own origin


@pytest.mark.parametrize("origin", [PREVIEW, SECOND, APP_URL])
@pytest.mark.parametrize("body", [None, {"return_path": "/settings"}])
def test_people_come_back_to_the_page_that_asked(
    world: World, service: Service, customer: str, origin: str, body: Json | None
) -> None:
    path = (body or {"return_path": "/dashboard"})["return_path"]
    assert back_to(world, service, origin, body) == {
        "success": f"{origin}{path}?{ID}",
        "cancel": f"{origin}{path}",
        "portal": f"{origin}{path}",
    }


@pytest.mark.parametrize("origin", [*PACKAGED, None, "https://evil.example", "null", ""])
def test_packaged_apps_and_all_others_come_back_to_the_app(
    world: World, service: Service, customer: str, origin: str | None
) -> None:
    assert back_to(world, service, origin, {"return_path": "/done"}) == {
        "success": f"{APP_URL}/done?{ID}",
        "cancel": f"{APP_URL}/done",
        "portal": f"{APP_URL}/done",
    }


def test_a_flow_comes_back_there_too(world: World, service: Service, customer: str) -> None:
    headers = service.bearer() | {"Origin": PREVIEW}
    body = {"flow": "payment_method_update"}
    assert service.call("POST", "/portal", headers=headers, json=body).status_code == 200

    (session,) = world.stripe.portal_sessions.values()
    after = session["flow"]["after_completion"]["redirect"]["return_url"]
    assert after == session["return_url"] == f"{PREVIEW}/dashboard"


def test_a_whole_address_counts_whoever_asks(world: World, service: Service, customer: str) -> None:
    body = {"return_path": f"{SECOND}/billing"}
    assert back_to(world, service, PREVIEW, body)["portal"] == f"{SECOND}/billing"


@pytest.mark.parametrize("path", ["capacitor://localhost/done", "tauri://localhost", "app://x"])
def test_an_address_of_a_packaged_app_is_none_that_stripe_takes(
    world: World, service: Service, customer: str, path: str
) -> None:
    refused(service.checkout(body={"return_path": path}), "invalid_request")
    refused(service.portal(body={"return_path": path}), "invalid_request")


def test_the_path_of_app_url_stays_for_its_own_origin(
    world: World, make_service: MakeService, ada: str
) -> None:
    service = make_service(app_url=f"{APP_URL}/app", origins=(SECOND,))
    for origin in (APP_URL, None):
        headers = service.bearer() | ({"Origin": origin} if origin else {})
        answer = service.call("POST", "/checkout", headers=headers)
        assert order_of(world.stripe, answer)["cancel_url"] == f"{APP_URL}/app/dashboard"


# Packaged apps


@pytest.mark.parametrize("origin", PACKAGED)
def test_a_packaged_app_may_ask_with_a_token_made_for_it(
    world: World, service: Service, customer: str, origin: str
) -> None:
    headers = service.bearer(azp=origin) | {"Origin": origin}

    for method, path in (("GET", "/subscription"), ("POST", "/checkout"), ("POST", "/portal")):
        answer = service.call(method, path, headers=headers)
        assert answer.status_code == 200, answer.text
        assert answer.headers["Access-Control-Allow-Origin"] == origin


@pytest.mark.parametrize(
    "origin",
    [
        "capacitor://localhost.evil.example",
        "capacitor://evil",
        "chrome-extension://abcdefghijklmnopabcdefghijklmnoq",
        "tauri://localhost:80",
        "CAPACITOR://localhost",
    ],
)
def test_any_other_packaged_app_may_not(service: Service, origin: str) -> None:
    answer = service.call("GET", "/subscription", headers=service.bearer(azp=origin))
    refused(answer, "origin_not_allowed")
    answer = service.call("GET", "/subscription", headers=service.bearer() | {"Origin": origin})
    assert "Access-Control-Allow-Origin" not in answer.headers


def test_origins_stand_beside_the_apps_own(world: World) -> None:
    found, problems = Settings.collect(
        world.environment(APP_URL) | {"ALLOWED_ORIGINS": ",".join(PACKAGED)}
    )
    assert problems == []
    assert found and found.origins == (APP_URL, *PACKAGED)


@pytest.mark.parametrize(
    "origin", ["capacitor://*", "*", "chrome-extension://*", "file://", "capacitor://", "ftp://x"]
)
def test_packaged_apps_are_exact(world: World, origin: str) -> None:
    found, (problem,) = Settings.collect(world.environment(APP_URL) | {"ALLOWED_ORIGINS": origin})
    assert found is None
    assert problem.startswith("ALLOWED_ORIGINS is wrong")


@pytest.mark.parametrize("header", ["traceparent", "tracestate", "baggage", "sentry-trace"])
@pytest.mark.parametrize("origin", [APP_URL, PREVIEW, PACKAGED[0]])
def test_headers_of_tracing_pass(service: Service, origin: str, header: str) -> None:
    asked = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": f"authorization, {header}",
    }
    answer = service.call("OPTIONS", "/checkout", headers=asked)
    allowed = answer.headers["Access-Control-Allow-Headers"].lower().split(", ")
    assert {"authorization", header} <= set(allowed)
    assert "x-evil" not in allowed


# The id of an earlier checkout


@pytest.mark.parametrize(
    "path, success",
    [
        ("/done?checkout_session_id=cs_old", f"/done?{ID}"),
        ("/done?tab=1&checkout_session_id=cs_old&x=2", f"/done?tab=1&x=2&{ID}"),
        ("/done?checkout_session_id=cs_1&checkout_session_id=cs_2", f"/done?{ID}"),
        ("/done?checkout_session_id", f"/done?{ID}"),
        ("/done?checkout%5Fsession%5Fid=cs_old", f"/done?{ID}"),
        ("/done?%63heckout_session_id=cs_old&a=b", f"/done?a=b&{ID}"),
        ("/done?my_checkout_session_id=1", f"/done?my_checkout_session_id=1&{ID}"),
        ("/done?next=checkout_session_id", f"/done?next=checkout_session_id&{ID}"),
        ("/done#checkout_session_id=cs_old", f"/done?{ID}#checkout_session_id=cs_old"),
        ("/#/done?checkout_session_id=cs_old", f"/?{ID}#/done?checkout_session_id=cs_old"),
        ("/done?a=%26b%3Dc", f"/done?a=%26b%3Dc&{ID}"),
        ("/done?", f"/done?{ID}"),
    ],
)
def test_only_the_new_one_is_in_the_address(
    world: World, service: Service, path: str, success: str
) -> None:
    order = order_of(world.stripe, service.checkout(body={"return_path": path}))
    assert order["success_url"] == f"{APP_URL}{success}"
    assert order["cancel_url"] == f"{APP_URL}{path}"


def test_what_was_in_the_setting_is_replaced_too(
    world: World, make_service: MakeService, ada: str
) -> None:
    service = make_service(checkout_success_path="/done?checkout_session_id={CHECKOUT_SESSION_ID}")
    assert order_of(world.stripe, service.checkout())["success_url"] == f"{APP_URL}/done?{ID}"


# Languages as browsers call them


@pytest.mark.parametrize(
    "wanted, sent",
    [
        ("no", "nb"),
        ("no-NO", "nb"),
        ("nn", "nb"),
        ("nn-NO", "nb"),
        ("nb-NO", "nb"),
        ("NN_no", "nb"),
        ("zh-Hant", "zh-TW"),
        ("zh-Hant-TW", "zh-TW"),
        ("zh-hant-HK", "zh-HK"),
        ("zh-Hant-MO", "zh-TW"),
        ("zh-Hans-CN", "zh"),
        ("zh-TW", "zh-TW"),
        ("pt-BR", "pt-BR"),
        ("es-MX", "es"),
        ("xx-NO", "auto"),
    ],
)
def test_what_browsers_mean(
    world: World, service: Service, customer: str, wanted: str, sent: str
) -> None:
    assert order_of(world.stripe, service.checkout(body={"locale": wanted}))["locale"] == sent
    assert service.portal(body={"locale": wanted}).status_code == 200
    (session,) = world.stripe.portal_sessions.values()
    assert session["locale"] == sent
