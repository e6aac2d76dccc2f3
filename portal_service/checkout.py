"""A Checkout session for the caller, never a second charge: the table is asked, then Stripe, then
the sessions that are still open.
"""

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from typing import Any

from portal_service import inputs
from portal_service.errors import ServiceError
from portal_service.services import Services
from portal_service.stripe_api import CustomerMissing, StripeRefused, StripeUnavailable
from portal_service.subscription import (
    Account,
    StripeObject,
    best_row,
    clerk_user_of,
    is_live,
    live_row,
    row_of,
)

FIELDS = ("plan", "price", "quantity", "locale", "return_path")
_FINGERPRINT = "portal_service_fingerprint"
_SESSION_ID = "checkout_session_id={CHECKOUT_SESSION_ID}"  # Stripe replaces it: not to be encoded

Params = dict[str, Any]


def session_url(services: Services, clerk_user_id: str, fields: dict[str, Any]) -> str:
    """The address of a Checkout session.

    fields: of the body: plan or price, quantity, locale, return_path.
    Raises ServiceError, already_subscribed among them.
    """
    settings = services.settings
    params_for = _wanted(services, clerk_user_id, fields)
    account = services.database.account(clerk_user_id)
    if live_row(account, settings.plans, settings.entitled_statuses):
        raise ServiceError("already_subscribed")
    customer = _known_customer(services, account) or _new_customer(services, clerk_user_id, None)
    again = False
    try:
        return _session_for(services, account, params_for(customer))
    except CustomerMissing:
        customer = _new_customer(services, clerk_user_id, customer)
    except StripeUnavailable as error:
        if not error.replayed:
            raise
        again = True
    return _session_for(services, account, params_for(customer), again)


def _wanted(
    services: Services, clerk_user_id: str, fields: dict[str, Any]
) -> Callable[[str], Params]:
    """Everything that Stripe is sent but the customer; all bad input is refused here."""
    settings = services.settings
    return_url = inputs.return_url(fields, settings)
    ours: Params = {
        "mode": "subscription",
        "line_items": [
            {"price": inputs.price(fields, settings.plans), "quantity": inputs.quantity(fields)}
        ],
        "success_url": _with_session_id(
            return_url or settings.app_url + settings.checkout_success_path
        ),
        "cancel_url": return_url or settings.app_url + settings.checkout_cancel_path,
        "client_reference_id": clerk_user_id,
        "metadata": {"clerk_user_id": clerk_user_id},
        "subscription_data": {"metadata": {"clerk_user_id": clerk_user_id}},
    }
    if locale := inputs.locale(fields, inputs.CHECKOUT_LOCALES):
        ours["locale"] = locale
    merged = _merged(settings.checkout_params or {}, ours)
    return lambda customer: {**merged, **_customer_update(merged), "customer": customer}


def _merged(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> Params:
    """Both, hash by hash; ours where both set one."""
    result = {**theirs, **ours}
    for name in theirs.keys() & ours.keys():
        if isinstance(theirs[name], dict) and isinstance(ours[name], dict):
            result[name] = _merged(theirs[name], ours[name])
    return result


def _customer_update(params: Params) -> Params:
    """What Stripe demands for tax with a customer that exists already (API reference, Checkout)."""
    update = {}
    if (params.get("automatic_tax") or {}).get("enabled"):
        update["address"] = "auto"
    if (params.get("tax_id_collection") or {}).get("enabled"):
        update |= {"name": "auto", "address": "auto"}
    update = {**(params.get("customer_update") or {}), **update}
    return {"customer_update": update} if update else {}


def _with_session_id(url: str) -> str:
    address, hash_, fragment = url.partition("#")
    return address + ("&" if "?" in address else "?") + _SESSION_ID + hash_ + fragment


def _known_customer(services: Services, account: Account) -> str | None:
    if account.linked_customer:
        return account.linked_customer
    best = best_row(account, services.settings.plans, services.settings.entitled_statuses)
    return best["stripe_customer_id"] if best else None


def _new_customer(services: Services, clerk_user_id: str, replaced: str | None) -> str:
    """Make the user's customer and keep it before going on: a double click makes the same one."""
    mode = "live" if services.settings.livemode else "test"
    key = f"portal_service-customer-{mode}-{clerk_user_id}-{replaced or 'none'}"
    metadata = {"clerk_user_id": clerk_user_id}
    try:
        customer = services.stripe.create_customer(metadata, key)
    except StripeUnavailable as error:
        if not error.replayed:
            raise
        # An old fault that Stripe keeps with the key must not keep the user out for a day.
        customer = services.stripe.create_customer(metadata, f"{key}-{int(time.time() // 60)}")
    services.database.link_customer(clerk_user_id, customer)
    return customer


def _session_for(services: Services, account: Account, params: Params, again: bool = False) -> str:
    """again: Stripe keeps an error with the key of the minute; now the second makes the key."""
    _refuse_if_live_at_stripe(services, account, params["customer"])
    sessions = services.stripe.newest_checkout_sessions(params["customer"])
    fingerprint = _digest(params)
    open_ours = [s for s in sessions if _is_open_and_ours(s)]
    same = next((s for s in open_ours if s["metadata"].get(_FINGERPRINT) == fingerprint), None)
    for session in open_ours:
        if session is not same:
            _expire(services, session["id"])
    if same:
        return str(same["url"])
    sent = _merged(params, {"metadata": {_FINGERPRINT: fingerprint}})
    # Stripe replays a key for a day, whatever became of the session: the newest one and the minute
    # make a new try a new key, and two clicks the same.
    newest = sessions[0]["id"] if sessions else "none"
    key = _digest([sent, newest, int(time.time() // (1 if again else 60))])
    return services.stripe.create_checkout_session(sent, f"portal_service-checkout-{key}")


def _refuse_if_live_at_stripe(services: Services, account: Account, customer: str) -> None:
    """The table alone may be behind: with a wrong webhook secret it is, from the first day."""
    subscriptions = services.mirror.refresh_customer(customer, account.rows)
    plans = services.settings.plans
    if any(is_live(row_of(subscription, plans, None)) for subscription in subscriptions):
        raise ServiceError("already_subscribed")


def _is_open_and_ours(session: StripeObject) -> bool:
    return (
        session["status"] == "open"
        and session["mode"] == "subscription"
        and clerk_user_of(session) is not None
    )


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


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
