"""The billing portal: its configurations, and sessions with what Stripe demands of them."""

import copy
from typing import Any

import stripe

from sandbox.stripe import portal_flows as flows
from sandbox.stripe import portal_settings, shapes
from sandbox.stripe.account import Account
from sandbox.stripe.checkout_rules import check_url
from sandbox.stripe.errors import StripeError, exclusive, missing, not_found, unknown_here
from sandbox.stripe.lists import stored

Json = dict[str, Any]

NO_CONFIGURATION = (
    "No configuration provided and your {mode} mode default configuration has not been created. "
    "Provide a configuration or create your default by saving your customer portal settings in "
    "{mode} mode at https://dashboard.stripe.com/{path}settings/billing/portal."
)


def create_configuration(account: Account, params: Json) -> Json:
    """A configuration made through the API is never the default one."""
    features = merged(
        {name: {"enabled": False} for name in flows.FEATURES.values()}, params["features"]
    )
    features = merged({"invoice_history": {"enabled": False}}, features)
    _check_features(features)
    more = {
        name: params[name]
        for name in ("business_profile", "default_return_url", "metadata", "name")
        if name in params
    }
    made = portal_settings.configuration(account.now(), account.livemode, features, **more)
    account.configurations[made["id"]] = made
    return made


def update_configuration(account: Account, id: str, params: Json) -> Json:
    changed = merged(account.configurations[id], params)
    _check_features(changed["features"])
    changed["updated"] = account.now()
    account.configurations[id] = changed
    return changed


def _check_features(features: Json) -> None:
    """What switching plans needs. Raises StripeError."""
    update = features["subscription_update"]
    if not update["enabled"]:
        return
    if not features["payment_method_update"]["enabled"]:
        raise StripeError(
            "Cannot enable subscription updates while payment method update is disabled."
        )
    for name in ("default_allowed_updates", "products"):
        if not update.get(name):
            raise missing(f"features[subscription_update][{name}]")


def merged(old: Json, new: Json) -> Json:
    both = copy.deepcopy(old)
    for name, value in new.items():
        if isinstance(value, dict) and isinstance(both.get(name), dict):
            value = merged(both[name], value)
        both[name] = value
    return both


def create(account: Account, params: Json) -> Json:
    """A new session. Raises StripeError; the caller holds the lock."""
    customer = _customer(account, params)
    settings = _configuration(account, params.get("configuration"))
    check_url(params, "return_url")
    return_url = params.get("return_url") or settings["default_return_url"]
    flow = params.get("flow_data")
    if flow:
        flows.check(account, flow, customer, settings)
    if return_url is None:
        raise missing("return_url")
    id = shapes.new_id("bps", 23)
    session = {
        **shapes.blank(stripe.billing_portal.Session),
        "id": id,
        "object": "billing_portal.session",
        "configuration": settings["id"],
        "created": account.now(),
        "customer": customer["id"],
        "flow": flows.shape(flow) if flow else None,
        "livemode": account.livemode,
        "locale": params.get("locale"),
        "on_behalf_of": params.get("on_behalf_of"),
        "return_url": return_url,
    }
    # The address is the key to the customer's billing, and the only one.
    token = shapes.new_id("live" if account.livemode else "test", 40)
    session["url"] = f"{account.public_url()}/p/session/{token}"
    account.portal_sessions[token] = session
    return session


def _customer(account: Account, params: Json) -> Json:
    if "customer" in params and "customer_account" in params:
        raise exclusive("customer", "customer_account")
    if "customer_account" in params:
        raise unknown_here("customer_account of a portal session")
    if "customer" not in params:
        raise missing("customer")
    customer = stored(account, account.customers, "customer", params["customer"], "customer")
    if customer.get("deleted"):
        raise not_found("customer", params["customer"], "customer")
    return customer


def _configuration(account: Account, id: str | None) -> Json:
    if id is not None:
        found = stored(account, account.configurations, "configuration", id, "configuration")
        if not found["active"]:
            raise StripeError(f"The configuration {id} is inactive.", param="configuration")
        return found
    for each in account.configurations.values():
        if each["is_default"] and each["active"]:
            return each
    mode, path = ("live", "") if account.livemode else ("test", "test/")
    raise StripeError(NO_CONFIGURATION.format(mode=mode, path=path))
