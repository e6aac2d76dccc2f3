"""A session of Stripe's customer portal for the caller's own customer. Nothing of the customer or
the subscription comes from the request.
"""

from typing import Any

from portal_service import inputs
from portal_service.entitlement import Account, customers_of, present_customers_of, running_rows
from portal_service.errors import ServiceError
from portal_service.services import Services
from portal_service.stripe_errors import CustomerMissing, NotAtStripe, StripeRefused
from portal_service.subscription import Row, StripeObject, items_of, main_item, plan_name

_CHANGE = ("plan", "interval", "price", "quantity")
FIELDS = ("flow", "return_path", "locale", *_CHANGE)

Params = dict[str, Any]


def session_url(
    services: Services, clerk_owner_id: str, fields: dict[str, Any], origin: str
) -> str:
    """The address of a new portal session.

    fields: of the body: flow, return_path, locale; with the flow that confirms a change: plan with
    interval, or price; quantity. origin: of the page that asks. Raises ServiceError.
    """
    settings = services.settings
    flow = _flow(services, fields)
    locale = inputs.locale(fields, inputs.PORTAL_LOCALES)
    app_url = settings.app_url_for(origin)
    return_url = inputs.return_url(fields, settings, app_url)
    return_url = return_url or app_url + settings.portal_return_path
    services.stripe.refuse_while_resting()
    account = services.database.account(clerk_owner_id)
    running = next(iter(running_rows(account, settings.plans, settings.entitled_statuses)), None)
    customer = _customer(services, account, running)
    params: Params = {"customer": customer, "return_url": return_url}
    if locale:
        params["locale"] = locale
    if configuration := services.portal_choice.known():
        params["configuration"] = configuration
    try:
        return _session(services, params, _flow_data(services, flow, fields, running), running)
    except CustomerMissing:
        services.mirror.mark_gone(account, customer)
        raise
    except NotAtStripe as missing:
        if flow is None or running is None:
            raise
        services.mirror.refresh(running["stripe_subscription_id"])
        raise ServiceError("no_subscription") from missing


def _flow(services: Services, fields: dict[str, Any]) -> str | None:
    """The flow that is asked for, once what is to be changed is known to be possible."""
    flow = inputs.flow(fields)
    change = [name for name in _CHANGE if name in fields]
    if flow != "subscription_update_confirm":
        if change:
            raise inputs.invalid_request(
                f"{change[0]} goes with the flow subscription_update_confirm"
            )
        return flow
    if not change:
        raise inputs.invalid_request("Say what to change to: a plan, a price or a quantity")
    inputs.quantity(fields)
    services.prices.refuse_bad_fields(fields)
    return flow


def _customer(services: Services, account: Account, running: Row | None) -> str:
    """That of the running subscription, else the linked one, else that of the best row."""
    present = present_customers_of(account)
    for customer in (running and running["stripe_customer_id"], *present):
        if customer in present:
            return str(customer)
    nobody = account.user_id is None and not customers_of(account)
    raise ServiceError("user_not_found" if nobody else "no_subscription")


def _session(
    services: Services, params: Params, flow_data: Params | None, running: Row | None
) -> str:
    """Stripe can't show a flow for every subscription; then the plain portal can do it."""
    if flow_data is None:
        return services.stripe.create_portal_session(params)
    flow_data["after_completion"] = {
        "type": "redirect",
        "redirect": {"return_url": params["return_url"]},
    }
    try:
        return services.stripe.create_portal_session({**params, "flow_data": flow_data})
    except CustomerMissing:
        raise
    except StripeRefused:
        if flow_data["type"] not in flow_data or running is None:
            raise
        subscription, _ = services.stripe.subscription(running["stripe_subscription_id"])
        if not _is_beyond_flows(subscription):
            raise
    return services.stripe.create_portal_session(params)


def _flow_data(
    services: Services, flow: str | None, fields: dict[str, Any], running: Row | None
) -> Params | None:
    """What Stripe is told of a flow; None opens the plain portal."""
    if flow is None:
        return None
    if flow in ("payment_method_update", "customer_update"):
        return {"type": flow}
    if running is None or not running["stripe_subscription_id"]:
        raise ServiceError("no_subscription")
    if flow == "subscription_cancel" and (running["cancel_at"] or running["cancel_at_period_end"]):
        return None  # Stripe refuses to cancel twice; the plain portal is where it can be undone
    about: Params = {"subscription": running["stripe_subscription_id"]}
    if flow == "subscription_update_confirm":
        subscription, _ = services.stripe.subscription(running["stripe_subscription_id"])
        changed = _changed_item(services, fields, subscription)
        if changed is None:
            return None
        about["items"] = [changed]
    return {"type": flow, flow: about}


def _changed_item(
    services: Services, fields: dict[str, Any], subscription: StripeObject
) -> Params | None:
    """The item as it is to be; None where it is so already, or where Stripe can't show it."""
    if _is_beyond_flows(subscription):
        return None
    plans, prices = services.settings.plans, services.prices
    item = main_item(subscription, plans)
    present = {"id": item["id"], "price": item["price"]["id"], "quantity": item.get("quantity")}
    changed = dict(present)
    if fields.keys() & {"plan", "price", "interval"}:
        if "price" not in fields:
            plan = plan_name(present["price"], item["price"].get("product"), plans)
            fields = {"plan": plan or plans[0].name, **fields}
        recurring = item["price"].get("recurring") or {}
        single = recurring.get("interval") if recurring.get("interval_count") == 1 else None
        changed["price"] = prices.wanted_price(fields, single)
    if prices.is_metered(changed["price"]):
        changed["quantity"] = None
    else:
        changed["quantity"] = inputs.quantity(fields) or present["quantity"] or 1
    if changed == present:
        return None
    return {name: value for name, value in changed.items() if value is not None}


def _is_beyond_flows(subscription: StripeObject) -> bool:
    """Stripe's flows take one item, and no schedule (API reference, Portal Session)."""
    return len(items_of(subscription)) != 1 or bool(subscription.get("schedule"))
