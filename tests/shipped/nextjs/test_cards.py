"""What the account page says in each row of docs/entitlement.md, as the example's server renders
it: cards.txt. To change that on purpose, copy .artifacts/apps/cards.txt over it.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import next_app
import psycopg
import pytest
from guest import Guest, subscribe, with_cookies
from playwright.sync_api import Browser, Page, expect
from started import ROOT, StartedSandbox, wait_for

pytestmark = pytest.mark.xdist_group("rewrites")

CARDS = Path(__file__).with_name("cards.txt")
DATE = re.compile(r"[A-Z]\w+ \d{1,2}, 20\d\d")
# What happens to a subscription that begins with this status, where that is not all.
HAPPENS = {
    "incomplete_expired": ("incomplete", {"action": "expire"}),
    "canceled": ("active", {"action": "cancel_now"}),
    "paused": ("active", {"action": "pause"}),
}
# What Stripe's stand-in has no word for stands in the table alone.
ONLY_IN_THE_TABLE = {("paused", "none"): ("paused", None), ("unknown", ""): ("of_tomorrow", None)}


def documented() -> list[tuple[str, str]]:
    """Status and paused_reason of each row."""
    text = (ROOT / "docs" / "entitlement.md").read_text()
    rows = [line.split("|") for line in text.splitlines() if line.startswith("| ")]
    return [(row[1].strip(), row[2].strip()) for row in rows[1:]]


def become(sandbox: StartedSandbox, user: str, status: str, reason: str) -> None:
    """The user has a subscription that stands in this row."""
    begins, change = HAPPENS.get(status, (status, {}))
    in_the_table = ONLY_IN_THE_TABLE.get((status, reason))
    if in_the_table:
        begins, change = "active", {}
    subscription = subscribe(sandbox, user, status=begins)
    if change:
        more = {"reason": reason} if reason else {}
        sandbox.post(f"/stripe/subscriptions/{subscription}", **change, **more)
    if in_the_table:
        query = "update subscriptions set status = %s, paused_reason = %s"
        with psycopg.connect(sandbox.info["database_url"]) as connection:
            by_id = f"{query} where stripe_subscription_id = %s"
            connection.execute(by_id, (*in_the_table, subscription))
    else:
        wait_for(lambda: (subscription, status) in statuses(sandbox))


def statuses(sandbox: StartedSandbox) -> list[tuple[str, str]]:
    return [(row["stripe_subscription_id"], row["status"]) for row in sandbox.get("/rows")]


@pytest.fixture
def still_page(browser: Browser) -> Iterator[Page]:
    """In which no script changes what the server sent."""
    with browser.new_context(java_script_enabled=False) as context:
        yield context.new_page()


def test_each_row_of_the_table_has_its_card(rewrites: Guest, still_page: Page) -> None:
    shown = []
    for number, (status, reason) in enumerate(documented()):
        user = f"row{number}"
        with_cookies(still_page.context, rewrites, user)
        become(rewrites.sandbox, user, status, reason)
        still_page.goto(f"{rewrites.url}/account")
        # The first render knows who is signed in: nothing flickers.
        expect(still_page.get_by_role("button", name="Sign out", exact=True)).to_be_visible()
        card = still_page.locator("main section").aria_snapshot()
        shown.append(f"{status} {reason}".strip() + f"\n{DATE.sub('<date>', card)}\n")
    text = "\n".join(shown)
    (next_app.COPIES / CARDS.name).write_text(text)
    assert text == CARDS.read_text()
