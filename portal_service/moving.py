"""The address and the name that Clerk has, brought to the owner's customers at Stripe. What the
customer changed in the portal stays: a field is written only where it is empty or holds what was
written last, which the customer's metadata keeps.

Stripe has no compare-and-swap. Its idempotency keys make one: a change's key names the state that
was seen, so of two changes from the same state Stripe lets one through, and the other looks again.
"""

import hashlib
import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from portal_service import deadline
from portal_service.entitlement import Account
from portal_service.log import log
from portal_service.services import Services
from portal_service.stripe_errors import (
    CustomerMissing,
    KeyInUse,
    KeyReused,
    NotAtStripe,
    StripeFailed,
    StripeRefused,
)
from portal_service.subscription import Row, StripeObject

Params = dict[str, Any]

UPDATED_AT, DELETED_AT = "clerk_updated_at", "clerk_deleted_at"
# A customer's field, and where its metadata keeps what was written there last.
WRITTEN = {"email": "clerk_email", "name": "clerk_name"}
# Who has a key in use for longer than this won't use it: Stripe keeps an error with it.
_SLOW_SECONDS = 4.0


@dataclass(frozen=True)
class Details:
    """What Clerk says of an owner. updated_at: in milliseconds since 1970, as Clerk has it."""

    email: str | None
    name: str | None
    updated_at: int


def bring(services: Services, clerk_owner_id: str, details: Details) -> bool:
    """Bring the address and the name to every customer of the owner's that Stripe has.

    Returns whether any was changed: not by an event that is older than one that was seen, and not
    after the owner's deletion. Raises ServiceError.
    """
    account = services.database.account(clerk_owner_id)
    present = [c for c in own_customers(account) if c not in account.gone_customers]
    brought = [_brought(services, customer, details) for customer in present]
    return any(brought)


def own_rows(account: Account) -> list[Row]:
    """Without those that another owner has, which the account shows where both are one user of the
    app's.
    """
    rows = (*account.rows, *account.ignored_rows)
    return [row for row in rows if row["clerk_owner_id"] in (None, account.clerk_owner_id)]


def own_customers(account: Account) -> list[str]:
    """The owner's customers, the linked one first; gone ones too."""
    ids = [account.linked_customer, *(row["stripe_customer_id"] for row in own_rows(account))]
    return list(dict.fromkeys(customer for customer in ids if customer))


def mark_deleted(services: Services, customer: str) -> None:
    """Keep with the customer that its owner is gone: nothing is brought any more."""

    def mark(found: StripeObject) -> Params | None:
        if DELETED_AT in found["metadata"]:
            return None
        return {"metadata": {DELETED_AT: datetime.now(UTC).isoformat(timespec="seconds")}}

    change(services, customer, mark)


def change(
    services: Services, customer: str, decide: Callable[[StripeObject], Params | None]
) -> Params | None:
    """Change a customer at Stripe by what it is now, decided anew whenever somebody was faster,
    until the budget ends.

    decide: from the customer as it is to the parameters; None for nothing to do.
    Returns the parameters that were sent, None where there was nothing to do, or no customer.
    """
    seen, dead_keys, taken_since = "", 0, 0.0
    for _ in deadline.rounds():
        try:
            found = services.stripe.customer(customer)
            params = None if found.get("deleted") else decide(found)
            if params is None:
                return None
            state = _state(services, found)
            if state != seen:
                seen, dead_keys, taken_since = state, 0, time.monotonic()
            services.stripe.update_customer(
                customer, params, f"{state}-{dead_keys}" if dead_keys else state
            )
            return params
        except (NotAtStripe, CustomerMissing):
            return None
        except KeyReused:
            if time.monotonic() - taken_since > _SLOW_SECONDS:
                dead_keys, taken_since = dead_keys + 1, time.monotonic()
        except KeyInUse:
            continue
        except StripeFailed as error:
            if not error.replayed:
                raise
            dead_keys += 1  # an old error that Stripe keeps with the key for a day
    raise AssertionError("unreachable")


def _brought(services: Services, customer: str, details: Details) -> bool:
    try:
        sent = change(services, customer, lambda found: _changes(found, details))
    except StripeRefused:  # an address that Stripe does not take, now or later
        log(logging.WARNING, "Stripe refuses what Clerk says of an owner", customer=customer)
        return False
    return sent is not None and any(field in sent for field in WRITTEN)


def _changes(found: StripeObject, details: Details) -> Params | None:
    """The moment is kept also where nothing else is new, or an older event could come through."""
    kept = found["metadata"]
    if DELETED_AT in kept or details.updated_at <= _moment(kept.get(UPDATED_AT)):
        return None
    params: Params = {"metadata": {UPDATED_AT: str(details.updated_at)}}
    for field, key in WRITTEN.items():
        wanted, present = getattr(details, field), found.get(field) or None
        if wanted and wanted != present and present in (None, kept.get(key)):
            params[field] = params["metadata"][key] = wanted
    return params


def _moment(kept: str | None) -> int:
    """People edit metadata too: what is no number is older than all."""
    return int(kept) if kept and kept.isdecimal() and len(kept) < 20 else 0


def _state(services: Services, found: StripeObject) -> str:
    """The idempotency key of a change: the same for all who saw the same."""
    kept = {name: found["metadata"].get(name) for name in (UPDATED_AT, DELETED_AT)}
    fields = {name: found.get(name) for name in WRITTEN}
    seen = json.dumps([services.settings.mode, found["id"], kept, fields], sort_keys=True)
    return f"portal_service-customer-{hashlib.sha256(seen.encode()).hexdigest()}"
