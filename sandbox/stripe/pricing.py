"""The shapes of products, prices and their older twins, plans; how long a price's period is and
what it costs. Pure functions; what an account sells is in catalogue.py."""

from typing import Any

import stripe

from sandbox.stripe import shapes
from sandbox.stripe.errors import StripeError

Json = dict[str, Any]

MONTHLY: Json = {
    "interval": "month",
    "interval_count": 1,
    "meter": None,
    "trial_period_days": None,
    "usage_type": "licensed",
}
YEARLY = MONTHLY | {"interval": "year"}
METERED = MONTHLY | {"meter": "mtr_1Sandbox", "usage_type": "metered"}

INACTIVE = "The price specified is inactive. This field only accepts active prices."

PRODUCT_FIELDS = {name for name in stripe.Product.__annotations__ if name != "OBJECT_NAME"}
PRICE_FIELDS = {name for name in stripe.Price.__annotations__ if name != "OBJECT_NAME"}

DAYS = {"day": 1, "week": 7}
MONTHS = {"month": 1, "year": 12}


def product(id: str, name: str, now: int, livemode: bool, **more: Any) -> Json:
    return {
        **shapes.blank(stripe.Product),
        "id": id,
        "object": "product",
        "active": True,
        "created": now,
        "images": [],
        "livemode": livemode,
        "marketing_features": [],
        "metadata": {},
        "name": name,
        "type": "service",
        "updated": now,
        **more,
    }


def price(id: str, product: str, amount: int | None, now: int, livemode: bool, **more: Any) -> Json:
    """amount: in the currency's smallest unit; None where `more` brings tiers or a decimal."""
    return {
        **shapes.blank(stripe.Price),
        "id": id,
        "object": "price",
        "active": True,
        "billing_scheme": "per_unit",
        "created": now,
        "currency": "usd",
        "livemode": livemode,
        "metadata": {},
        "product": product,
        "recurring": dict(MONTHLY),
        "tax_behavior": "unspecified",
        "type": "recurring",
        "unit_amount": amount,
        "unit_amount_decimal": None if amount is None else str(amount),
        **more,
    }


def plan(of: Json) -> Json:
    """The older twin of a recurring price, which items still carry."""
    same = ("id", "active", "billing_scheme", "created", "currency", "livemode", "metadata")
    return {
        **shapes.blank(stripe.Plan),
        **{name: of[name] for name in (*same, "nickname", "product", "tiers_mode")},
        **of["recurring"],
        "object": "plan",
        "amount": of["unit_amount"],
        "amount_decimal": of["unit_amount_decimal"],
    }


def metered(of: Json) -> bool:
    """Sold by use: such a price takes no quantity."""
    return bool(of["recurring"]) and of["recurring"]["usage_type"] == "metered"


def amount(of: Json, quantity: int | None) -> int:
    """What is due at once: nothing for what is sold by use, nor where Stripe has no whole unit."""
    return 0 if metered(of) else (of["unit_amount"] or 0) * (quantity or 0)


def set_price(item: Json, of: Json, quantity: int | None = None) -> None:
    """Let an item cost this. What is sold by use has no quantity at all; else the default is 1."""
    item["price"], item["plan"] = of, plan(of)
    item.pop("quantity", None)
    if not metered(of):
        item["quantity"] = quantity or 1


def period_after(moment: int, recurring: Json, anchor: int | None = None) -> int:
    """The end of the period that begins at this moment, on the anchor's day of the month."""
    count = int(recurring["interval_count"])
    if recurring["interval"] in DAYS:
        return moment + DAYS[recurring["interval"]] * count * 86_400
    return shapes.months_later(moment, MONTHS[recurring["interval"]] * count, anchor)


def every(recurring: Json) -> str:
    """`a month`, `every 3 months`."""
    count, interval = recurring["interval_count"], recurring["interval"]
    return f"a {interval}" if count == 1 else f"every {count} {interval}s"


def check_recurring(of: Json, param: str) -> None:
    """What a subscription's item can't cost. Raises StripeError."""
    if not of["active"]:
        raise StripeError(INACTIVE, param=param)
    if not of["recurring"]:
        raise StripeError(
            "The price specified is set to `type=one_time` but this field only accepts prices "
            "with `type=recurring`.",
            param=param,
        )
