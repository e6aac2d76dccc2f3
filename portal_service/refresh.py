"""The caller's own subscriptions, asked from Stripe: what the page after checkout calls, so that it
need not wait for a webhook, and what the status asks where no webhook ever came.
"""

import logging
from datetime import UTC, datetime
from typing import Any

from portal_service import deadline, inputs
from portal_service.entitlement import Account, best_row, customers_of, has_outlived_itself
from portal_service.errors import ServiceError
from portal_service.log import log
from portal_service.services import Services
from portal_service.single_flight import Flight
from portal_service.stripe_errors import CustomerMissing, NotAtStripe
from portal_service.subscription import StripeObject, clerk_owner_of, customer_of

FIELDS = ("checkout_session_id",)
OUTLIVED_SECONDS = 2.0


def refresh(services: Services, clerk_owner_id: str, fields: dict[str, Any]) -> None:
    """Write what Stripe has of the caller; concurrent calls of one owner share the work.

    fields: of the body: checkout_session_id, from the success URL. Raises ServiceError.
    """
    session_id = inputs.checkout_session_id(fields)

    def work(flight: Flight[None]) -> None:
        account = services.database.account(clerk_owner_id)
        flight.depart()
        if session_id:
            _refresh_purchase(services, account, session_id)
        for customer in customers_of(account):
            try:
                services.mirror.refresh_customer(account, customer)
            except CustomerMissing:
                continue  # its rows were brought to an end

    services.refreshes.run((clerk_owner_id, session_id), work)


def account_of(services: Services, clerk_owner_id: str) -> Account:
    """What the database has, once Stripe was asked about a best row that has outlived its own date:
    no webhook may ever come. Where Stripe does not answer in time, the row counts as it is.
    """
    account = services.database.account(clerk_owner_id)
    settings = services.settings
    row = best_row(account.rows, settings.plans, settings.entitled_statuses)
    if row is None or not has_outlived_itself(row, datetime.now(UTC)):
        return account
    subscription = row["stripe_subscription_id"]
    if not services.outlived.is_due(subscription):
        return account
    try:
        with deadline.within(OUTLIVED_SECONDS):
            services.refreshes.run(
                ("outlived", subscription), lambda _: _ask_once(services, subscription)
            )
    except (ServiceError, deadline.OutOfTime) as error:
        reason = getattr(error, "code", "no time left")
        log(logging.WARNING, "a row past its own date could not be refreshed",
            subscription=subscription, reason=reason)  # fmt: skip
        return account
    return services.database.account(clerk_owner_id)


def _ask_once(services: Services, subscription: str) -> None:
    """A try that failed counts too, and those who waited for it don't try again."""
    if services.outlived.is_due(subscription):
        try:
            services.mirror.refresh(subscription)
        finally:
            services.outlived.mark(subscription)


def _refresh_purchase(services: Services, account: Account, session_id: str) -> None:
    """A foreign, open or unknown session changes nothing, and nobody is told which it is."""
    try:
        session = services.stripe.checkout_session(session_id)
    except NotAtStripe:
        return
    if session.get("status") == "complete" and _is_callers(session, account):
        services.mirror.apply_checkout(session)


def _is_callers(session: StripeObject, account: Account) -> bool:
    """By customer or by our metadata; never by client_reference_id, which anyone can write into a
    payment link's address.
    """
    return (
        customer_of(session) in customers_of(account)
        or clerk_owner_of(session) == account.clerk_owner_id
    )
