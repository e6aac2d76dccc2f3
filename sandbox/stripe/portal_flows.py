"""The portal's flows: what Stripe demands before it opens one, and how a session shows it."""

from typing import Any

from sandbox.stripe import catalogue, pricing
from sandbox.stripe.account import Account
from sandbox.stripe.checkout_rules import check_url
from sandbox.stripe.errors import ParameterError, StripeError, not_found, unknown_here
from sandbox.stripe.lifecycle import ENDED
from sandbox.stripe.lists import stored

Json = dict[str, Any]

# Which feature of the configuration a flow needs.
FEATURES = {
    "customer_update": "customer_update",
    "payment_method_update": "payment_method_update",
    "subscription_cancel": "subscription_cancel",
    "subscription_pause": "subscription_pause",
    "subscription_update": "subscription_update",
    "subscription_update_confirm": "subscription_update",
}
DONE_TO_IT = {
    "subscription_cancel": "canceled",
    "subscription_pause": "paused",
    "subscription_update": "updated",
    "subscription_update_confirm": "updated",
}
CONFIRM = "flow_data[subscription_update_confirm]"


def check(account: Account, flow: Json, customer: Json, settings: Json) -> None:
    """Raises StripeError for a flow that can't be gone through."""
    kind = flow["type"]
    for name in FEATURES:
        if name in flow and name != kind:
            raise ParameterError(
                f"`flow_data[{name}]` can only be used with `flow_data[type]={name}`.",
                param=f"flow_data[{name}]",
            )
    _check_feature(kind, settings)
    _check_after(flow.get("after_completion", {}))
    if kind in DONE_TO_IT:
        subscription = _subscription(account, kind, flow[kind]["subscription"], customer)
        _check_state(kind, subscription)
        if kind == "subscription_update_confirm":
            _check_confirm(account, flow[kind], subscription, settings)


def shape(data: Json) -> Json:
    """The flow as the session carries it."""
    kind = data["type"]
    after = data.get("after_completion", {"type": "portal_homepage"})
    flow: Json = dict.fromkeys(("customer_update", *DONE_TO_IT))
    flow["type"] = kind
    flow["after_completion"] = {
        "type": after["type"],
        "redirect": after.get("redirect"),
        "hosted_confirmation": after.get("hosted_confirmation"),
    }
    if kind == "customer_update":
        flow[kind] = {}
    elif kind == "subscription_cancel":
        flow[kind] = {"retention": None, **data[kind]}
    elif kind == "subscription_update_confirm":
        items = [{"price": None, **item} for item in data[kind]["items"]]
        flow[kind] = {"discounts": None, **data[kind], "items": items}
    elif kind in DONE_TO_IT:
        flow[kind] = dict(data[kind])
    return flow


def _check_feature(kind: str, settings: Json) -> None:
    feature = FEATURES[kind]
    if settings["features"].get(feature, {}).get("enabled"):
        return
    words = feature.replace("_", " ")
    cannot = "This flow cannot be used"
    if kind in DONE_TO_IT:
        cannot = f"This subscription cannot be {DONE_TO_IT[kind]}"
    raise StripeError(
        f"{cannot} because the {words} feature in the portal configuration is disabled.",
        param="flow_data[type]",
    )


def _check_after(after: Json) -> None:
    param = "flow_data[after_completion][redirect][return_url]"
    check_url(after.get("redirect", {}), "return_url", param)


def _subscription(account: Account, kind: str, id: str, customer: Json) -> Json:
    param = f"flow_data[{kind}][subscription]"
    subscription = stored(account, account.subscriptions, "subscription", id, param)
    if subscription["customer"] != customer["id"]:
        raise not_found("subscription", id, param)
    return subscription


def _check_state(kind: str, subscription: Json) -> None:
    because = reason(kind, subscription)
    if because:
        raise StripeError(
            f"This subscription cannot be {DONE_TO_IT[kind]} because {because}.",
            param=f"flow_data[{kind}][subscription]",
        )


def reason(kind: str, subscription: Json) -> str | None:
    """Why the portal can't do what a flow is about to a subscription; None where it can."""
    status, items = subscription["status"], subscription["items"]["data"]
    if status in ENDED:
        return f"its status is `{status}`"
    if kind == "subscription_cancel":
        return "it is already set to be canceled" if subscription["cancel_at"] is not None else None
    if subscription["schedule"]:
        return "it is managed by a subscription schedule"
    if kind == "subscription_pause":
        if status != "active":
            return f"its status is `{status}`"
        if subscription["billing_mode"]["type"] != "flexible":
            return "its billing mode is not `flexible`"
        return "it is set to be canceled" if subscription["cancel_at"] is not None else None
    if len(items) > 1:
        return "it has multiple subscription items"
    if pricing.metered(items[0]["price"]):
        return "it has usage-based prices"
    if subscription["collection_method"] == "send_invoice":
        return "its collection method is `send_invoice`"
    return None


def _check_confirm(account: Account, data: Json, subscription: Json, settings: Json) -> None:
    if "discounts" in data:
        raise unknown_here("discounts in a portal flow")
    if len(data["items"]) != 1:
        raise ParameterError(
            "Exactly one subscription item must be specified.", param=f"{CONFIRM}[items]"
        )
    (wanted,), (item,) = data["items"], subscription["items"]["data"]
    if wanted["id"] != item["id"]:
        raise not_found("subscription_item", wanted["id"], f"{CONFIRM}[items][0][id]")
    now, quantity = item["price"]["id"], item.get("quantity")
    price = wanted.get("price", now)
    if price != now:
        _check_price(account, wanted, settings)
    if wanted.get("quantity", quantity) != quantity:
        _check_quantity(wanted, settings)
    elif price == now:
        raise StripeError(
            f"Cannot update the subscription `{subscription['id']}` because there are no changes "
            "to confirm. Provide a different `price` or `quantity`.",
            param=f"{CONFIRM}[items][0]",
        )


def _check_price(account: Account, wanted: Json, settings: Json) -> None:
    param = f"{CONFIRM}[items][0][price]"
    price = stored(account, account.prices, "price", wanted["price"], param)
    if not price["active"] or not catalogue.product_active(account, price):
        raise StripeError(pricing.INACTIVE, param=param)
    update = settings["features"]["subscription_update"]
    offered = [id for product in update.get("products") or [] for id in product["prices"]]
    allowed = update.get("default_allowed_updates") or ()
    if price["id"] not in offered or "price" not in allowed:
        raise StripeError(
            f"The item `{wanted['id']}` cannot be updated to price `{price['id']}` because the "
            f"configuration `{settings['id']}` does not include the price in its "
            "`features[subscription_update][products]`.",
            param=param,
        )


def _check_quantity(wanted: Json, settings: Json) -> None:
    param = f"{CONFIRM}[items][0][quantity]"
    if wanted["quantity"] < 1:
        raise ParameterError(
            "This value must be greater than or equal to 1.",
            code="parameter_invalid_integer",
            param=param,
        )
    update = settings["features"]["subscription_update"]
    if "quantity" not in (update.get("default_allowed_updates") or ()):
        raise StripeError(
            f"The quantity of the item `{wanted['id']}` cannot be updated because the "
            f"configuration `{settings['id']}` does not include `quantity` in its "
            "`features[subscription_update][default_allowed_updates]`.",
            param=param,
        )
