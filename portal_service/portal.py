"""A session of Stripe's customer portal for the caller's own customer. Nothing of the customer or
the subscription comes from the request.
"""

from typing import Any

from portal_service import inputs
from portal_service.errors import ServiceError
from portal_service.services import Services
from portal_service.stripe_api import CustomerMissing
from portal_service.subscription import Account, Row, best_row, live_row

FIELDS = ("flow", "return_path", "locale")


def session_url(services: Services, clerk_user_id: str, fields: dict[str, Any]) -> str:
    """The address of a new portal session.

    fields: of the body: flow, return_path, locale. Raises ServiceError.
    """
    settings = services.settings
    flow = inputs.flow(fields)
    locale = inputs.locale(fields, inputs.PORTAL_LOCALES)
    return_url = inputs.return_url(fields, settings) or (
        settings.app_url + settings.portal_return_path
    )
    account = services.database.account(clerk_user_id)
    live = live_row(account, settings.plans, settings.entitled_statuses)
    customer = _customer(services, account, live)
    params: dict[str, Any] = {"customer": customer, "return_url": return_url}
    if locale:
        params["locale"] = locale
    if settings.portal_configuration:
        params["configuration"] = settings.portal_configuration
    if flow_data := _flow_data(flow, live, return_url):
        params["flow_data"] = flow_data
    try:
        return services.stripe.create_portal_session(params)
    except CustomerMissing:
        for row in account.rows:
            if row["stripe_customer_id"] == customer and row["stripe_subscription_id"]:
                services.mirror.refresh(row["stripe_subscription_id"])
        raise


def _customer(services: Services, account: Account, live: Row | None) -> str:
    """That of the live subscription, else the linked one, else that of the best row."""
    best = best_row(account, services.settings.plans, services.settings.entitled_statuses)
    candidates = [
        live and live["stripe_customer_id"],
        account.linked_customer,
        best and best["stripe_customer_id"],
        *(row["stripe_customer_id"] for row in account.rows),
    ]
    for customer in candidates:
        if customer:
            return str(customer)
    raise ServiceError("user_not_found" if account.user_id is None else "no_subscription")


def _flow_data(flow: str | None, live: Row | None, return_url: str) -> dict[str, Any] | None:
    if flow is None:
        return None
    data: dict[str, Any] = {
        "type": flow,
        "after_completion": {"type": "redirect", "redirect": {"return_url": return_url}},
    }
    if flow == "payment_method_update":
        return data
    if live is None:
        raise ServiceError("no_subscription")
    if flow == "subscription_cancel" and (live["cancel_at"] or live["cancel_at_period_end"]):
        return None  # Stripe refuses to cancel twice; the plain portal is where it can be undone
    return {**data, flow: {"subscription": live["stripe_subscription_id"]}}
