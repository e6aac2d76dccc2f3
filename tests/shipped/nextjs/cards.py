"""Users who stand in each row of docs/entitlement.md."""

import psycopg
from guest import subscribe
from started import ROOT, StartedSandbox, wait_for

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
    in_the_table = ONLY_IN_THE_TABLE.get((status, reason))
    begins, change = ("active", {}) if in_the_table else HAPPENS.get(status, (status, {}))
    subscription = subscribe(sandbox, user, status=begins)
    if change:
        more = {"reason": reason} if reason else {}
        sandbox.post(f"/stripe/subscriptions/{subscription}", **change, **more)
    if in_the_table:
        query = """
            update subscriptions set status = %s, paused_reason = %s
            where stripe_subscription_id = %s
        """
        with psycopg.connect(sandbox.info["database_url"]) as connection:
            connection.execute(query, (*in_the_table, subscription))
    else:
        wait_for(lambda: (subscription, status) in statuses(sandbox))


def statuses(sandbox: StartedSandbox) -> list[tuple[str, str]]:
    return [(row["stripe_subscription_id"], row["status"]) for row in sandbox.get("/rows")]
