"""Where people come back to from Stripe's pages: return_path, the settings, the page that asked.

Which return_path is refused: tests/rules/test_inputs.py; as an attack: tests/access/
test_return_urls.py. The id in the success URL: tests/rules/test_success_url.py.
"""

from typing import Any

import pytest
from service_under_test import APP_URL, Json, MakeService, Service, calls, link, order_of, refused

from sandbox.world import World

PREVIEW = "https://pr-7-acme.vercel.app"
SECOND = "https://admin.example.com"
PACKAGED = "capacitor://localhost"
ID = "checkout_session_id={CHECKOUT_SESSION_ID}"


@pytest.fixture
def service(make_service: MakeService, ada: str) -> Service:
    return make_service(origins=("https://*-acme.vercel.app", SECOND, PACKAGED))


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


@pytest.mark.parametrize("origin", [PACKAGED, None, "https://evil.example", "null", ""])
def test_packaged_apps_and_all_others_come_back_to_the_app(
    world: World, service: Service, customer: str, origin: str | None
) -> None:
    assert back_to(world, service, origin, {"return_path": "/done?tab=1#top"}) == {
        "success": f"{APP_URL}/done?tab=1&{ID}#top",
        "cancel": f"{APP_URL}/done?tab=1#top",
        "portal": f"{APP_URL}/done?tab=1#top",
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


@pytest.mark.parametrize("path", ["//evil.example", f"{PACKAGED}/done", 7])
def test_any_other_is_refused_before_stripe_is_asked(
    world: World, service: Service, customer: str, path: Any
) -> None:
    world.stripe.calls.clear()
    refused(service.checkout(body={"return_path": path}), "invalid_request")
    refused(service.portal(body={"return_path": path}), "invalid_request")
    assert calls(world.stripe) == []


def test_the_path_of_app_url_stays_for_its_own_origin(
    world: World, make_service: MakeService, ada: str
) -> None:
    service = make_service(app_url=f"{APP_URL}/app", origins=(SECOND,))
    for origin in (APP_URL, None):
        headers = service.bearer() | ({"Origin": origin} if origin else {})
        answer = service.call("POST", "/checkout", headers=headers)
        assert order_of(world.stripe, answer)["cancel_url"] == f"{APP_URL}/app/dashboard"


def test_the_default_addresses_are_settings(
    world: World, make_service: MakeService, customer: str
) -> None:
    service = make_service(
        checkout_success_path="/thanks?a=1",
        checkout_cancel_path="/pricing",
        portal_return_path="/account?tab=1",
    )
    assert back_to(world, service, None) == {
        "success": f"{APP_URL}/thanks?a=1&{ID}",
        "cancel": f"{APP_URL}/pricing",
        "portal": f"{APP_URL}/account?tab=1",
    }
