"""A Checkout session for the caller, never a second charge: the table is asked, Stripe decides. Of
all sessions that a customer could pay one stays open: open_session.py.
"""

from contextlib import nullcontext, suppress
from typing import Any
from urllib.parse import unquote

from portal_service import deadline, inputs, open_session, owner
from portal_service.entitlement import Account, customers_of, running_rows
from portal_service.errors import ServiceError
from portal_service.metrics import LOST_ROUNDS
from portal_service.services import Services
from portal_service.stripe_errors import (
    CustomerMissing,
    KeyForbidden,
    KeyInUse,
    StripeFailed,
    StripeUnavailable,
)
from portal_service.subscription import is_running_at_stripe
from portal_service.supabase_errors import ValueRefused

FIELDS = ("plan", "interval", "price", "quantity", "locale", "return_path")
_SESSION_ID = "checkout_session_id"

Params = open_session.Params


def session_url(
    services: Services, clerk_owner_id: str, clerk_user_id: str, fields: dict[str, Any], origin: str
) -> str:
    """The address of a Checkout session.

    clerk_user_id: who buys for the owner.
    fields: of the body: plan with interval, or price; quantity, locale, return_path.
    origin: of the page that asks. Raises ServiceError, already_subscribed among them.
    """
    whose = owner.metadata(clerk_owner_id, buyer=clerk_user_id)
    wanted = _wanted(services, clerk_owner_id, whose, fields, origin)
    services.prices.refuse_bad_fields(fields)
    services.stripe.refuse_while_resting()
    account = _refuse_running(services, services.database.account(clerk_owner_id))
    wanted["line_items"] = [_line(services, fields)]
    customer = _customer(services, account, None)
    try:
        return open_session.url(services, account, customer, wanted)
    except CustomerMissing:
        services.mirror.mark_gone(account, customer)
    # From the account as it is now: a request at the same time may have made the new customer, and
    # with two customers two subscriptions could be bought.
    account = services.database.account(clerk_owner_id)
    return open_session.url(services, account, _customer(services, account, customer), wanted)


def _line(services: Services, fields: dict[str, Any]) -> Params:
    line: Params = {"price": services.prices.wanted_price(fields)}
    if not services.prices.is_metered(line["price"]):  # Stripe refuses a quantity for those
        line["quantity"] = inputs.quantity(fields) or 1
    return line


def _wanted(
    services: Services,
    clerk_owner_id: str,
    whose: dict[str, str],
    fields: dict[str, Any],
    origin: str,
) -> Params:
    """What Stripe is sent but the customer and the line; bad input is refused here.

    whose: the metadata.
    """
    settings = services.settings
    app_url = settings.app_url_for(origin)
    return_url = inputs.return_url(fields, settings, app_url)
    inputs.quantity(fields)
    ours: Params = {
        "mode": "subscription",
        "success_url": _with_session_id(return_url or app_url + settings.checkout_success_path),
        "cancel_url": return_url or app_url + settings.checkout_cancel_path,
        "client_reference_id": clerk_owner_id,
        "metadata": whose,
        "subscription_data": {"metadata": whose},
    }
    if locale := inputs.locale(fields, inputs.CHECKOUT_LOCALES):
        ours["locale"] = locale
    merged = open_session.merged(settings.checkout_params or {}, ours)
    return {**merged, **_customer_update(merged)}


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
    """Stripe replaces the braces, and only where they are not encoded. An id of an earlier checkout
    goes: the page would read that one.
    """
    address, hash_, fragment = url.partition("#")
    path, _, query = address.partition("?")
    parts = [part for part in query.split("&") if part]
    kept = [part for part in parts if unquote(part.partition("=")[0]) != _SESSION_ID]
    query = "&".join([*kept, _SESSION_ID + "={CHECKOUT_SESSION_ID}"])
    return f"{path}?{query}{hash_}{fragment}"


def _refuse_running(services: Services, account: Account) -> Account:
    """Refuse where a subscription of the account is running. The table may be behind: Stripe is
    asked about each customer of a row that says so, and only its answer lets a row stop blocking.
    Returns the account as it is then.
    """
    settings, asked = services.settings, set()
    running = running_rows(account, settings.plans, settings.entitled_statuses)
    if not running:
        return account
    for customer in dict.fromkeys(row["stripe_customer_id"] for row in running):
        if customer is None:
            continue
        try:
            if any(map(is_running_at_stripe, services.mirror.refresh_customer(account, customer))):
                raise ServiceError("already_subscribed")
        except CustomerMissing:
            pass  # its rows have ended now
        except (StripeUnavailable, KeyForbidden, deadline.OutOfTime) as error:
            raise ServiceError("already_subscribed") from error
        asked.add(customer)
    account = services.database.account(account.clerk_owner_id)
    for row in running_rows(account, settings.plans, settings.entitled_statuses):
        if row["stripe_subscription_id"] or row["stripe_customer_id"] not in asked:
            raise ServiceError("already_subscribed")
    return account


def _customer(services: Services, account: Account, missing: str | None) -> str:
    """The customer to sell to, kept as the owner's; made where there is none. Nothing runs for, and
    no session stays open on, another one of the owner's.

    missing: one that Stripe turned out not to have.
    """
    known = customers_of(account)
    present = [c for c in known if c not in account.gone_customers and c != missing]
    if not present:
        return _new_customer(services, account.clerk_owner_id, missing or next(iter(known), None))
    customer, others = present[0], set(present) - {present[0]}
    if customer != account.linked_customer:
        with suppress(ValueRefused):  # somebody else's by now: as it was
            services.database.link_customer(account.clerk_owner_id, customer)
    for other in others:
        with suppress(CustomerMissing):
            if any(map(is_running_at_stripe, services.mirror.refresh_customer(account, other))):
                raise ServiceError("already_subscribed")
            open_session.close(services, other)
    return customer


def _new_customer(services: Services, clerk_owner_id: str, replaced: str | None) -> str:
    """Make the owner's customer and keep it before going on: a double click makes the same one."""
    key = f"portal_service-customer-{services.settings.mode}-{clerk_owner_id}-{replaced or 'none'}"
    replays = 0
    for _ in deadline.rounds():
        try:
            # Once alone after an old error: trying twice, a new one can't be told from it.
            with deadline.within(services.settings.stripe_timeout) if replays else nullcontext():
                customer = services.stripe.create_customer(
                    owner.metadata(clerk_owner_id), f"{key}-{replays}" if replays else key
                )
            break
        except KeyInUse:
            LOST_ROUNDS.labels("customer").inc()
        except StripeFailed as error:
            if not error.replayed:
                raise
            replays += 1  # an old error that Stripe keeps with the key for a day
    services.database.link_customer(clerk_owner_id, customer)
    return customer
