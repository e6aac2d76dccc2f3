"""The steps that add and change products and prices. Their shapes are in pricing.py, those that an
account has at first in initial_catalogue.py, the calls in products.py."""

from typing import Any

from sandbox.stripe import pricing, shapes
from sandbox.stripe.account import Account

Json = dict[str, Any]


def product_active(account: Account, of: Json) -> bool:
    """Whether the product of a price is active; one that the account does not hold is."""
    product = account.products.get(of["product"])
    return product is None or bool(product["active"])


def add_product(account: Account, id: str | None, name: str, **more: Any) -> Json:
    made = pricing.product(
        id or shapes.new_id("prod", 14),
        name,
        account.now(),
        **({"livemode": account.livemode} | more),
    )
    account.products[made["id"]] = made
    account.emit("product.created", made)
    return made


def add_price(
    account: Account, id: str | None, product: str, amount: int | None, **more: Any
) -> Json:
    more = {"livemode": account.livemode} | more
    made = pricing.price(id or shapes.new_id("price", 23), product, amount, account.now(), **more)
    account.prices[made["id"]] = made
    account.emit("price.created", made)
    return made


def change(account: Account, store: dict[str, Json], id: str, changes: Json) -> Json:
    """Change a product or a price and say so; what is the same already is no change."""
    before = store[id]
    after = {**before, **changes}
    if after != before:
        if "updated" in after:
            after["updated"] = account.now()
        store[id] = after
        account.emit(f"{after['object']}.updated", after, shapes.changes(before, after))
    return after
