"""The catalogue that a stand-in for Stripe begins with, read from a file."""

import json
from typing import Any

import pytest

from sandbox.faults import Faults
from sandbox.stripe import initial_catalogue
from sandbox.stripe.state import StripeState
from sandbox.stripe.webhooks import Webhooks

GOLD = {"id": "prod_gold", "name": "Gold"}


def account(products: Any, prices: Any) -> StripeState:
    read = initial_catalogue.read(json.dumps({"products": products, "prices": prices}))
    return StripeState(Webhooks("whsec", Faults()), initial_catalogue=read)


def price(id: str, **more: Any) -> dict[str, Any]:
    monthly = {"interval": "month"}
    return {"id": id, "product": "prod_gold", "unit_amount": 500, "recurring": monthly} | more


def test_prices_are_as_stripe_would_have_made_them():
    state = account(
        [GOLD | {"metadata": {"tier": "1"}}],
        [
            price("price_month", nickname="Gold"),
            price("price_metered", recurring={"interval": "month", "usage_type": "metered"}),
            {"id": "price_once", "product": "prod_gold", "unit_amount": 900, "currency": "eur"},
        ],
    )

    assert state.products["prod_gold"]["metadata"] == {"tier": "1"}
    assert state.prices["price_month"]["recurring"]["interval_count"] == 1
    assert state.prices["price_month"]["type"] == "recurring"
    once = state.prices["price_once"]
    assert (once["type"], once["recurring"], once["currency"]) == ("one_time", None, "eur")
    assert state.create_subscription("user_ada", "price_month")["status"] == "active"


def test_the_portal_offers_what_customers_can_switch_to():
    state = account(
        [GOLD],
        [
            price("price_month"),
            price("price_year", recurring={"interval": "year"}),
            price("price_metered", recurring={"interval": "month", "usage_type": "metered"}),
            price("price_once", recurring=None),
        ],
    )

    (configuration,) = state.configurations.values()
    (offered,) = configuration["features"]["subscription_update"]["products"]
    assert (offered["product"], offered["prices"]) == ("prod_gold", ["price_month", "price_year"])


def test_it_is_there_again_after_a_reset():
    state = account([GOLD], [price("price_month")])
    state.archive("price_month")
    state.reset()
    assert state.prices["price_month"]["active"] is True


@pytest.mark.parametrize(
    ("products", "prices", "sentence"),
    [
        ({}, [], "products is a list"),
        ([{"id": "prod_gold"}], [], "each of products has at least id, name"),
        ([GOLD | {"colour": "red"}], [], "prod_gold has a field that Stripe does not: colour"),
        ([], [price("price_a")], "price_a is of prod_gold, which is no product here"),
        ([GOLD], [price("price_a", recurring={"interval": "moon"})], "price_a can't be a price"),
        ([GOLD], [price("price_a", recurring=[1])], "price_a can't be a price"),
        ([GOLD], ["price_a"], "each of prices has at least id, product"),
    ],
)
def test_what_it_refuses(products, prices, sentence):
    with pytest.raises(ValueError, match=sentence):
        account(products, prices)


@pytest.mark.parametrize("text", ["", "[]", '{"products": []}', "null"])
def test_what_is_no_catalogue_at_all(text):
    with pytest.raises(ValueError):
        initial_catalogue.read(text)
