"""Clerk's own pages, as far as the demo page has them: a new address, and the end of an account."""

from collections.abc import Iterator

import pytest
from demo import Demo
from playwright.sync_api import expect
from started import StartedSandbox


@pytest.fixture
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartedSandbox]:
    """One of its own: an account that was deleted stays so."""
    with StartedSandbox(tmp_path_factory.mktemp("account")) as sandbox:
        yield sandbox


def test_who_deletes_the_account_sees_the_plan_end(demo: Demo) -> None:
    demo.buy()
    demo.page.on("dialog", lambda dialog: dialog.accept())
    demo.click("New address or name")
    expect(demo.page.locator("#clerk-news")).to_contain_text("The address is ada.")
    expect(demo.page.locator("#deliveries")).to_contain_text("user.updated")

    demo.click("Delete the account …")
    expect(demo.page.locator("#clerk-news")).to_contain_text("ada left")
    expect(demo.page.locator("#deliveries")).to_contain_text("user.deleted")
    expect(demo.page.locator("#deliveries")).to_contain_text("what runs ends with its period")
    demo.says("Ends on")
    demo.picture("clerk-account")

    demo.click("Delete the account …")
    expect(demo.page.locator("#clerk-news")).to_contain_text("user_ada left")
    demo.click("Start over …")
    demo.says("Upgrade whenever you like.")
