"""What a delivery of Stripe's leaves for whoever operates this: how late it came, why Stripe had to
be asked, what became of whose subscription. Decides nothing; mirror.py does.
"""

import time
from datetime import timedelta
from typing import Any, Literal, NamedTuple

from portal_service import events
from portal_service.events import SUBSCRIPTION_EVENTS, USED_EVENTS, Event
from portal_service.metrics import LAST_WEBHOOK, SLOW_PATH, WEBHOOK_LAG, WEBHOOKS
from portal_service.observability import note
from portal_service.subscription import Row, has_more_items, moment

Outcome = Literal["applied", "refreshed", "unchanged", "ignored"]

# Why Stripe was asked, in the order in which they are looked for: no snapshot of a subscription
# (thin, checkout); not all of its items; rendered in another API release; of a test clock; no row
# yet; a row without a stamp, as the original's; stamped no later than the row; less than a minute
# later; clearly later, but the row was written or deleted at that moment.
Reason = Literal[
    "thin", "checkout", "more_items", "release", "test_clock",
    "first", "undated", "older", "margin", "meanwhile",
]  # fmt: skip

_MARGIN = timedelta(seconds=60)  # upsert_subscription's


class Change(NamedTuple):
    """What a refresh did. before, row: the row then and now, where one was written."""

    outcome: Outcome
    before: Row | None = None
    row: Row | None = None


def about(event: Event) -> dict[str, Any]:
    """Which subscription and customer an event is about, for the log. Raises nothing."""
    kind = events.type_of(event)
    if kind not in USED_EVENTS:
        return {}
    if events.is_thin(event):
        name = "subscription" if kind in SUBSCRIPTION_EVENTS else "session"
        return {name: event["related_object"]["id"]}
    told = event["data"]["object"]
    subscription = "id" if kind in SUBSCRIPTION_EVENTS else "subscription"
    return {"subscription": _id(told.get(subscription)), "customer": _id(told.get("customer"))}


def count(event: Event, outcome: Outcome | Literal["failed"]) -> None:
    """Only types that we use have a label: the account's other events would make any number."""
    kind = events.type_of(event)
    used = kind in USED_EVENTS
    WEBHOOKS.labels(event["type"] if used else "other", outcome).inc()
    if outcome != "ignored" and (events.is_thin(event) or kind in events.CHECKOUT_EVENTS):
        _count_question("thin" if events.is_thin(event) else "checkout")
    if outcome == "failed":
        return
    LAST_WEBHOOK.set_to_current_time()
    created = _created(event)
    if used and created is not None:
        WEBHOOK_LAG.observe(max(0.0, time.time() - created))


def count_question(event: Event, row: Row | None, our_release: str) -> None:
    """Count why a snapshot of a subscription is not trusted.

    row: what is stored; without meaning where the snapshot would not be trusted beside any row.
    """
    _count_question(_reason(event, row, our_release))


def _count_question(reason: Reason) -> None:
    SLOW_PATH.labels(reason).inc()


def note_trusted(event: Event, row: Row) -> None:
    """What a snapshot changed, for the log. What was before is Stripe's word: the row that was
    written over was not read.
    """
    before = event["data"].get("previous_attributes")
    before = before.get("status") if isinstance(before, dict) else None
    _note(row, before or row["status"])


def note_change(change: Change) -> None:
    """What a refresh changed, for the log; of all requests that shared it."""
    if change.row:
        _note(change.row, change.before["status"] if change.before else None)


def _note(row: Row, old_status: str | None) -> None:
    note(
        subscription=row["stripe_subscription_id"],
        customer=row["stripe_customer_id"],
        owner=row["clerk_owner_id"] or row["user_id"],
        old_status=old_status,
        new_status=row["status"],
    )


def _reason(event: Event, row: Row | None, our_release: str) -> Reason:
    snapshot = event["data"]["object"]
    if has_more_items(snapshot):
        return "more_items"
    if (event.get("api_version") or "").partition(".")[2] != our_release:
        return "release"
    if snapshot.get("test_clock"):
        return "test_clock"
    return "first" if row is None else _beside(row, event["created"])


def _beside(row: Row, created: int) -> Reason:
    if not row["as_of"]:
        return "undated"
    later = timedelta(seconds=created - moment(row["as_of"]).timestamp())
    if later <= timedelta(0):
        return "older"
    return "margin" if later < _MARGIN else "meanwhile"


def _created(event: Event) -> float | None:
    """Seconds since 1970; thin events have it as text."""
    created = event.get("created")
    if isinstance(created, str):
        return moment(created).timestamp()
    return created if isinstance(created, int) else None


def _id(reference: Any) -> str | None:
    found = reference.get("id") if isinstance(reference, dict) else reference
    return found if isinstance(found, str) else None
