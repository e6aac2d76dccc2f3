"""`expand`: whole objects in the place of ids, and fields that are only given when asked for."""

from collections.abc import Callable
from typing import Any

from sandbox.stripe import checkout, shapes
from sandbox.stripe.account import Account
from sandbox.stripe.errors import StripeError

Json = dict[str, Any]

DEEPEST = 4

# Of which object which field is an id, and where that is kept.
REFERENCES = {
    "billing_portal.session": {"configuration": "configurations"},
    "checkout.session": {
        "customer": "customers",
        "invoice": "invoices",
        "subscription": "subscriptions",
    },
    "invoice": {"customer": "customers"},
    "plan": {"product": "products"},
    "price": {"product": "products"},
    "product": {"default_price": "prices"},
    "subscription": {"customer": "customers", "latest_invoice": "invoices"},
}


def expanded(account: Account, answer: Json, paths: list[str]) -> Json:
    """Expand each path of `answer`, in place. Raises StripeError for one that can't be."""
    for path in paths:
        names = path.split(".")
        if len(names) > DEEPEST:
            raise StripeError(
                f"You cannot expand more than {DEEPEST} levels of a property. (Property: {path})",
                param="expand",
            )
        _expand(account, answer, names, path)
    return answer


def _expand(account: Account, value: Any, names: list[str], path: str) -> None:
    if value is None or not names:
        return
    if isinstance(value, list):
        for each in value:
            _expand(account, each, names, path)
        return
    if not isinstance(value, dict):
        raise _refusal(path)
    name, rest = names[0], names[1:]
    kind = str(value.get("object"))
    store = REFERENCES.get(kind, {}).get(name)
    if (kind, name) in HIDDEN:
        value[name] = HIDDEN[kind, name](account, value)
    elif kind == "billing_portal.configuration" and names[:3] == PRODUCTS:
        update = account.configurations[value["id"]]["features"].get("subscription_update", {})
        value["features"]["subscription_update"]["products"] = update.get("products")
        return
    elif store and isinstance(value.get(name), str):
        whole = getattr(account, store).get(value[name])
        value[name] = shapes.shown(whole) if whole else value[name]
    elif not (store or rest or isinstance(value.get(name), dict)) or name not in value:
        raise _refusal(path)
    _expand(account, value[name], rest, path)


def _refusal(path: str) -> StripeError:
    return StripeError(f"This property cannot be expanded ({path}).", param="expand")


def _line_items(account: Account, session: Json) -> Json:
    lines: Json = shapes.shown(checkout.line_items(account, session["id"]))
    return lines


def _currency_options(account: Account, price: Json) -> Json:
    """Every currency that the price is sold in, its own among them."""
    kept = account.prices.get(price["id"], price)
    own = {name: kept[name] for name in ("unit_amount", "unit_amount_decimal", "tax_behavior")}
    options = {kept["currency"]: own, **(kept.get("currency_options") or {})}
    return {currency: _option(option) for currency, option in options.items()}


def _option(given: Json) -> Json:
    amount = given.get("unit_amount")
    decimal = None if amount is None else str(amount)
    return {
        "custom_unit_amount": None,
        "tax_behavior": given.get("tax_behavior", "unspecified"),
        "unit_amount": amount,
        "unit_amount_decimal": given.get("unit_amount_decimal", decimal),
    }


def _tiers(account: Account, price: Json) -> list[Json]:
    return [_tier(tier) for tier in account.prices.get(price["id"], price).get("tiers") or []]


def _tier(given: Json) -> Json:
    tier: Json = {"up_to": None if given["up_to"] == "inf" else given["up_to"]}
    for name in ("flat_amount", "unit_amount"):
        amount = given.get(name)
        decimal = None if amount is None else str(amount)
        tier |= {name: amount, f"{name}_decimal": given.get(f"{name}_decimal", decimal)}
    return tier


PRODUCTS = ["features", "subscription_update", "products"]

# What is left out unless it is asked for.
HIDDEN: dict[tuple[str, str], Callable[[Account, Json], Any]] = {
    ("checkout.session", "line_items"): _line_items,
    ("price", "currency_options"): _currency_options,
    ("price", "tiers"): _tiers,
}
