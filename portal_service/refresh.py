"""A refresh of the caller's own subscriptions, which asks Stripe for their present state and writes
it: for the page after checkout, which need not wait for a webhook, and for a status whose row must
have changed since, because no webhook ever came.
"""

import logging
from datetime import UTC, datetime
from typing import Any

from portal_service import deadline, inputs
from portal_service.entitlement import NOBODYS, Account, customers_of, has_outlived_itself
from portal_service.errors import ServiceError
from portal_service.log import log
from portal_service.owner import named_owner
from portal_service.services import Services
from portal_service.single_flight import Flight
from portal_service.stripe_errors import CustomerMissing, NotAtStripe
from portal_service.subscription import Row, StripeObject, customer_of

FIELDS = ("checkout_session_id",)
OUTLIVED_SECONDS = 2.0


def refresh_owner(services: Services, clerk_owner_id: str | None, fields: dict[str, Any]) -> None:
    """Refresh all subscriptions of an owner's customers. Calls of one owner at the same time share
    one run, as long as it has not asked Stripe yet (single_flight.py).

    clerk_owner_id: None, where nobody pays for the caller, leaves nothing to ask.
    fields: of the body: checkout_session_id, from the success URL, which finds a purchase whose
    customer the database does not know yet. Raises ServiceError.
    """
    session_id = inputs.checkout_session_id(fields)
    if clerk_owner_id is None:
        return

    def work(flight: Flight[None]) -> None:
        account = services.database.account(clerk_owner_id)
        flight.depart()
        if session_id:
            _refresh_purchase(services, account, session_id)
        for customer in customers_of(account):
            try:
                services.mirror.refresh_customer(account, customer)
            except CustomerMissing:
                continue  # its rows have ended now

    services.refreshes.run((clerk_owner_id, session_id), work)


def account_of(services: Services, clerk_owner_id: str | None) -> Account:
    """What the database has of an owner; of None, nothing. Where its best row is past its own date,
    no webhook may ever come, so Stripe is asked about it first. If Stripe does not answer in time,
    the row counts as it is.
    """
    if clerk_owner_id is None:
        return NOBODYS
    account = services.database.account(clerk_owner_id)
    best = account.best_row
    if best and has_outlived_itself(best, datetime.now(UTC)) and _is_refreshed(services, best):
        account = services.database.account(clerk_owner_id)
    services.mirror.reports.account(account)
    return account


def _is_refreshed(services: Services, row: Row) -> bool:
    """Ask Stripe about a row past its own date; whether that was done, by this call or by one that
    asked at the same time.
    """
    subscription = row["stripe_subscription_id"]
    if not services.outlived.is_due(subscription):
        return False
    try:
        with deadline.within(OUTLIVED_SECONDS):
            services.refreshes.run(
                ("outlived", subscription), lambda _: _ask_once(services, subscription)
            )
    except (ServiceError, deadline.OutOfTime) as error:
        reason = getattr(error, "code", "no time left")
        log(logging.WARNING, "a row past its own date could not be refreshed",
            subscription=subscription, reason=reason)  # fmt: skip
        return False
    return True


def _ask_once(services: Services, subscription: str) -> None:
    """A try that failed counts too: those who waited for it don't try again, nor does anybody for
    the next hour.
    """
    if services.outlived.is_due(subscription):
        try:
            services.mirror.refresh(subscription)
        finally:
            services.outlived.mark(subscription)


def _refresh_purchase(services: Services, account: Account, session_id: str) -> None:
    """Refresh the subscription that a completed session of the owner's made. A session of somebody
    else's, an open or an unknown one changes nothing: the answer must not tell which it is.
    """
    try:
        session = services.stripe.checkout_session(session_id)
    except NotAtStripe:
        return
    if session.get("status") == "complete" and _is_owners(services, session, account):
        services.mirror.apply_checkout(session)


def _is_owners(services: Services, session: StripeObject, account: Account) -> bool:
    """By customer or by our metadata; never by client_reference_id, which anyone can write into a
    payment link's address.
    """
    return (
        customer_of(session) in customers_of(account)
        or named_owner(session, services.settings) == account.clerk_owner_id
    )
