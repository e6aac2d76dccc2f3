"""Stripe's events: which types we use, whether one is complete, and what a snapshot says. Whether
that is written is mirror.py's.

An event carries a snapshot of its object, or, as a thin one, only the object's id.
"""

import json
import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from portal_service.config import Plan
from portal_service.errors import ServiceError
from portal_service.log import log
from portal_service.owner import names_in
from portal_service.subscription import Row, StripeObject, row_of, subscription_of

Event = dict[str, Any]

# To use a new type of event: one line here and one test. Thin twins are named `v1.` + type.
SUBSCRIPTION_EVENTS = frozenset(
    f"customer.subscription.{change}"
    for change in (
        "created", "updated", "deleted", "paused", "resumed",
        "pending_update_applied", "pending_update_expired",
    )
)  # fmt: skip
CHECKOUT_EVENTS = frozenset(
    {"checkout.session.completed", "checkout.session.async_payment_succeeded"}
)
USED_EVENTS = SUBSCRIPTION_EVENTS | CHECKOUT_EVENTS
# Not of Stripe's: `portal check` signs it itself, to hear how the running service is reached.
CHECK_EVENT = "portal_service.check"
# Postgres keeps no NUL, and UTF-8 has no half of a surrogate pair.
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


class InvalidPayload(ServiceError):
    """Raised when it is not what Stripe sends: not an event, or one without what we use of it,
    times that do not exist, text that can't be stored.
    """

    code = "invalid_payload"


def is_thin(event: Event) -> bool:
    return event.get("object") == "v2.core.event"


def type_of(event: Event) -> str:
    """The type; of a thin event that of its twin."""
    kind: str = event["type"]
    return kind.removeprefix("v1.") if is_thin(event) else kind


def parse(payload: bytes) -> Event:
    """A snapshot or thin event, with all that we use in its place. Raises InvalidPayload."""
    try:
        event = json.loads(payload.decode())
    except (ValueError, RecursionError) as error:
        raise InvalidPayload from error
    if not isinstance(event, dict) or not isinstance(event.get("type"), str):
        raise InvalidPayload
    if not _is_complete(event):
        raise InvalidPayload
    return event


def _is_complete(event: Event) -> bool:
    if is_thin(event):
        related = event.get("related_object")
        used = type_of(event) in USED_EVENTS
        return not used or isinstance(related, dict) and isinstance(related.get("id"), str)
    data = event.get("data")
    snapshot = data.get("object") if isinstance(data, dict) else None
    if event.get("object") != "event" or not isinstance(snapshot, dict):
        return False
    return event["type"] not in SUBSCRIPTION_EVENTS or (
        isinstance(event.get("created"), int)
        and isinstance(event.get("api_version"), str | None)
        and isinstance(snapshot.get("id"), str)
        and snapshot["id"] != ""
        and isinstance(snapshot.get("status"), str)
    )


def snapshot_row(event: Event, plans: Sequence[Plan]) -> Row:
    """The row that a snapshot of a subscription makes. Raises InvalidPayload."""
    with _reading(event):
        snapshot = event["data"]["object"]
        row = row_of(snapshot, plans, datetime.fromtimestamp(event["created"], UTC))
        items = (value for item in row["items"] for value in item.values())
        _refuse_unstorable(*names_in(snapshot), *row.values(), *items)
    return row


def completed_session(event: Event) -> StripeObject:
    """The checkout session that an event carries. Raises InvalidPayload."""
    with _reading(event):
        session: StripeObject = event["data"]["object"]
        _refuse_unstorable(*names_in(session), subscription_of(session))
    return session


@contextmanager
def _reading(event: Event) -> Iterator[None]:
    try:
        yield
    except (TypeError, ValueError, AttributeError, KeyError, OverflowError, OSError) as error:
        log(logging.ERROR, "a signed event can't be read", event=event.get("id"), exc_info=error)
        raise InvalidPayload from error


def _refuse_unstorable(*values: Any) -> None:
    if _UNSTORABLE.search("".join(value for value in values if isinstance(value, str))):
        raise InvalidPayload
