"""The tutorial's button and page, word for word, in front of the service by rewrites."""

import hashlib
import hmac
import json
import re
import time

import pytest
import requests
from guest import Guest, subscribe, with_cookies
from in_browser import CHECKOUT, PORTAL, Tab
from playwright.sync_api import Page, expect
from started import wait_for

DASHBOARD = re.compile(r"/dashboard(\?|$)")


@pytest.fixture
def ada(page: Page, tutorial: Guest) -> Tab:
    """Signed in to the app."""
    with_cookies(page.context, tutorial, "ada")
    return Tab(page, tutorial.sandbox, f"{tutorial.url}/api/stripe")


def account(tab: Tab, guest: Guest) -> None:
    tab.page.goto(f"{guest.url}/account")


def shows(tab: Tab, text: str | re.Pattern[str]) -> None:
    expect(tab.page.locator("body")).to_contain_text(text)


def webhook_says(guest: Guest, status: str) -> None:
    """The table is all that the tutorial's page knows."""
    wait_for(lambda: [row["status"] for row in guest.sandbox.get("/rows")] == [status])


def test_the_button_lands_on_stripes_portal_and_people_come_back(ada: Tab, tutorial: Guest) -> None:
    subscribe(tutorial.sandbox, "ada")
    account(ada, tutorial)
    shows(ada, "Status: active")
    shows(ada, re.compile(r"Renews: \d+/\d+/20\d\d"))

    ada.click("Manage billing")
    ada.at(PORTAL)
    assert ada.calls == ["POST /portal"]
    ada.page.get_by_role("link", name="Return to the app").click()
    ada.at(f"{tutorial.url}/dashboard")


def test_the_page_shows_the_status_that_it_used_to_read(ada: Tab, tutorial: Guest) -> None:
    subscription = subscribe(tutorial.sandbox, "ada", status="trialing")
    account(ada, tutorial)
    shows(ada, "Status: trialing")

    tutorial.sandbox.post(f"/stripe/subscriptions/{subscription}", action="cancel_now")
    webhook_says(tutorial, "canceled")
    account(ada, tutorial)
    shows(ada, "You're on the free plan.")


def test_an_upgrade(ada: Tab, tutorial: Guest) -> None:
    account(ada, tutorial)
    shows(ada, "You're on the free plan.")
    ada.page.get_by_role("link", name="Upgrade to Pro →").click()
    ada.click("Buy Pro")
    ada.at(CHECKOUT)
    assert ada.calls == [
        "POST /checkout"
    ]  # the link, which Next.js follows unasked, bought nothing

    ada.click("Pay $19.00")
    ada.at(DASHBOARD)
    webhook_says(tutorial, "active")
    ada.page.get_by_role("link", name="Account").click()
    shows(ada, "Status: active")


def test_a_route_that_was_left_behind_loses(ada: Tab, tutorial: Guest) -> None:
    """To `beforeFiles`. To rewrites in an array it wins; beside it these lead to the service."""
    account(ada, tutorial)
    said = ada.page.evaluate(
        """async () => {
          const ask = async (path, method) => {
            const answer = await fetch(path, { method })
            return [answer.status, (await answer.json()).error ?? null]
          }
          return {
            before: await ask('/api/stripe/portal', 'POST'),
            array: await ask('/array/api/stripe/portal', 'POST'),
            beside: await ask('/array/api/stripe/subscription', 'GET'),
          }
        }"""
    )
    assert said == {
        "before": [404, "No subscription found"],
        "array": [410, "the old route"],
        "beside": [200, None],
    }


def test_stripes_signature_survives_the_rewrite(tutorial: Guest) -> None:
    """And Clerk's middleware, which stands before it, lets Stripe pass."""
    price = {"id": "price_1", "object": "price", "nickname": "für alle\n  two"}
    event = {"id": "evt_1", "object": "event", "type": "price.created", "data": {"object": price}}
    body = json.dumps(event, ensure_ascii=False, indent=3).encode()
    now = int(time.time())
    secret = tutorial.sandbox.info["webhook_secret"].encode()
    signature = hmac.new(secret, f"{now}.".encode() + body, hashlib.sha256).hexdigest()
    headers = {"Stripe-Signature": f"t={now},v1={signature}", "Content-Type": "application/json"}

    answers = [
        requests.post(f"{tutorial.url}/api/stripe/webhook", sent, headers=headers, timeout=20)
        for sent in (body, body + b" ")
    ]
    assert answers[0].json() == {"received": True, "outcome": "ignored"}
    assert answers[1].json()["code"] == "invalid_signature"
