"""The whole story in the example, whose browsers call its own origin."""

import re
from collections.abc import Iterator
from pathlib import Path

import cards
import next_app
import pytest
from guest import Guest, expired_token, subscribe, with_cookies
from in_browser import CHECKOUT, PORTAL
from playwright.sync_api import Browser, Page, expect
from shop import Shop
from started import wait_for

CARDS = Path(__file__).with_name("cards.txt")
DAY = re.compile(r"[A-Z]\w+ \d{1,2}, 20\d\d")


@pytest.fixture
def shop(page: Page, rewrites: Guest) -> Shop:
    return Shop(page, rewrites)


def test_from_signed_out_through_checkout_and_portal_and_back(shop: Shop) -> None:
    shop.open("/pricing")
    shop.says("$49 per month")
    shop.picture("example-pricing")
    shop.page.get_by_label("Yearly").check()
    shop.page.get_by_role("link", name="Choose Team").click()
    shop.choose_ada()
    shop.at(f"{shop.url}/pricing")
    shop.open("/reports")
    shop.at(f"{shop.url}/pricing")  # for subscribers only

    shop.page.get_by_label("Yearly").check()
    shop.click("Choose Team")
    shop.at(CHECKOUT)
    assert shop.calls.count("POST /checkout") == 1
    shop.click("Pay $490.00")
    shop.titled("Thank you")
    shop.at(f"{shop.url}/success")
    shop.plan("Team Active")
    shop.picture("example-success")

    shop.page.get_by_role("link", name="Go to your reports").click()
    shop.titled("Reports")
    shop.page.get_by_role("link", name="Account").click()
    shop.plan("Team Active")
    shop.says("Renews on")
    shop.manage()
    shop.click("Cancel at period end")
    shop.page.get_by_role("link", name="Return to the app").click()
    shop.at(f"{shop.url}/account")
    shop.plan("Team Ending")
    shop.says("Until then all of it is yours.")
    shop.picture("example-account")


def test_no_webhook_ever_comes(shop: Shop) -> None:
    shop.sandbox.post("/faults", webhook_delay_ms=60_000)
    shop.sign_in("/pricing")
    shop.buy()
    shop.titled("Thank you")
    shop.at(f"{shop.url}/success")
    shop.plan("Pro Active")
    assert shop.sandbox.get("/deliveries") == []


def test_a_payment_that_cant_be_told_yet_is_being_confirmed(shop: Shop) -> None:
    shop.sign_in("/pricing")
    shop.click("Choose Pro")
    shop.at(CHECKOUT)
    shop.sandbox.post("/faults", database="down")
    shop.click("Pay $19.00")
    shop.titled("Confirming your payment …")
    shop.is_problem("We can’t look up your plan at the moment")
    shop.picture("example-confirming")
    expect(shop.page).to_have_url(re.compile(r"/success\?checkout_session_id=cs_"))

    shop.sandbox.post("/faults", database="up")
    shop.plan("Pro Active")  # by itself
    shop.at(f"{shop.url}/success")


def test_the_database_is_down(shop: Shop) -> None:
    subscribe(shop.sandbox, "ada")
    shop.sign_in("/account")
    shop.sandbox.post("/faults", database="down")
    shop.click("Manage billing")
    shop.is_problem("We can’t look up your plan at the moment")
    expect(shop.main.get_by_role("alert")).to_contain_text(re.compile(r"Reference: [\w.-]{8}"))
    shop.picture("example-database-down")
    shop.open("/reports")
    shop.is_problem("We can’t look up your plan at the moment")
    shop.open("/account")
    shop.is_problem("We can’t look up your plan at the moment")
    expect(shop.main).not_to_contain_text("Free")

    shop.sandbox.post("/faults", database="up")
    shop.plan("Pro Active")  # by itself


def test_the_service_is_down_and_somebody_else_answers(shop: Shop) -> None:
    """Next.js, whose rewrite leads nowhere, has a page of its own for that, with 500."""
    subscribe(shop.sandbox, "ada")
    shop.sign_in("/account")
    shop.sandbox.post("/service", running=False)
    with shop.page.expect_response("**/api/stripe/portal") as answer:
        shop.click("Manage billing")
    assert (answer.value.status, answer.value.text()) == (500, "Internal Server Error")
    shop.is_problem("Something else than the billing service answered.")
    shop.open("/account")
    shop.is_problem("Something else than the billing service answered.")
    expect(shop.main).not_to_contain_text("Free")
    shop.open("/pricing")
    shop.is_problem("Something else than the billing service answered.")
    shop.picture("example-service-down")

    shop.sandbox.post("/service", running=True)
    shop.open("/account")
    shop.plan("Pro Active")


def test_clerks_cookie_expired_while_the_page_slept(shop: Shop, rewrites: Guest) -> None:
    subscribe(shop.sandbox, "ada")
    shop.sign_in("/account")
    expired = expired_token(rewrites, "ada")
    cookies = shop.page.context.cookies()
    ours = [c | {"value": expired} for c in cookies if c["name"].startswith("__session")]
    shop.page.context.add_cookies(ours)
    shop.manage()


def test_the_back_button_of_the_browser(shop: Shop) -> None:
    """Next.js lets no browser keep such a page; ../browser/test_package.py has one that is kept."""
    subscription = subscribe(shop.sandbox, "ada")
    shop.sign_in("/account")
    shop.manage()
    change = {"action": "cancel_at_period_end"}
    shop.sandbox.post(f"/stripe/subscriptions/{subscription}", **change)
    wait_for(lambda: any(row["cancel_at"] for row in shop.sandbox.get("/rows")))
    shop.page.go_back(wait_until="commit")
    shop.plan("Pro Ending")
    shop.manage()


def test_three_clicks_in_one_tick_are_one_session(shop: Shop) -> None:
    shop.sign_in("/pricing")
    expect(shop.button("Choose Pro")).to_be_visible()
    shop.page.evaluate(
        """() => {
          for (const name of ['Choose Pro', 'Choose Pro', 'Choose Team'])
            [...document.querySelectorAll('button')].find((b) => b.textContent === name).click()
        }"""
    )
    shop.at(CHECKOUT)
    assert shop.calls.count("POST /checkout") == 1


def test_by_keyboard_alone(shop: Shop) -> None:
    shop.sign_in("/pricing")
    tab_to(shop, "Choose Pro")
    shop.page.keyboard.press("Enter")
    shop.at(CHECKOUT)
    tab_to(shop, "Pay $19.00")
    shop.page.keyboard.press("Enter")
    shop.titled("Thank you")
    tab_to(shop, "Manage billing")
    shop.page.keyboard.press("Space")
    shop.at(PORTAL)


def tab_to(shop: Shop, name: str) -> None:
    """With the key alone, and where it is can be seen."""
    expect(shop.button(name)).to_be_visible()
    for _ in range(20):
        shop.page.keyboard.press("Tab")
        focused = shop.page.locator(":focus")
        if focused.count() and focused.inner_text().strip() == name:
            style = "e => getComputedStyle(e).outlineStyle"
            assert focused.evaluate(style) != "none", name
            return
    raise AssertionError(f"{name} is not reached")


@pytest.fixture
def still_page(browser: Browser) -> Iterator[Page]:
    """In which no script changes what the server sent."""
    with browser.new_context(java_script_enabled=False) as context:
        yield context.new_page()


def test_each_row_of_entitlement_has_its_card(rewrites: Guest, still_page: Page) -> None:
    """As cards.txt says. To change that on purpose, copy .artifacts/apps/cards.txt over it."""
    shown = []
    for number, (status, reason) in enumerate(cards.documented()):
        user = f"row{number}"
        with_cookies(still_page.context, rewrites, user)
        cards.become(rewrites.sandbox, user, status, reason)
        still_page.goto(f"{rewrites.url}/account")
        # The first render knows who is signed in: nothing flickers.
        expect(still_page.get_by_role("button", name="Sign out", exact=True)).to_be_visible()
        card = still_page.locator("main section").aria_snapshot()
        shown.append(f"{status} {reason}".strip() + f"\n{DAY.sub('<day>', card)}\n")
    text = "\n".join(shown)
    (next_app.COPIES / CARDS.name).write_text(text)
    assert text == CARDS.read_text()
