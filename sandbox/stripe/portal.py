"""The billing portal: its configurations, and sessions with what Stripe demands of them."""

import copy
from typing import TYPE_CHECKING, Any

import stripe

from sandbox.stripe import portal_flows as flows
from sandbox.stripe import shapes
from sandbox.stripe.checkout_rules import check_url
from sandbox.stripe.errors import StripeError, exclusive, missing, not_found, unknown_here
from sandbox.stripe.lists import stored

if TYPE_CHECKING:
    from sandbox.stripe.state import StripeState

Json = dict[str, Any]

PORTAL_FEATURES: Json = {
    "customer_update": {"enabled": True, "allowed_updates": ["email", "name"]},
    "invoice_history": {"enabled": True},
    "payment_method_update": {"enabled": True, "payment_method_configuration": None},
    "subscription_cancel": {
        "enabled": True,
        "mode": "at_period_end",
        "proration_behavior": "none",
        "cancellation_reason": {"enabled": False, "options": [], "feedback_options": []},
    },
    "subscription_pause": {
        "enabled": True,
        "duration": {"type": "indefinite", "interval_options": []},
    },
    "subscription_update": {
        "enabled": True,
        "billing_cycle_anchor": None,
        "default_allowed_updates": ["price", "quantity"],
        "proration_behavior": "create_prorations",
        "products": [
            {
                "product": f"prod_{plan}",
                "prices": [f"price_{plan}", f"price_{plan}_year"],
                "adjustable_quantity": {"enabled": True, "minimum": 1, "maximum": None},
            }
            for plan in ("pro", "team")
        ],
        "schedule_at_period_end": {"conditions": []},
        "trial_update_behavior": "end_trial",
    },
}

NO_CONFIGURATION = (
    "No configuration provided and your {mode} mode default configuration has not been created. "
    "Provide a configuration or create your default by saving your customer portal settings in "
    "{mode} mode at https://dashboard.stripe.com/{path}settings/billing/portal."
)


def configuration(now: int, livemode: bool, features: Json, **more: Any) -> Json:
    return {
        **shapes.blank(stripe.billing_portal.Configuration),
        "id": shapes.new_id("bpc", 23),
        "object": "billing_portal.configuration",
        "active": True,
        "business_profile": {
            "headline": None,
            "privacy_policy_url": None,
            "terms_of_service_url": None,
        },
        "created": now,
        "features": features,
        "is_default": False,
        "livemode": livemode,
        "login_page": {"enabled": False, "url": None},
        "metadata": {},
        "updated": now,
        **more,
    }


def configurations(now: int, livemode: bool) -> dict[str, Json]:
    """The portal as somebody saved it in the dashboard. Empty the dict for an account where nobody
    did."""
    default = configuration(now, livemode, copy.deepcopy(PORTAL_FEATURES), is_default=True)
    return {default["id"]: default}


def create_configuration(state: "StripeState", params: Json) -> Json:
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
    made = configuration(state.now(), state.livemode, features, **more)
    state.configurations[made["id"]] = made
    return made


def update_configuration(state: "StripeState", id: str, params: Json) -> Json:
    changed = merged(state.configurations[id], params)
    _check_features(changed["features"])
    changed["updated"] = state.now()
    state.configurations[id] = changed
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


def create(state: "StripeState", params: Json) -> Json:
    """A new session. Raises StripeError; the caller holds the lock."""
    customer = _customer(state, params)
    settings = _configuration(state, params.get("configuration"))
    check_url(params, "return_url")
    return_url = params.get("return_url") or settings["default_return_url"]
    flow = params.get("flow_data")
    if flow:
        flows.check(state, flow, customer, settings)
    if return_url is None:
        raise missing("return_url")
    id = shapes.new_id("bps", 23)
    session = {
        **shapes.blank(stripe.billing_portal.Session),
        "id": id,
        "object": "billing_portal.session",
        "configuration": settings["id"],
        "created": state.now(),
        "customer": customer["id"],
        "flow": flows.shape(flow) if flow else None,
        "livemode": state.livemode,
        "locale": params.get("locale"),
        "on_behalf_of": params.get("on_behalf_of"),
        "return_url": return_url,
    }
    # The address is the key to the customer's billing, and the only one.
    token = shapes.new_id("live" if state.livemode else "test", 40)
    session["url"] = f"{state.public_url()}/p/session/{token}"
    state.portal_sessions[token] = session
    return session


def _customer(state: "StripeState", params: Json) -> Json:
    if "customer" in params and "customer_account" in params:
        raise exclusive("customer", "customer_account")
    if "customer_account" in params:
        raise unknown_here("customer_account of a portal session")
    if "customer" not in params:
        raise missing("customer")
    customer = stored(state, state.customers, "customer", params["customer"], "customer")
    if customer.get("deleted"):
        raise not_found("customer", params["customer"], "customer")
    return customer


def _configuration(state: "StripeState", id: str | None) -> Json:
    if id is not None:
        found = stored(state, state.configurations, "configuration", id, "configuration")
        if not found["active"]:
            raise StripeError(f"The configuration {id} is inactive.", param="configuration")
        return found
    for each in state.configurations.values():
        if each["is_default"] and each["active"]:
            return each
    mode, path = ("live", "") if state.livemode else ("test", "test/")
    raise StripeError(NO_CONFIGURATION.format(mode=mode, path=path))
