"""What a configuration of the billing portal looks like, and the one that an account has at first.
Pure functions; what the API does with configurations is in portal.py."""

import copy
from typing import Any

import stripe

from sandbox.stripe import shapes

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
        "products": [],
        "schedule_at_period_end": {"conditions": []},
        "trial_update_behavior": "end_trial",
    },
}


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


def configurations(now: int, livemode: bool, plans: dict[str, list[str]]) -> dict[str, Json]:
    """The portal as somebody saved it in the dashboard. Empty the dict for an account where nobody
    did.

    plans: the products between which customers may switch, each with its prices.
    """
    features = copy.deepcopy(PORTAL_FEATURES)
    features["subscription_update"]["products"] = [
        {
            "product": product,
            "prices": list(prices),
            "adjustable_quantity": {"enabled": True, "minimum": 1, "maximum": None},
        }
        for product, prices in plans.items()
    ]
    default = configuration(now, livemode, features, is_default=True)
    return {default["id"]: default}
