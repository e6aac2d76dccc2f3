"""Products and prices of the stand-in, and how they are sold."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
import stripe

from sandbox.stripe import shapes

SEEDS = {"price_pro", "price_team", "price_other"}
MORE = {"price_pro_year", "price_team_year", "price_metered"}


def ids(found) -> list[str]:
    return [each.id for each in found.data]


def test_an_account_begins_with_prices_of_every_kind(client):
    prices = {price.id: price for price in client.v1.prices.list({"active": True}).data}

    assert set(prices) == SEEDS | MORE
    for id, interval, usage in (
        ("price_pro", "month", "licensed"),
        ("price_pro_year", "year", "licensed"),
        ("price_metered", "month", "metered"),
    ):
        recurring = prices[id].recurring
        assert (recurring.interval, recurring.usage_type) == (interval, usage)
        assert (recurring.meter is not None) == (usage == "metered")
    assert prices["price_metered"].product == "prod_metered"
    assert all(not price.livemode for price in prices.values())


def test_every_field_of_the_sdks_product_and_price_is_there(account):
    for kind, object in (
        (stripe.Product, account.state.products["prod_pro"]),
        (stripe.Price, account.state.prices["price_pro_year"]),
        (stripe.Price.Recurring, account.state.prices["price_metered"]["recurring"]),
    ):
        known = {name for name in kind.__annotations__ if not name.startswith("_")}
        assert known - shapes.LEFT_OUT == set(object)


def test_a_price_shows_its_product_when_asked(client):
    assert client.v1.prices.retrieve("price_pro").product == "prod_pro"
    price = client.v1.prices.retrieve("price_pro", {"expand": ["product"]})
    listed = client.v1.prices.list({"product": "prod_team", "expand": ["data.product"]})

    assert (price.product.id, price.product.name, price.product.active) == ("prod_pro", "Pro", True)
    assert {each.product.name for each in listed.data} == {"Team"}


def test_an_unknown_price_is_missing(client):
    with pytest.raises(stripe.InvalidRequestError) as caught:
        client.v1.prices.retrieve("price_x")

    error = caught.value
    assert (error.http_status, error.code, error.param) == (404, "resource_missing", "price")
    assert "No such price: 'price_x'" in str(error)


def test_a_price_of_the_other_mode_is_missing_and_stripe_says_why(account, client):
    account.state.add_price("price_live", "prod_pro", 100, livemode=True)

    with pytest.raises(stripe.InvalidRequestError, match="exists in live mode, but a test mode"):
        client.v1.prices.retrieve("price_live")
    with pytest.raises(stripe.InvalidRequestError, match="exists in live mode") as caught:
        account.session(line_items=[{"price": "price_live", "quantity": 1}])
    assert (caught.value.code, caught.value.param) == ("resource_missing", "line_items[0][price]")
    assert "price_live" not in ids(client.v1.prices.list())


def test_prices_are_listed_by_what_they_are(account, client):
    state = account.state
    state.add_price("price_once", "prod_other", 500, recurring=None, type="one_time")
    state.add_price("price_euro", "prod_pro", 1800, currency="eur", lookup_key="pro_euro")
    state.archive("price_team")

    def found(**params) -> set[str]:
        return set(ids(client.v1.prices.list(params)))

    assert found(product="prod_pro") == {"price_pro", "price_pro_year", "price_euro"}
    assert found(active=False) == {"price_team"}
    assert found(type="one_time") == {"price_once"}
    assert found(lookup_keys=["pro_euro", "nothing"]) == {"price_euro"}
    assert found(currency="eur") == {"price_euro"}
    assert found(recurring={"interval": "year"}) == {"price_pro_year", "price_team_year"}
    assert found(recurring={"usage_type": "metered"}) == {"price_metered"}
    assert found(product="prod_other", type="recurring") == {"price_other"}
    with pytest.raises(stripe.InvalidRequestError) as caught:
        found(product="prod_x")
    assert (caught.value.code, caught.value.param) == ("resource_missing", "product")
    with pytest.raises(stripe.InvalidRequestError) as caught:
        found(lookup_keys=[f"key{n}" for n in range(11)])
    assert caught.value.param == "lookup_keys"


def test_prices_and_products_come_in_pages(account, client):
    for number in range(12):
        account.state.add_product(f"prod_{number}")
        account.state.add_price(f"price_{number}", f"prod_{number}", number)

    first = client.v1.prices.list()
    assert ids(first) == [f"price_{n}" for n in range(11, 1, -1)]
    assert first.has_more
    assert len(list(first.auto_paging_iter())) == len(account.state.prices)
    products = client.v1.products.list({"limit": 5})
    assert ids(products) == [f"prod_{n}" for n in range(11, 6, -1)]
    assert len(list(products.auto_paging_iter())) == len(account.state.products)
    assert ids(client.v1.products.list({"ids": ["prod_3", "prod_pro"]})) == ["prod_3", "prod_pro"]


def test_what_is_sold_is_made_and_changed_over_the_api(account, client):
    product = client.v1.products.create(
        {"name": "Big", "description": "All of it", "marketing_features": [{"name": "Speed"}]}
    )
    price = client.v1.prices.create(
        {
            "product": product.id,
            "currency": "usd",
            "unit_amount": 9900,
            "lookup_key": "big",
            "recurring": {"interval": "month", "interval_count": 3},
        }
    )

    assert product.marketing_features[0].name == "Speed"
    assert (price.recurring.interval_count, price.recurring.usage_type) == (3, "licensed")
    changed = client.v1.products.update(product.id, {"name": "Bigger", "metadata": {"a": "b"}})
    assert (changed.name, changed.metadata["a"]) == ("Bigger", "b")
    assert not client.v1.prices.update(price.id, {"active": False}).active
    assert not client.v1.products.update(product.id, {"active": False}).active
    assert ids(client.v1.products.list({"active": False})) == [product.id]
    assert account.event_types() == [
        "product.created",
        "price.created",
        "product.updated",
        "price.updated",
        "product.updated",
    ]


def test_a_lookup_key_names_one_price(client):
    order = {"product": "prod_pro", "currency": "usd", "unit_amount": 5, "lookup_key": "key"}
    first = client.v1.prices.create(order)

    with pytest.raises(stripe.InvalidRequestError, match="already uses that lookup key"):
        client.v1.prices.create(order)
    second = client.v1.prices.create({**order, "transfer_lookup_key": True})

    assert client.v1.prices.retrieve(first.id).lookup_key is None
    assert ids(client.v1.prices.list({"lookup_keys": ["key"]})) == [second.id]


@pytest.mark.parametrize(
    ("change", "code", "param"),
    [
        ({"product": None}, "parameter_missing", "product"),
        ({"product": "prod_x"}, "resource_missing", "product"),
        ({"currency": None}, "parameter_missing", "currency"),
        ({"unit_amount": None}, "parameter_missing", "unit_amount"),
        ({"unit_amount_decimal": "1.5"}, "parameters_exclusive", "unit_amount"),
        ({"recurring": {"interval": "hour"}}, None, "recurring[interval]"),
    ],
)
def test_a_price_that_cannot_be_is_refused(client, change, code, param):
    order = {"product": "prod_pro", "currency": "usd", "unit_amount": 5, **change}

    with pytest.raises(stripe.InvalidRequestError) as caught:
        client.v1.prices.create({name: value for name, value in order.items() if value})
    assert (caught.value.http_status, caught.value.code, caught.value.param) == (400, code, param)


def test_other_currencies_and_tiers_are_shown_when_asked(client):
    price = client.v1.prices.create(
        {
            "product": "prod_pro",
            "currency": "usd",
            "unit_amount": 1000,
            "currency_options": {"eur": {"unit_amount": 900}, "jpy": {"unit_amount": 1500}},
        }
    )
    tiered = client.v1.prices.create(
        {
            "product": "prod_pro",
            "currency": "usd",
            "recurring": {"interval": "month"},
            "billing_scheme": "tiered",
            "tiers_mode": "graduated",
            "tiers": [{"up_to": 10, "unit_amount": 50}, {"up_to": "inf", "flat_amount": 900}],
        }
    )

    assert "currency_options" not in price
    shown = client.v1.prices.retrieve(price.id, {"expand": ["currency_options"]})
    options = shown.to_dict()["currency_options"]
    assert {currency: option["unit_amount"] for currency, option in options.items()} == {
        "usd": 1000,
        "eur": 900,
        "jpy": 1500,
    }
    assert options["eur"]["unit_amount_decimal"] == "900"
    assert "tiers" not in tiered
    assert (tiered.unit_amount, tiered.tiers_mode) == (None, "graduated")
    (shown,) = [
        each
        for each in client.v1.prices.list({"expand": ["data.tiers"]}).data
        if each.id == tiered.id
    ]
    assert [tier.up_to for tier in shown.tiers] == [10, None]
    assert "currency_options" not in shown


def test_a_fraction_of_a_cent_has_no_whole_amount(client):
    order = {"product": "prod_metered", "currency": "usd", "unit_amount_decimal": Decimal("0.25")}
    order["recurring"] = {"interval": "month", "usage_type": "metered", "meter": "mtr_1"}

    price = client.v1.prices.create(order)

    assert (price.unit_amount, price.unit_amount_decimal) == (None, Decimal("0.25"))


# At the checkout


def buy(account, **line):
    return account.session(account.customer(), line_items=[line])


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            {"price": "price_metered", "quantity": 1},
            "Quantity should not be specified where usage_type is `metered`. Remove quantity from "
            "`line_items[0]`",
        ),
        ({"price": "price_pro"}, "Quantity is required. Add `quantity` to `line_items[0]`"),
    ],
)
def test_a_quantity_is_for_what_is_not_counted(account, line, message):
    with pytest.raises(stripe.InvalidRequestError) as caught:
        buy(account, **line)

    error = caught.value
    assert (error.http_status, error.param) == (400, "line_items[0][quantity]")
    assert error.json_body["error"]["type"] == "invalid_request_error"
    assert error.user_message == message


def test_what_is_sold_by_use_is_bought_without_a_quantity(account, client):
    session = buy(account, price="price_metered")
    paid = account.state.checkout(session.id, "pay")

    assert (session.amount_total, paid["payment_status"]) == (0, "no_payment_required")
    (item,) = client.v1.subscriptions.retrieve(paid["subscription"])["items"].data
    assert item.price.id == "price_metered"
    assert "quantity" not in item
    assert item.plan.usage_type == "metered"


@pytest.mark.parametrize(
    ("archived", "message"),
    [
        ("price_pro", "The price specified is inactive. This field only accepts active prices."),
        (
            "prod_pro",
            "Price `price_pro` is not available to be purchased because its product is not active.",
        ),
    ],
)
def test_what_is_archived_is_not_sold(account, archived, message):
    account.state.archive(archived)

    with pytest.raises(stripe.InvalidRequestError) as caught:
        buy(account, price="price_pro", quantity=1)
    error = caught.value
    assert (error.http_status, error.code, error.param) == (400, None, "line_items[0][price]")
    assert error.user_message == message


def test_one_price_of_a_subscription_recurs(account):
    account.state.add_price("price_once", "prod_other", 500, recurring=None, type="one_time")
    once = {"price": "price_once", "quantity": 1}

    with pytest.raises(stripe.InvalidRequestError, match="at least one recurring price"):
        buy(account, **once)
    session = account.session(line_items=[{"price": "price_pro", "quantity": 1}, once])
    paid = account.state.checkout(session.id, "pay")

    assert session.amount_total == 2400
    items = account.state.subscriptions[paid["subscription"]]["items"]["data"]
    assert [item["price"]["id"] for item in items] == ["price_pro"]


@pytest.mark.parametrize(
    ("recurring", "end"),
    [
        ({"interval": "day"}, "2026-02-01"),
        ({"interval": "week", "interval_count": 2}, "2026-02-14"),
        ({"interval": "month"}, "2026-02-28"),
        ({"interval": "month", "interval_count": 3}, "2026-04-30"),
        ({"interval": "year"}, "2027-01-31"),
    ],
)
def test_a_period_is_as_long_as_the_price_says(account, client, recurring, end):
    account.set_time(1_769_860_800)  # 2026-01-31 12:00
    order = {"product": "prod_pro", "currency": "usd", "unit_amount": 5, "recurring": recurring}
    price = client.v1.prices.create(order).id
    paid = account.state.checkout(buy(account, price=price, quantity=1).id, "pay")

    (item,) = client.v1.subscriptions.retrieve(paid["subscription"])["items"].data
    assert datetime.fromtimestamp(item.current_period_end, UTC).strftime("%Y-%m-%d") == end
