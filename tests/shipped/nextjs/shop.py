"""The example app as a person with a mouse knows it."""

import re

from guest import Guest
from in_browser import CHECKOUT, PORTAL, Tab
from playwright.sync_api import Page, expect


class Shop(Tab):
    """A tab with the example in it.

    url: where the app is opened, if not at its own address.
    """

    def __init__(self, page: Page, guest: Guest, url: str = "") -> None:
        called = guest.environment.get("NEXT_PUBLIC_BILLING_URL")
        self.url = url or guest.url
        super().__init__(page, guest.sandbox, called or f"{self.url}/api/stripe")
        self.main = page.locator("main")
        self._clerk = guest.environment["NEXT_PUBLIC_CLERK_SIGN_IN_URL"]

    def open(self, path: str) -> None:
        self.page.goto(self.url + path)

    def sign_in(self, path: str) -> None:
        """As ada, at Clerk's page, which leads on to that of the app."""
        self.page.goto(f"{self._clerk}?redirect_url={self.url}{path}")
        self.choose_ada()
        self.at(self.url + path)

    def choose_ada(self) -> None:
        self.click("Ada")
        self.is_known()
        # Clerk remembers its redirects for two seconds each, and takes four of them for a loop:
        # nobody is as quick as a test.
        self.page.context.clear_cookies(name="__clerk_redirect_count")

    def is_known(self) -> None:
        """Clerk's script has come, and knows who it is."""
        expect(self.button("Sign out, Ada")).to_be_visible()

    def says(self, text: str | re.Pattern[str]) -> None:
        expect(self.main).to_contain_text(text)

    def titled(self, text: str | re.Pattern[str]) -> None:
        expect(self.page.get_by_role("heading", level=1)).to_have_text(text)

    def plan(self, text: str) -> None:
        """The card's heading: the plan, and how it is with it."""
        expect(self.main.get_by_role("heading", level=2)).to_have_text(text)

    def is_problem(self, text: str) -> None:
        expect(self.main.get_by_role("alert")).to_contain_text(text)

    def buy(self) -> None:
        self.open("/pricing")
        self.click("Choose Pro")
        self.at(CHECKOUT)
        self.click("Pay $19.00")

    def manage(self) -> None:
        self.click("Manage billing")
        self.at(PORTAL)
