"""The products and prices that an account has at first: the sandbox's own, or those of a file."""

import json
from dataclasses import dataclass
from typing import Any

from sandbox.stripe import pricing

Json = dict[str, Any]


@dataclass(frozen=True)
class InitialCatalogue:
    """product_fields, price_fields: of each product and price, under Stripe's own names.
    plans: the products that the billing portal lets customers switch between, each with its prices.
    """

    product_fields: list[Json]
    price_fields: list[Json]
    plans: dict[str, list[str]]

    def products(self, now: int, livemode: bool) -> dict[str, Json]:
        return {
            each["id"]: pricing.product(now=now, livemode=livemode, **each)
            for each in self.product_fields
        }

    def prices(self, now: int, livemode: bool) -> dict[str, Json]:
        return {each["id"]: _price(each, now, livemode) for each in self.price_fields}


def _price(fields: Json, now: int, livemode: bool) -> Json:
    more = {**fields}
    amount, recurring = more.pop("unit_amount", None), more.pop("recurring", None)
    return pricing.price(
        amount=amount,
        now=now,
        livemode=livemode,
        recurring=pricing.MONTHLY | recurring if recurring else None,
        type="recurring" if recurring else "one_time",
        **more,
    )


def read(text: str) -> InitialCatalogue:
    """A catalogue from JSON: {"products": [{"id", "name", …}], "prices": [{"id", "product",
    "unit_amount", "recurring": {"interval": "month"}, …}]}. Raises ValueError with a sentence.

    Customers may switch between all prices that recur and are not metered.
    """
    whole = json.loads(text)
    if not isinstance(whole, dict) or set(whole) != {"products", "prices"}:
        raise ValueError("it is an object with two lists, products and prices")
    products = _checked(whole["products"], "products", {"id", "name"}, pricing.PRODUCT_FIELDS)
    prices = _checked(whole["prices"], "prices", {"id", "product"}, pricing.PRICE_FIELDS)
    plans: dict[str, list[str]] = {}
    known = {each["id"] for each in products}
    for fields in prices:
        if fields["product"] not in known:
            raise ValueError(f"{fields['id']} is of {fields['product']}, which is no product here")
        try:
            price = _price(fields, 0, False)
            if price["recurring"]:
                pricing.period_after(0, price["recurring"])
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{fields['id']} can't be a price: {error}") from error
        if price["recurring"] and not pricing.metered(price):
            plans.setdefault(fields["product"], []).append(fields["id"])
    return InitialCatalogue(products, prices, plans)


def _checked(entries: Any, name: str, needed: set[str], known: set[str]) -> list[Json]:
    if not isinstance(entries, list):
        raise ValueError(f"{name} is a list")
    for entry in entries:
        if not isinstance(entry, dict) or not needed <= set(entry):
            raise ValueError(f"each of {name} has at least {', '.join(sorted(needed))}: {entry}")
        if unknown := set(entry) - known:
            raise ValueError(f"{entry['id']} has a field that Stripe does not: {min(unknown)}")
    return entries


# The service's two plans, a price that is paid by use, and one of something else.
SANDBOX = InitialCatalogue(
    product_fields=[
        {
            "id": "prod_pro",
            "name": "Pro",
            "description": "For one person",
            "marketing_features": [{"name": "Unlimited projects"}, {"name": "Support by e-mail"}],
        },
        {
            "id": "prod_team",
            "name": "Team",
            "description": "For everybody you work with",
            "marketing_features": [{"name": "All of Pro"}, {"name": "Seats for a whole team"}],
        },
        {"id": "prod_other", "name": "Other"},
        {"id": "prod_metered", "name": "Usage"},
    ],
    price_fields=[
        {"id": id, "product": product, "unit_amount": amount, "nickname": name, "recurring": every}
        for id, product, amount, name, every in (
            ("price_pro", "prod_pro", 1900, "Pro", pricing.MONTHLY),
            ("price_team", "prod_team", 4900, "Team", pricing.MONTHLY),
            ("price_other", "prod_other", 700, "Other", pricing.MONTHLY),
            ("price_pro_year", "prod_pro", 19000, "Pro yearly", pricing.YEARLY),
            ("price_team_year", "prod_team", 49000, "Team yearly", pricing.YEARLY),
            ("price_metered", "prod_metered", 2, "Usage", pricing.METERED),
        )
    ],
    plans={
        "prod_pro": ["price_pro", "price_pro_year"],
        "prod_team": ["price_team", "price_team_year"],
    },
)
