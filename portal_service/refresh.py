"""The caller's own subscriptions, asked from Stripe: what the page after checkout calls, so that it
need not wait for a webhook.
"""

from typing import Any

from portal_service import inputs
from portal_service.services import Services
from portal_service.single_flight import Flight
from portal_service.stripe_api import CustomerMissing, NotAtStripe
from portal_service.subscription import (
    Account,
    StripeObject,
    clerk_user_of,
    customer_of,
    customers_of,
)

FIELDS = ("checkout_session_id",)


def refresh(services: Services, clerk_user_id: str, fields: dict[str, Any]) -> None:
    """Write what Stripe has of the caller; concurrent calls of one user share the work.

    fields: of the body: checkout_session_id, from the success URL. Raises ServiceError.
    """
    session_id = inputs.checkout_session_id(fields)

    def work(flight: Flight[None]) -> None:
        account = services.database.account(clerk_user_id)
        flight.depart()
        if session_id:
            _refresh_purchase(services, account, session_id)
        for customer in customers_of(account):
            try:
                services.mirror.refresh_customer(customer, account.rows)
            except CustomerMissing:
                continue  # its rows were brought to an end

    services.refreshes.run((clerk_user_id, session_id), work)


def _refresh_purchase(services: Services, account: Account, session_id: str) -> None:
    """A foreign, open or unknown session changes nothing, and nobody is told which it is."""
    try:
        session = services.stripe.checkout_session(session_id)
    except NotAtStripe:
        return
    if session["status"] == "complete" and _is_callers(session, account):
        services.mirror.apply_checkout(session)


def _is_callers(session: StripeObject, account: Account) -> bool:
    """By customer or by our metadata; never by client_reference_id, which anyone can write into a
    payment link's address.
    """
    return (
        customer_of(session) in customers_of(account)
        or clerk_user_of(session) == account.clerk_user_id
    )
