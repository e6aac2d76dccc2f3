"""The demo page, as a person with a mouse knows it."""

import re

from in_browser import CHECKOUT, PORTAL, Tab
from playwright.sync_api import Page, expect
from started import StartedSandbox

HOME = re.compile(r"/dashboard$")


class Demo(Tab):
    def __init__(self, page: Page, sandbox: StartedSandbox) -> None:
        super().__init__(page, sandbox, f"{sandbox.info['service_url']}/api/stripe")
        self.account = page.locator("#account")

    def open(self) -> None:
        self.page.goto(self.sandbox.url)

    def says(self, text: str | re.Pattern[str]) -> None:
        expect(self.account).to_contain_text(text)

    def says_not(self, text: str) -> None:
        expect(self.account).not_to_contain_text(text)

    def turn(self, switch: str, to: str) -> None:
        """Use one of the switches, and wait until it is done."""
        select = self.page.get_by_label(switch, exact=True)
        select.select_option(label=to)
        expect(select).not_to_have_attribute("aria-busy", "true")

    def upgrade(self) -> None:
        self.click("Upgrade")
        self.at(CHECKOUT)

    def buy(self) -> None:
        self.upgrade()
        self.click("Pay $19.00")
        self.at(HOME)
        self.says("Renews on")

    def manage(self) -> None:
        self.click("Manage billing")
        self.at(PORTAL)

    def return_to_app(self) -> None:
        self.page.get_by_role("link", name="Return to the app").click()
        self.at(HOME)
