"""Of all Checkout sessions that a customer could pay, one stays open. A request lists the
customer's sessions, and gives back the open one that was made for the same, or expires it and makes
one. The idempotency key of the new one is made of the list: of two requests that saw the same list
Stripe lets one through, and the other begins again. What is sold, and to whom, is checkout.py's.

tests/rules/test_checkout_model.py shows what each part is for.
"""

import hashlib
import json
import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from portal_service import deadline
from portal_service.entitlement import Account
from portal_service.errors import ServiceError
from portal_service.metrics import LOST_ROUNDS
from portal_service.owner import names_in
from portal_service.services import Services
from portal_service.stripe_errors import (
    KeyInUse,
    KeyReused,
    StripeFailed,
    StripeRefused,
    StripeUnavailable,
)
from portal_service.subscription import StripeObject, had_trial, is_running_at_stripe

Params = dict[str, Any]

# Others give up waiting for a creation that takes longer, and make a session of their own.
SLOW_SECONDS = 4.0
_FINGERPRINT = "portal_service_fingerprint"


def url(services: Services, account: Account, customer: str, wanted: Params) -> str:
    """The address of the one session, decided anew whenever another request was faster, until the
    budget ends.

    wanted: what Stripe is sent but the customer. Raises ServiceError, CustomerMissing.
    """
    slot = _Slot()
    for again in deadline.rounds():
        if again:
            LOST_ROUNDS.labels("session").inc()
            account = services.database.account(account.clerk_owner_id)
        # In this order: whoever pays in between is seen as a running subscription, or an open
        # session refuses to expire.
        listed_at = time.monotonic()
        sessions = services.stripe.newest_checkout_sessions(customer)
        subscriptions = services.mirror.refresh_customer(account, customer)
        ours = [session for session in sessions if _is_ours(session)]
        trial_given = any(map(had_trial, [*subscriptions, *account.rows]))
        params = {**(_without_trial(wanted) if trial_given else wanted), "customer": customer}
        slot.look_at(_key(services, customer, ours), listed_at)
        try:
            if any(map(is_running_at_stripe, subscriptions)):
                raise ServiceError("already_subscribed")
            if found := _left_open(services, ours, _digest(params), slot.unseen):
                return found
            if made := slot.create(services, params):
                return made
        except KeyInUse:
            continue
        except ServiceError:
            _expire_unseen(services, ours, slot.unseen)
            raise
    raise AssertionError("unreachable")


def close(services: Services, customer: str) -> None:
    """Expire our open sessions of a customer that is not sold to any more."""
    for session in services.stripe.newest_checkout_sessions(customer):
        if _is_ours(session) and session.get("status") == "open":
            _expire(services, session["id"])


def merged(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> Params:
    """Both, hash by hash; ours where both set one."""
    result = {**theirs, **ours}
    for name in theirs.keys() & ours.keys():
        if isinstance(theirs[name], dict) and isinstance(ours[name], dict):
            result[name] = merged(theirs[name], ours[name])
    return result


@dataclass
class _Slot:
    """The place of the session that comes after those listed. Its idempotency key does not name
    what is wanted: of two requests for different things Stripe lets one through.

    taken_since: when the key was first seen in use for something else, by the monotonic clock.
    is_dead: no session comes of the key: Stripe keeps an error with it, or its user takes too long.
    unseen: the address of a session that was made while another request may have made one, under
        another key. Both list once more before they give their address away: the newer one counts.
    """

    key: str = ""
    taken_since: float | None = None
    is_dead: bool = False
    unseen: str | None = None

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
        sent = merged(params, {"metadata": {_FINGERPRINT: _digest(params)}})
        began = time.monotonic()
        try:
            address, made_before = services.stripe.create_checkout_session(sent, key)
        except KeyReused:
            # Somebody who wants something else made a session, is about to, or got an error.
            self.taken_since = self.taken_since or time.monotonic()
            return None
        except StripeFailed as error:
            if not error.replayed or self.is_dead:
                raise
            self.is_dead = True
            return None
        if made_before:
            return None
        if self.is_dead or time.monotonic() - began >= SLOW_SECONDS:
            self.unseen = address
            return None
        return address


def _left_open(
    services: Services, ours: list[StripeObject], fingerprint: str, unseen: str | None
) -> str | None:
    """The address of the open session that was made for the very same; all others are expired."""
    still_open = [session for session in ours if session["status"] == "open"]
    if unseen and [session["url"] for session in still_open[:1]] != [unseen]:
        raise StripeUnavailable  # there is a newer one; to replace it could go on for ever
    same = next((s for s in still_open if s["metadata"].get(_FINGERPRINT) == fingerprint), None)
    for session in still_open:
        if session is not same:
            _expire(services, session["id"])
    return str(same["url"]) if same else None


def _is_ours(session: StripeObject) -> bool:
    return session.get("mode") == "subscription" and bool(names_in(session))


def _key(services: Services, customer: str, ours: list[StripeObject]) -> str:
    """Made of all sessions that we made, not of the newest: those of one second have no order. One
    that another system makes meanwhile must not make another key.
    """
    listed = sorted(session["id"] for session in ours)
    return f"portal_service-checkout-{_digest([services.settings.mode, customer, listed])}"


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


def _expire_unseen(services: Services, ours: list[StripeObject], unseen: str | None) -> None:
    """Expire the session that we made and gave to nobody."""
    for session in ours:
        if unseen and session["url"] == unseen:
            with suppress(ServiceError):
                _expire(services, session["id"])


def _without_trial(wanted: Params) -> Params:
    """A trial is given once: whoever had one pays from the first day."""
    data = {k: v for k, v in wanted["subscription_data"].items() if not k.startswith("trial_")}
    return {**wanted, "subscription_data": data}


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
