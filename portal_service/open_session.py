"""Of all Checkout sessions that a customer could pay, one stays open: whoever asks lists, decides
and takes the slot; who finds it taken decides anew. What is sold, and to whom, is checkout.py's.

docs/checkout.md says what each part is for.
"""

import hashlib
import json
import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from portal_service import deadline
from portal_service.entitlement import Account
from portal_service.errors import ServiceError
from portal_service.services import Services
from portal_service.stripe_errors import KeyInUse, KeyReused, StripeFailed, StripeRefused
from portal_service.subscription import (
    StripeObject,
    clerk_owner_of,
    had_trial,
    is_running_at_stripe,
)

Params = dict[str, Any]

# A creation that takes longer may have been given up by others, who then made one of their own.
SLOW_SECONDS = 2.0
_FINGERPRINT = "portal_service_fingerprint"


def url(services: Services, account: Account, customer: str, wanted: Params) -> str:
    """The address of the one session, decided anew whenever another request was faster, until the
    budget ends.

    wanted: what Stripe is sent but the customer. Raises ServiceError, CustomerMissing.
    """
    slot = _Slot()
    for again in deadline.rounds():
        if again:
            account = services.database.account(account.clerk_owner_id)
        # In this order: whoever pays in between is seen as a running subscription, or an open
        # session refuses to expire.
        listed_at = time.monotonic()
        sessions = services.stripe.newest_checkout_sessions(customer)
        subscriptions = services.mirror.refresh_customer(account, customer)
        ours = [session for session in sessions if _is_ours(session)]
        if any(map(is_running_at_stripe, subscriptions)):
            if slot.is_shared:
                _expire_what_nobody_has_seen(services, ours)
            raise ServiceError("already_subscribed")
        trial_given = any(map(had_trial, [*subscriptions, *account.rows]))
        params = {**(_without_trial(wanted) if trial_given else wanted), "customer": customer}
        fingerprint = _digest(params)
        slot.look_at(_key(services, customer, ours), listed_at)
        try:
            same = _left_open(services, ours, fingerprint, slot.is_shared)
            sent = merged(params, {"metadata": {_FINGERPRINT: fingerprint}})
            if address := same or slot.create(services, sent):
                return address
        except KeyInUse:
            continue
    raise AssertionError("unreachable")


def merged(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> Params:
    """Both, hash by hash; ours where both set one."""
    result = {**theirs, **ours}
    for name in theirs.keys() & ours.keys():
        if isinstance(theirs[name], dict) and isinstance(ours[name], dict):
            result[name] = merged(theirs[name], ours[name])
    return result


@dataclass
class _Slot:
    """The place after the sessions that were listed. Its idempotency key names it, not the wish: of
    two wishes at the same moment Stripe lets one through.

    is_dead: the key brought an error for good, and no session.
    is_shared: somebody may have made a session in the same slot under another key. Both look once
    more before they hand theirs out, so that the later one sees both; then the newest alone counts.
    """

    key: str = ""
    taken_since: float | None = field(default=None, init=False)
    is_dead: bool = field(default=False, init=False)
    is_shared: bool = field(default=False, init=False)

    def look_at(self, key: str, listed_at: float) -> None:
        """Begin anew where there is another slot by now.

        listed_at: when it was asked for, by the monotonic clock.
        """
        if key != self.key:
            self.key, self.taken_since, self.is_dead = key, None, False
        elif self.taken_since is not None:
            self.is_dead |= listed_at - self.taken_since >= SLOW_SECONDS

    def create(self, services: Services, params: Params) -> str | None:
        """The address of a new session, or None where the caller must list again."""
        key = f"{self.key}-{uuid.uuid4().hex}" if self.is_dead else self.key
        self.is_shared |= self.is_dead
        began = time.monotonic()
        try:
            address, made_before = services.stripe.create_checkout_session(params, key)
        except KeyReused:
            # By another wish. It made a session, or is about to, or Stripe keeps its error with
            # the key; nobody else's request takes this long.
            self.taken_since = self.taken_since or time.monotonic()
            return None
        except StripeFailed as error:
            if not error.replayed or self.is_dead:
                raise
            self.is_dead = True
            return None
        self.is_shared |= time.monotonic() - began >= SLOW_SECONDS
        return None if made_before or self.is_shared else address


def _left_open(
    services: Services, ours: list[StripeObject], fingerprint: str, newest_only: bool
) -> str | None:
    """The address of the open session that was made for the very same; all others are expired."""
    still_open = [session for session in ours if session["status"] == "open"]
    choice = still_open[:1] if newest_only else still_open
    same = next((s for s in choice if s["metadata"].get(_FINGERPRINT) == fingerprint), None)
    for session in still_open:
        if session is not same:
            _expire(services, session["id"])
    return str(same["url"]) if same else None


def _is_ours(session: StripeObject) -> bool:
    return session["mode"] == "subscription" and clerk_owner_of(session) is not None


def _key(services: Services, customer: str, ours: list[StripeObject]) -> str:
    """By all sessions of ours: those of one second have no order that can be relied on, and one
    that somebody else makes meanwhile must not open a second slot.
    """
    mode = "live" if services.settings.livemode else "test"
    listed = sorted(session["id"] for session in ours)
    return f"portal_service-checkout-{_digest([mode, customer, listed])}"


def _expire(services: Services, session_id: str) -> None:
    """Two open sessions can both be paid. One that was paid this very moment refuses to expire."""
    try:
        services.stripe.expire_checkout_session(session_id)
    except StripeRefused as refused:
        session = services.stripe.checkout_session(session_id)
        if session["status"] == "complete":
            raise ServiceError("already_subscribed") from refused
        if session["status"] == "open":
            raise


def _expire_what_nobody_has_seen(services: Services, ours: list[StripeObject]) -> None:
    """Our own among them, which lost against one that was paid meanwhile."""
    for session in ours:
        if session["status"] == "open":
            with suppress(ServiceError):
                _expire(services, session["id"])


def _without_trial(wanted: Params) -> Params:
    """A trial is given once: whoever had one pays from the first day."""
    data = {k: v for k, v in wanted["subscription_data"].items() if not k.startswith("trial_")}
    return {**wanted, "subscription_data": data}


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
