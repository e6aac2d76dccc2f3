"""What goes wrong, and what the page says then."""

import re

from demo import HOME, Demo
from in_browser import CHECKOUT, PORTAL
from playwright.sync_api import expect
from started import wait_for

from portal_service.errors import ERRORS


def test_the_webhook_comes_after_the_customer_is_back(demo: Demo) -> None:
    demo.turn("Webhook delay", "60 s")
    demo.upgrade()
    demo.click("Pay $19.00")  # as long as Stripe, ten seconds, the page waits for the webhook
    demo.at(HOME)

    demo.says("Thank you. You are on Pro.")
    demo.says("Renews on")
    assert demo.sandbox.get("/deliveries") == []
    expect(demo.page.locator("#deliveries")).to_contain_text("None yet")
    demo.picture("11-before-the-webhook")


def test_repeated_and_shuffled_webhooks_end_in_the_same_plan(demo: Demo) -> None:
    demo.turn("Webhook repeats", "three")
    demo.turn("Webhook order", "shuffled")
    demo.buy()
    demo.click("Cancel plan")
    demo.click("Cancel at period end")
    demo.says("Ends on")
    wait_for(lambda: len(demo.sandbox.get("/deliveries")) >= 16)
    demo.says("Ends on")
    demo.click("All back to normal")
    wait_for(lambda: demo.sandbox.get("/faults")["webhook_duplicates"] == 0)


def test_the_service_is_down_and_comes_back(demo: Demo) -> None:
    demo.turn("Service", "is killed")
    demo.click("Upgrade")
    demo.says("The billing service does not answer")
    demo.picture("12-service-down")

    demo.turn("Service", "runs")
    demo.click("Try again")
    demo.at(CHECKOUT)


def test_the_page_recovers_by_itself_and_no_webhook_is_lost(demo: Demo) -> None:
    subscription = demo.sandbox.post("/stripe/subscriptions", user="ada")["id"]
    demo.says("Renews on")
    demo.sandbox.post("/service", running=False)
    demo.sandbox.post(f"/stripe/subscriptions/{subscription}", action="fail_payment")
    demo.page.reload()
    demo.says("The billing service does not answer")
    expect(demo.page.locator("#deliveries")).to_contain_text("no answer")

    demo.sandbox.post("/service", running=True)

    demo.says("Payment needed")
    demo.says_not("does not answer")


def test_the_database_is_down_and_comes_back(demo: Demo) -> None:
    demo.turn("Database", "is down")
    demo.click("Upgrade")
    demo.says("We can’t look up your plan")
    demo.page.reload()
    demo.says("We can’t look up your plan")
    expect(demo.button("Upgrade")).to_be_hidden()
    demo.picture("13-database-down")

    demo.turn("Database", "works")
    demo.says("Free")
    demo.says_not("can’t look up")


def test_a_payment_is_confirmed_once_the_database_is_back(demo: Demo) -> None:
    demo.turn("Webhook delay", "3 s")
    demo.upgrade()
    demo.sandbox.post("/faults", database="down")
    demo.click("Pay $19.00")
    demo.says("We can’t look up your plan")
    expect(demo.page).to_have_url(re.compile("checkout_session_id="))

    demo.sandbox.post("/faults", database="up")
    demo.says("Thank you. You are on Pro.")
    demo.at(HOME)


def test_stripe_has_had_enough(demo: Demo) -> None:
    demo.turn("Stripe’s API", "answers 429")
    demo.click("Upgrade")
    demo.says("Stripe does not answer")
    expect(demo.button("Upgrade")).not_to_have_attribute("aria-disabled", "true")

    demo.turn("Stripe’s API", "works")
    demo.click("Try again")
    demo.at(CHECKOUT)


def test_stripe_fails(demo: Demo) -> None:
    demo.sandbox.post("/stripe/subscriptions", user="ada")
    demo.says("Renews on")
    demo.turn("Stripe’s API", "answers 500")
    demo.click("Manage billing")
    demo.says("Stripe does not answer")
    expect(demo.button("Manage billing")).not_to_have_attribute("aria-disabled", "true")

    demo.click("All back to normal")
    expect(demo.page.get_by_label("Stripe’s API")).not_to_have_attribute("aria-busy", "true")
    demo.click("Try again")
    demo.at(PORTAL)


def test_a_token_that_expired_on_its_way_is_replaced(demo: Demo) -> None:
    demo.turn("Session token", "expired once")
    demo.upgrade()
    assert demo.calls[-2:] == ["POST /checkout", "POST /checkout"]
    demo.page.get_by_role("link", name="Cancel and go back").click()
    expect(demo.page.locator("#calls")).to_contain_text("unauthorized")
    demo.says("Free")


def test_a_session_that_has_ended_says_so_and_signs_in_again(demo: Demo) -> None:
    demo.turn("Session token", "always expired")
    demo.page.reload()
    demo.says("Your session has ended. Sign in again to go on.")
    demo.picture("14-signed-out")

    demo.click("Sign in again")
    demo.says("Free")
    demo.says_not("Your session has ended")


def test_a_subscription_bought_in_another_tab(demo: Demo) -> None:
    demo.upgrade()  # from here on Stripe has a customer
    demo.page.get_by_role("link", name="Cancel and go back").click()
    demo.says("Free")
    demo.sandbox.post("/faults", webhook_delay_ms=60_000)
    demo.sandbox.post("/stripe/subscriptions", user="ada")  # the table does not know it yet
    demo.click("Upgrade")
    demo.says("You have a subscription already")
    demo.account.get_by_role("alert").get_by_role("button", name="Manage billing").click()
    demo.at(PORTAL)


def test_too_many_clicks(demo: Demo) -> None:
    refusal = {"error": "Too many requests", "code": "rate_limited", "request_id": "r-1"}
    demo.page.route("**/api/stripe/checkout", lambda route: route.fulfill(status=429, json=refusal))
    demo.click("Upgrade")
    demo.says("Wait a moment, then try again.")


def test_what_is_no_answer_of_the_service_is_an_error_too(demo: Demo) -> None:
    html = "<h1>502 Bad Gateway</h1>"
    demo.page.route("**/api/stripe/checkout", lambda route: route.fulfill(status=502, body=html))
    demo.click("Upgrade")
    demo.says("Something else than the billing service answered")


def test_each_code_of_the_contract_has_a_sentence(demo: Demo) -> None:
    texts = demo.page.evaluate(
        """async (codes) => {
          const { explain } = await import('/demo/portal-service.js')
          return Object.fromEntries(codes.map((code) => [code, explain(code).text]))
        }""",
        [code for code in ERRORS if code not in ("invalid_signature", "invalid_payload")],
    )
    unknown = texts.pop("internal_error")
    assert unknown not in texts.values()
    assert all(len(text) > 20 for text in texts.values())


def test_starting_over(demo: Demo) -> None:
    demo.buy()
    demo.page.once("dialog", lambda dialog: dialog.accept())
    demo.click("Start over …")

    demo.says("Free")
    expect(demo.page.locator("#rows")).to_contain_text("No row")
    assert demo.sandbox.get("/rows") == []
