"""examples/plain/index.html, as it stands, in front of the sandbox."""

from demo import Demo
from in_browser import CHECKOUT, PORTAL
from playwright.sync_api import expect


def test_a_plan_is_bought_and_managed_without_a_build(demo: Demo) -> None:
    page = demo.page
    page.goto(f"{demo.sandbox.url}/plain/")
    expect(page.get_by_role("heading")).to_have_text("Free")
    page.get_by_role("button", name="Team $490 per year").click()
    demo.at(CHECKOUT)
    demo.click("Pay $490.00")

    expect(page.get_by_role("heading")).to_have_text("Team · Active")
    expect(page).to_have_url(f"{demo.sandbox.url}/plain/")
    expect(page.locator("#sentence")).to_contain_text("Renews on")
    demo.click("Manage billing")
    demo.at(PORTAL)
    page.go_back(wait_until="commit")
    expect(page.locator("#news")).to_be_empty()
    demo.click("Manage billing")
    demo.at(PORTAL)
