"""The story that a newcomer clicks through, and its side paths."""

import pytest
from demo import HOME, Demo
from in_browser import CHECKOUT, DATE, PORTAL
from playwright.sync_api import Browser, expect
from started import Caller, StartedSandbox


def test_from_the_free_plan_through_a_subscriptions_life_and_back(demo: Demo) -> None:
    expect(demo.button("Manage billing")).to_be_hidden()
    demo.picture("1-free")

    demo.upgrade()
    demo.picture("2-checkout")
    demo.click("Pay $19.00")
    demo.at(HOME)
    demo.says("Thank you. You are on Pro.")
    demo.says("Active")
    demo.says(DATE)
    expect(demo.button("Upgrade")).to_be_hidden()
    assert demo.calls.count("POST /subscription/refresh") == 1
    expect(demo.page.locator("#rows")).to_contain_text("price_pro")
    deliveries = demo.page.locator("#deliveries")
    expect(deliveries).to_contain_text("checkout.session.completed")
    demo.picture("3-subscribed")

    demo.manage()
    demo.picture("4-portal")
    demo.click("Cancel at period end")
    expect(demo.page.get_by_role("status")).to_contain_text("Cancelled")
    demo.return_to_app()
    demo.says("Ends on")
    demo.says("Pro")
    expect(demo.button("Cancel plan")).to_be_hidden()
    demo.picture("5-ending")

    demo.manage()
    demo.click("Resume")
    demo.return_to_app()
    demo.says("Renews on")

    demo.manage()
    demo.click("Let the card fail")
    demo.return_to_app()
    demo.says("Payment needed")
    demo.says("The last payment failed")
    demo.picture("6-payment-needed")

    demo.click("Fix payment")
    demo.at(PORTAL)
    demo.picture("7-portal-owing")
    demo.click("Pay what is owed")
    demo.return_to_app()
    demo.says("Renews on")

    demo.manage()
    demo.click("Cancel now")
    demo.return_to_app()
    demo.says("Free")
    demo.says("ended on")
    expect(demo.button("Upgrade")).to_be_visible()
    demo.picture("8-free-again")


def test_the_team_plan_can_be_chosen(demo: Demo) -> None:
    demo.page.get_by_label("Team").check()
    demo.upgrade()
    demo.click("Pay $49.00")
    demo.says("You are on Team")


def test_a_declined_card_stays_and_says_so(demo: Demo) -> None:
    demo.upgrade()
    demo.click("Let the card be declined")

    expect(demo.page.get_by_role("alert")).to_contain_text("The card was declined")
    demo.at(CHECKOUT)
    demo.picture("9-declined")
    demo.click("Pay $19.00")
    demo.says("You are on Pro")


def test_an_abandoned_checkout_changes_nothing(demo: Demo) -> None:
    demo.upgrade()
    demo.page.get_by_role("link", name="Cancel and go back").click()

    demo.at(HOME)
    demo.says("Free")
    demo.upgrade()


def test_the_back_button_of_the_browser(demo: Demo) -> None:
    demo.page.evaluate("window.left = true")
    demo.upgrade()
    demo.page.go_back(wait_until="commit")

    demo.says("Free")
    assert demo.page.evaluate("window.left"), "the page was not kept, so this proves nothing"
    expect(demo.button("Upgrade")).not_to_have_attribute("aria-disabled", "true")
    demo.says_not("One moment")
    demo.upgrade()
    demo.click("Pay $19.00")
    demo.says("Renews on")
    demo.page.go_back(wait_until="commit")
    expect(demo.page.get_by_text("This checkout session is complete.")).to_be_visible()
    demo.page.get_by_role("link", name="Back to the app").click()
    demo.says("You are on Pro")


def test_a_double_click_is_one_call_and_one_payment(demo: Demo) -> None:
    posts: list[str] = []
    demo.page.on("request", lambda r: posts.append(r.url) if r.method == "POST" else None)

    demo.button("Upgrade").dblclick()
    demo.at(CHECKOUT)
    assert demo.calls.count("POST /checkout") == 1

    demo.button("Pay $19.00").dblclick()
    demo.says("Renews on")
    assert len([url for url in posts if url.endswith("/pay")]) == 1
    assert len(demo.sandbox.get("/rows")) == 1


@pytest.mark.parametrize(
    ("link", "button", "afterwards"),
    [
        ("Update card", "Update the card", "Renews on"),
        ("Change plan", "Switch to Team · $49.00", "Team"),
        ("Cancel plan", "Cancel at period end", "Ends on"),
    ],
)
def test_a_flow_lands_on_its_page_and_comes_back(
    demo: Demo, link: str, button: str, afterwards: str
) -> None:
    demo.sandbox.post("/stripe/subscriptions", user="ada")
    demo.says("Renews on")

    demo.click(link)
    demo.at(PORTAL)
    demo.picture(f"10-flow-{link.lower().replace(' ', '-')}")
    demo.click(button)
    demo.at(HOME)
    demo.says(afterwards)


def test_paused_and_resumed(demo: Demo) -> None:
    demo.sandbox.post("/stripe/subscriptions", user="ada")
    demo.manage()
    demo.click("Pause")
    demo.return_to_app()
    demo.says("Paused")

    demo.manage()
    demo.click("Resume")
    demo.return_to_app()
    demo.says("Renews on")


def test_each_user_has_an_account_of_their_own(demo: Demo) -> None:
    demo.sandbox.post("/stripe/subscriptions", user="ada", price="price_team")
    demo.says("Team")

    demo.page.get_by_label("Grace").check(force=True)
    demo.says("Free")
    expect(demo.page.locator("#rows")).to_contain_text("No row")
    demo.page.reload()
    demo.says("Free")
    demo.page.get_by_label("Ada").check(force=True)
    demo.says("Team")


def test_a_price_that_no_plan_has(demo: Demo) -> None:
    subscription = demo.sandbox.post("/stripe/subscriptions", user="ada")["id"]
    demo.says("Renews on")
    change = {"action": "change_plan", "price": "price_other"}
    demo.sandbox.post(f"/stripe/subscriptions/{subscription}", **change)

    demo.says("Unknown plan")
    expect(demo.button("Manage billing")).to_be_visible()
    expect(demo.button("Upgrade")).to_be_hidden()


def test_the_pages_of_stripe_work_without_javascript(
    browser: Browser, sandbox: StartedSandbox
) -> None:
    ada = Caller(sandbox, "ada")
    with browser.new_context(java_script_enabled=False) as context:
        page = context.new_page()
        page.goto(ada.url_of("/checkout"))
        page.get_by_role("button", name="declined").click()
        expect(page.get_by_role("alert")).to_contain_text("declined")
        page.get_by_role("button", name="Pay $19.00").click()
        expect(page).to_have_url(
            f"{sandbox.url}/dashboard?checkout_session_id={_session(page.url)}"
        )

        page.goto(ada.url_of("/portal"))
        page.get_by_role("button", name="Cancel at period end").click()
        expect(page.get_by_text("Ends on")).to_be_visible()
        page.get_by_role("button", name="Resume").click()
        expect(page.get_by_text("Renews on")).to_be_visible()
        page.get_by_role("link", name="Return to the app").click()
        expect(page).to_have_url(f"{sandbox.url}/dashboard")


def _session(url: str) -> str:
    return url.rpartition("=")[2]
