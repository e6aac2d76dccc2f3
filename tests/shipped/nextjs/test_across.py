"""The example whose browsers call the service across origins, with a Bearer token."""

import pytest
from guest import Guest, expired_token, subscribe
from in_browser import CHECKOUT, PORTAL
from playwright.sync_api import Page, Route, expect
from shop import Shop

# As Sentry's and OpenTelemetry's scripts do it to each call of a page.
TRACED = """
const plain = window.fetch
window.fetch = (to, init = {}) => {
  const headers = new Headers(init.headers)
  headers.set('sentry-trace', '0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-1')
  headers.set('baggage', 'sentry-environment=production,sentry-release=1.0')
  headers.set('traceparent', '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01')
  return plain(to, String(to).startsWith('SERVICE') ? { ...init, headers } : init)
}"""


@pytest.fixture
def shop(page: Page, across: Guest) -> Shop:
    return Shop(page, across)


def test_on_a_preview_of_the_app_people_stay_there(page: Page, across: Guest) -> None:
    preview = Shop(page, across, across.url.replace("app.", "pr-7."))
    preview.sign_in("/pricing")
    preview.click("Choose Pro")
    preview.at(CHECKOUT)
    preview.click("Pay $19.00")
    preview.titled("Thank you")
    preview.at(f"{preview.url}/success")
    preview.plan("Pro Active")
    preview.manage()
    preview.page.get_by_role("link", name="Return to the app").click()
    preview.at(f"{preview.url}/account")
    assert preview.calls.count("POST /portal") == 1


def test_headers_of_tracing_scripts_may_come_along(shop: Shop, across: Guest) -> None:
    subscribe(shop.sandbox, "ada")
    shop.page.add_init_script(TRACED.replace("SERVICE", across.environment["BILLING_URL"]))
    shop.sign_in("/account")
    with shop.page.expect_request("**/api/stripe/portal") as asked:
        shop.manage()
    assert {"sentry-trace", "baggage", "traceparent"} <= asked.value.all_headers().keys()


def test_a_token_that_expires_on_its_way_is_replaced(shop: Shop, across: Guest) -> None:
    subscribe(shop.sandbox, "ada")
    shop.sign_in("/account")
    expired = expired_token(across, "ada")
    sent: list[str] = []

    def delay(route: Route) -> None:
        headers = route.request.all_headers()
        if not sent:
            headers["authorization"] = f"Bearer {expired}"
        sent.append(headers["authorization"])
        route.continue_(headers=headers)

    shop.page.route("**/api/stripe/portal", delay)
    with shop.page.expect_response("**/v1/client/sessions/*/tokens*"):  # of Clerk
        shop.click("Manage billing")
    shop.at(PORTAL)
    assert len(sent) == len(set(sent)) == 2


def test_the_service_is_down(shop: Shop) -> None:
    subscribe(shop.sandbox, "ada")
    shop.sign_in("/account")
    shop.sandbox.post("/service", running=False)
    shop.click("Manage billing")
    shop.is_problem("The billing service does not answer.")
    expect(shop.button("Manage billing")).not_to_have_attribute("aria-disabled", "true")
    shop.sandbox.post("/service", running=True)
    shop.click("Try again")
    shop.at(PORTAL)
