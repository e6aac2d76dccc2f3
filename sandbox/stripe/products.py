"""The calls about products and prices."""

from decimal import Decimal
from typing import Any

from sandbox.stripe import catalogue, pricing
from sandbox.stripe.account import Account
from sandbox.stripe.errors import ParameterError, StripeError, exclusive, missing
from sandbox.stripe.lists import created_within, page, stored

Json = dict[str, Any]

MOST_LOOKUP_KEYS = 10


def list_products(account: Account, params: Json) -> Json:
    def fits(product: Json) -> bool:
        return (
            product["livemode"] == account.livemode
            and params.get("active") in (None, product["active"])
            and product["id"] in params.get("ids", [product["id"]])
            and created_within(product, params.get("created"))
        )

    return page("/v1/products", "product", filter(fits, account.products.values()), params)


def retrieve_product(account: Account, params: Json, id: str) -> Json:
    return stored(account, account.products, "product", id, "id", 404)


def create_product(account: Account, params: Json) -> Json:
    fields = _given(params)
    id = fields.pop("id", None)
    if id in account.products:
        raise StripeError("Product already exists.", code="resource_already_exists", param="id")
    return catalogue.add_product(account, id, **fields)


def update_product(account: Account, params: Json, id: str) -> Json:
    changes = _given(params)
    product = stored(account, account.products, "product", id, "id", 404)
    if "metadata" in changes:
        changes["metadata"] = merged_metadata(product["metadata"], changes["metadata"])
    if changes.get("default_price"):
        stored(account, account.prices, "price", changes["default_price"], "default_price")
    return catalogue.change(account, account.products, id, changes)


def list_prices(account: Account, params: Json) -> Json:
    keys = params.get("lookup_keys")
    if keys is not None and len(keys) > MOST_LOOKUP_KEYS:
        raise ParameterError(
            f"You may only specify up to {MOST_LOOKUP_KEYS} lookup_keys.", param="lookup_keys"
        )
    if "product" in params:
        stored(account, account.products, "product", params["product"], "product")
    recurring = params.get("recurring", {})

    def fits(price: Json) -> bool:
        return (
            price["livemode"] == account.livemode
            and all(
                params.get(name) in (None, price[name])
                for name in ("active", "currency", "product", "type")
            )
            and (keys is None or price["lookup_key"] in keys)
            and all((price["recurring"] or {}).get(name) == it for name, it in recurring.items())
            and created_within(price, params.get("created"))
        )

    return page("/v1/prices", "price", filter(fits, account.prices.values()), params)


def retrieve_price(account: Account, params: Json, id: str) -> Json:
    return stored(account, account.prices, "price", id, "price", 404)


def create_price(account: Account, params: Json) -> Json:
    """A price of a product that is there. What it costs is one of the three."""
    fields = _given(params)
    if "product" not in fields:
        raise missing("product")
    stored(account, account.products, "product", fields["product"], "product")
    if "unit_amount" in fields and "unit_amount_decimal" in fields:
        raise exclusive("unit_amount", "unit_amount_decimal")
    if "tiers" in fields:
        if "tiers_mode" not in fields or fields.get("billing_scheme") != "tiered":
            raise missing("billing_scheme" if "tiers_mode" in fields else "tiers_mode")
    elif "unit_amount" not in fields and "unit_amount_decimal" not in fields:
        raise missing("unit_amount")
    if "unit_amount_decimal" in fields:
        decimal = Decimal(fields["unit_amount_decimal"])
        fields["unit_amount"] = int(decimal) if decimal == int(decimal) else None
    _lookup_key(account, fields, None)
    recurring = fields.pop("recurring", None)
    if recurring:
        recurring = pricing.MONTHLY | recurring
    amount = fields.pop("unit_amount", None)
    kind = "recurring" if recurring else "one_time"
    return catalogue.add_price(
        account, None, fields.pop("product"), amount, recurring=recurring, type=kind, **fields
    )


def update_price(account: Account, params: Json, id: str) -> Json:
    changes = _given(params)
    price = stored(account, account.prices, "price", id, "price", 404)
    if "metadata" in changes:
        changes["metadata"] = merged_metadata(price["metadata"], changes["metadata"])
    _lookup_key(account, changes, id)
    return catalogue.change(account, account.prices, id, changes)


def merged_metadata(old: Json, new: Any) -> Json:
    """Keys are merged; an empty value takes a key away, an empty hash all of them."""
    merged = {**old, **new} if new else {}
    return {key: text for key, text in merged.items() if text != ""}


def _given(params: Json) -> Json:
    return {name: value for name, value in params.items() if name != "expand"}


def _lookup_key(account: Account, changes: Json, id: str | None) -> None:
    """One active price has a lookup key, and another takes it over only when it says so."""
    transfer = changes.pop("transfer_lookup_key", False)
    key = changes.get("lookup_key")
    for other in list(account.prices.values()) if key else []:
        if other["lookup_key"] != key or other["id"] == id or not other["active"]:
            continue
        if not transfer:
            raise StripeError(
                "A price (`{}`) already uses that lookup key.".format(other["id"]),
                param="lookup_key",
            )
        catalogue.change(account, account.prices, other["id"], {"lookup_key": None})
