"""The demo page and the stand-in's pages, as a person with a mouse knows them."""

import re
from pathlib import Path

from playwright.sync_api import Locator, Page, Request, expect
from started import ROOT, StartedSandbox

ARTIFACTS = ROOT / ".artifacts" / "e2e"
WIDTHS = {1280: 800, 375: 720}

CHECKOUT = re.compile(r"/c/pay/cs_")
PORTAL = re.compile(r"/p/session/")
HOME = re.compile(r"/dashboard$")
DATE = re.compile(r"\d{1,2} \w+ 20\d\d")


class Demo:
    def __init__(self, page: Page, sandbox: StartedSandbox) -> None:
        self.page = page
        self.sandbox = sandbox
        self.account = page.locator("#account")
        self.calls: list[str] = []  # to the service, as "POST /checkout"
        page.on("request", self._note)

    def _note(self, request: Request) -> None:
        service = f"{self.sandbox.info['service_url']}/api/stripe"
        if request.url.startswith(service) and request.method != "OPTIONS":
            self.calls.append(f"{request.method} {request.url.removeprefix(service)}")

    def open(self) -> None:
        self.page.goto(self.sandbox.url)

    def button(self, name: str) -> Locator:
        return self.page.get_by_role("button", name=name, exact=True)

    def click(self, name: str) -> None:
        self.button(name).click()

    def says(self, text: str | re.Pattern[str]) -> None:
        expect(self.account).to_contain_text(text)

    def says_not(self, text: str) -> None:
        expect(self.account).not_to_contain_text(text)

    def at(self, address: re.Pattern[str]) -> None:
        expect(self.page).to_have_url(address)

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

    def picture(self, name: str) -> None:
        """Keep what is seen: at two widths, in both themes."""
        ARTIFACTS.mkdir(parents=True, exist_ok=True)
        for width, height in WIDTHS.items():
            self.page.set_viewport_size({"width": width, "height": height})
            for scheme in ("dark", "light"):
                self.page.emulate_media(color_scheme=scheme)
                self._keep(ARTIFACTS / f"{name}-{width}-{scheme}.png")
            assert self.page.evaluate("document.documentElement.scrollWidth") <= width
        self.page.set_viewport_size({"width": 1280, "height": 800})

    def _keep(self, path: Path) -> None:
        self.page.screenshot(path=path, full_page=True, animations="disabled")
