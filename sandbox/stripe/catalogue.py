"""What is for sale: the shapes of products, prices and their older twins, plans; what an account
starts with; how long a period is and what it costs. The calls are in stripe_products."""

from typing import TYPE_CHECKING, Any

import stripe

from sandbox.stripe import shapes
from sandbox.stripe.errors import StripeError

if TYPE_CHECKING:
    from sandbox.stripe.state import StripeState

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


def products(now: int, livemode: bool) -> dict[str, Json]:
    """Those of the service's two plans, one that is sold by use, and one of something else."""
    names = {"prod_pro": "Pro", "prod_team": "Team", "prod_other": "Other", "prod_metered": "Usage"}
    made = [product(id, name, now, livemode) for id, name in names.items()]
    return {each["id"]: each for each in made}


def prices(now: int, livemode: bool) -> dict[str, Json]:
    made = [
        price("price_pro", "prod_pro", 1900, now, livemode, nickname="Pro"),
        price("price_team", "prod_team", 4900, now, livemode, nickname="Team"),
        price("price_other", "prod_other", 700, now, livemode, nickname="Other"),
        price(
            "price_pro_year",
            "prod_pro",
            19000,
            now,
            livemode,
            nickname="Pro yearly",
            recurring=dict(YEARLY),
        ),
        price(
            "price_team_year",
            "prod_team",
            49000,
            now,
            livemode,
            nickname="Team yearly",
            recurring=dict(YEARLY),
        ),
        price(
            "price_metered",
            "prod_metered",
            2,
            now,
            livemode,
            nickname="Usage",
            recurring=dict(METERED),
        ),
    ]
    return {each["id"]: each for each in made}


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


def sold(state: "StripeState", of: Json) -> bool:
    """Whether the product of a price is active; one that the account does not hold is."""
    product = state.products.get(of["product"])
    return product is None or bool(product["active"])


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


def add_product(state: "StripeState", id: str | None, name: str, **more: Any) -> Json:
    made = product(
        id or shapes.new_id("prod", 14), name, state.now(), **({"livemode": state.livemode} | more)
    )
    state.products[made["id"]] = made
    state.emit("product.created", made)
    return made


def add_price(
    state: "StripeState", id: str | None, product: str, amount: int | None, **more: Any
) -> Json:
    more = {"livemode": state.livemode} | more
    made = price(id or shapes.new_id("price", 23), product, amount, state.now(), **more)
    state.prices[made["id"]] = made
    state.emit("price.created", made)
    return made


def change(state: "StripeState", store: dict[str, Json], id: str, changes: Json) -> Json:
    """Change a product or a price and say so; what is the same already is no change."""
    before = store[id]
    after = {**before, **changes}
    if after != before:
        if "updated" in after:
            after["updated"] = state.now()
        store[id] = after
        state.emit(f"{after['object']}.updated", after, shapes.changes(before, after))
    return after
