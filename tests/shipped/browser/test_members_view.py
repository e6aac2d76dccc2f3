"""Where organizations pay: one buys, its member sees it, and nobody else's plan is shown."""

from collections.abc import Iterator

import pytest
from demo import HOME, Demo
from playwright.sync_api import Page, expect
from started import StartedSandbox


@pytest.fixture
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartedSandbox]:
    data = tmp_path_factory.mktemp("organizations")
    with StartedSandbox(data, BILLING_OWNER="organization") as sandbox:
        yield sandbox


def choose(page: Page, organization: str) -> None:
    page.get_by_label("Organization", exact=True).select_option(label=organization)


def test_an_organization_pays_and_its_members_see_it(demo: Demo) -> None:
    expect(demo.page.get_by_label("Organization", exact=True)).to_have_value("org_acme")
    demo.upgrade()
    demo.click("Pay $19.00")
    demo.at(HOME)
    demo.says("Thank you. You are on Pro.")
    expect(demo.page.locator("#rows")).to_contain_text("org_acme")
    expect(demo.button("Manage billing")).to_be_visible()

    choose(demo.page, "Globex (member)")
    demo.says("Free")
    demo.says("You are in Globex as member")
    expect(demo.button("Upgrade")).to_be_hidden()
    expect(demo.page.locator("#rows")).to_contain_text("No row yet.")

    choose(demo.page, "none")
    demo.says("Choose an organization")
    expect(demo.button("Upgrade")).to_be_hidden()

    demo.page.get_by_label("Grace", exact=True).check(force=True)
    demo.says("Pro")
    demo.says("You are in Acme as member")
    expect(demo.button("Manage billing")).to_be_hidden()
    demo.picture("member")

    choose(demo.page, "Globex (admin)")
    demo.says("Free")
    expect(demo.button("Upgrade")).to_be_visible()
