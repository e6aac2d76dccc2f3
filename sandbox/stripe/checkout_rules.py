"""What Stripe demands of a new checkout session, beyond the types of its parameters."""

import re
from typing import Any

from sandbox.stripe import catalogue, pricing
from sandbox.stripe.account import Account
from sandbox.stripe.errors import (
    ParameterError,
    StripeError,
    exclusive,
    missing,
    not_found,
    unknown_here,
)
from sandbox.stripe.lifecycle import ENDED
from sandbox.stripe.lists import stored

Json = dict[str, Any]

DAY = 86_400
REFERENCE_LENGTH = 200

TAX_LOCATION = (
    "Automatic tax calculation in Checkout requires a valid address on the Customer. Add a valid "
    "address to the Customer or set either `customer_update[address]` to 'auto' or "
    "`customer_update[shipping]` to 'auto' to save the address entered in Checkout to the Customer."
)
TAX_ID_NAME = (
    "Tax ID collection requires updating business name on the customer. To enable tax ID "
    "collection for an existing customer, please set `customer_update[name]` to `auto`."
)
TAX_ID_ADDRESS = (
    "Tax ID collection requires updating address on the customer. To enable tax ID "
    "collection for an existing customer, please set `customer_update[address]` to `auto`."
)
CURRENCIES = (
    "You cannot combine currencies on a single customer. This customer has an active "
    "subscription, subscription schedule, discount, quote, or invoice item with currency {}."
)


def check_url(params: Json, name: str, param: str | None = None) -> None:
    value = params.get(name)
    if value is not None and not re.fullmatch(r"https?://[^\s/?#]+([/?#]\S*)?", value):
        raise ParameterError("Not a valid URL", code="url_invalid", param=param or name)


def check_form(params: Json, now: int) -> None:
    """What Stripe demands that its parameter types can't say."""
    if "mode" not in params:
        raise missing("mode")
    if params["mode"] != "subscription":
        raise unknown_here(f"mode={params['mode']} of a checkout session")
    if params.get("ui_mode", "hosted_page") != "hosted_page":
        raise unknown_here(f"ui_mode={params['ui_mode']} of a checkout session")
    for name in ("line_items", "success_url"):
        if not params.get(name):
            raise missing(name)
    for name in ("success_url", "cancel_url"):
        check_url(params, name)
    if "return_url" in params:
        raise StripeError(
            "`return_url` can't be used with `ui_mode: hosted_page`.", param="return_url"
        )
    for pair in (
        ("customer", "customer_email"),
        ("customer", "customer_account"),
        ("allow_promotion_codes", "discounts"),
    ):
        if all(params.get(name) for name in pair):
            raise exclusive(*pair)
    for name in ("customer_creation", "payment_intent_data", "invoice_creation"):
        if name in params:
            raise StripeError(f"`{name}` can only be used in `payment` mode.", param=name)
    if "customer_update" in params and "customer" not in params:
        raise StripeError(
            "`customer_update` can only be used with `customer`.", param="customer_update"
        )
    if len(params.get("client_reference_id", "")) > REFERENCE_LENGTH:
        raise ParameterError(
            f"Invalid string: {params['client_reference_id'][:20]}...; must be at most "
            f"{REFERENCE_LENGTH} characters",
            param="client_reference_id",
        )
    _check_times(params, now)


def _check_times(params: Json, now: int) -> None:
    expires_at = params.get("expires_at")
    if expires_at is not None and not now + 1800 <= expires_at <= now + DAY:
        raise StripeError(
            "The `expires_at` timestamp must be between 30 minutes and 24 hours from Checkout "
            "Session creation.",
            param="expires_at",
        )
    data = params.get("subscription_data", {})
    if "trial_end" in data and "trial_period_days" in data:
        raise exclusive("subscription_data[trial_end]", "subscription_data[trial_period_days]")
    if data.get("trial_period_days", 1) < 1:
        raise ParameterError(
            "The minimum number of trial period days is 1.",
            code="parameter_invalid_integer",
            param="subscription_data[trial_period_days]",
        )
    if "trial_end" in data and data["trial_end"] < now + 2 * DAY:
        raise StripeError(
            "The `trial_end` date has to be at least 2 days in the future.",
            param="subscription_data[trial_end]",
        )


def customer_of(account: Account, params: Json) -> Json | None:
    id = params.get("customer")
    if id is None:
        return None
    customer = stored(account, account.customers, "customer", id, "customer")
    if customer.get("deleted"):
        raise not_found("customer", id, "customer")
    return customer


def prices_of(account: Account, lines: list[Json]) -> list[Json]:
    prices = []
    for place, line in enumerate(lines):
        param = f"line_items[{place}]"
        if "price" not in line:
            raise unknown_here(f"{param} without a price") if line else missing(f"{param}[price]")
        price = stored(account, account.prices, "price", line["price"], f"{param}[price]")
        if not price["active"]:
            raise StripeError(pricing.INACTIVE, param=f"{param}[price]")
        if not catalogue.product_active(account, price):
            raise StripeError(
                f"Price `{price['id']}` is not available to be purchased because its product is "
                "not active.",
                param=f"{param}[price]",
            )
        _check_quantity(line, price, param)
        prices.append(price)
    if not any(price["recurring"] for price in prices):
        raise StripeError(
            "You must provide at least one recurring price in `subscription` mode when using "
            "prices.",
            param="line_items",
        )
    return prices


def _check_quantity(line: Json, price: Json, param: str) -> None:
    """How many is asked for, except where it is counted."""
    if pricing.metered(price):
        if "quantity" in line:
            raise StripeError(
                "Quantity should not be specified where usage_type is `metered`. Remove quantity "
                f"from `{param}`",
                param=f"{param}[quantity]",
            )
        return
    if "quantity" not in line:
        raise ParameterError(
            f"Quantity is required. Add `quantity` to `{param}`",
            code="parameter_missing",
            param=f"{param}[quantity]",
        )
    if line["quantity"] < 1:
        raise ParameterError(
            "This value must be greater than or equal to 1.",
            code="parameter_invalid_integer",
            param=f"{param}[quantity]",
        )


def check_currency(account: Account, customer: Json | None, prices: list[Json]) -> None:
    if customer is None:
        return
    for subscription in account.subscriptions.values():
        currency = subscription["currency"]
        theirs = subscription["customer"] == customer["id"] and subscription["status"] not in ENDED
        if theirs and any(price["currency"] != currency for price in prices):
            raise StripeError(CURRENCIES.format(currency))


def check_tax(params: Json, customer: Json | None) -> None:
    if customer is None:
        return
    update = params.get("customer_update", {})
    located = customer["address"] or "auto" in (update.get("address"), update.get("shipping"))
    if enabled(params, "automatic_tax") and not located:
        raise StripeError(TAX_LOCATION, code="customer_tax_location_invalid")
    if enabled(params, "tax_id_collection"):
        if update.get("name") != "auto":
            raise StripeError(TAX_ID_NAME)
        if update.get("address") != "auto":
            raise StripeError(TAX_ID_ADDRESS)


def enabled(params: Json, name: str) -> bool:
    return bool(params.get(name, {}).get("enabled"))
