"""GET /plans: what is shown is what Stripe charges. What happens while Stripe does not answer:
tests/vendors/test_plans_for_sale.py.
"""

from typing import Any

import pytest
from service_under_test import APP_URL, Json, Log, MakeService, Service, refused, session_of

from portal_service.config import Plan
from sandbox.world import STRIPE_KEY, World

PRO = Plan("pro", ("price_pro", "price_pro_year"), ("prod_pro",))
TEAM = Plan("team", ("price_team",), ("prod_team",))
NOT_SOLD = "a plan is left out of GET /plans"


@pytest.fixture
def service(make_service: MakeService, ada: str) -> Service:
    return make_service(plans=(PRO, TEAM))


def for_sale(service: Service) -> Json:
    answer = service.call("GET", "/plans")
    assert answer.status_code == 200, answer.text
    return answer.json or {}


def prices(service: Service, plan: str = "pro") -> dict[str, Json]:
    (found,) = (each for each in for_sale(service)["plans"] if each["plan"] == plan)
    return {price["price_id"]: price for price in found["prices"]}


# What is shown


def test_the_plans_are_shown_in_the_order_of_the_settings(
    world: World, make_service: MakeService
) -> None:
    service = make_service(plans=(TEAM, PRO))
    plans = for_sale(service)["plans"]

    assert [plan["plan"] for plan in plans] == ["team", "pro"]
    assert [price["price_id"] for price in plans[1]["prices"]] == ["price_pro", "price_pro_year"]


def test_name_description_and_features_are_the_products(world: World, service: Service) -> None:
    world.stripe.products["prod_pro"] |= {
        "name": "Professional",
        "description": None,
        "marketing_features": [{"name": "Speed"}, {"name": "Space"}],
    }
    pro = for_sale(service)["plans"][0]
    shown = (pro["name"], pro["description"], pro["features"])
    assert shown == ("Professional", None, ["Speed", "Space"])


def test_of_several_products_that_of_the_first_price_that_is_sold_speaks(
    world: World, make_service: MakeService
) -> None:
    service = make_service(plans=(Plan("pro", ("price_pro", "price_team", "price_other")),))
    assert for_sale(service)["plans"][0]["name"] == "Pro"

    world.stripe.prices["price_pro"]["active"] = False
    service = make_service(plans=(Plan("pro", ("price_pro", "price_team", "price_other")),))
    assert for_sale(service)["plans"][0]["name"] == "Team"


def test_a_price_is_shown_as_stripe_has_it(world: World, service: Service) -> None:
    world.stripe.prices["price_pro"] |= {
        "lookup_key": "pro_monthly",
        "currency_options": {"eur": {"unit_amount": 1800}},
    }
    assert prices(service)["price_pro"] == {
        "price_id": "price_pro",
        "lookup_key": "pro_monthly",
        "amount": 1900,
        "amount_decimal": "1900",
        "currency": "usd",
        "currency_options": {
            "eur": {"amount": 1800, "amount_decimal": "1800"},
            "usd": {"amount": 1900, "amount_decimal": "1900"},
        },
        "interval": "month",
        "interval_count": 1,
        "usage_type": "licensed",
        "tiers_mode": None,
    }


@pytest.mark.parametrize(
    "changes, shown",
    [
        (
            {"unit_amount": None, "unit_amount_decimal": "0.05"},
            {"amount": None, "amount_decimal": "0.05", "tiers_mode": None},
        ),
        (
            {"unit_amount": None, "unit_amount_decimal": None, "tiers_mode": "graduated",
             "billing_scheme": "tiered", "tiers": [{"up_to": "inf", "unit_amount": 5}]},
            {"amount": None, "amount_decimal": None, "tiers_mode": "graduated"},
        ),
        (
            {"currency": "jpy", "unit_amount": 2800, "unit_amount_decimal": "2800"},
            {"amount": 2800, "currency": "jpy"},
        ),
        ({"unit_amount": 0, "unit_amount_decimal": "0"}, {"amount": 0, "amount_decimal": "0"}),
        (
            {"recurring": {"interval": "month", "interval_count": 3, "usage_type": "metered"}},
            {"interval": "month", "interval_count": 3, "usage_type": "metered"},
        ),
    ],
    ids=["a fraction of a cent", "tiers", "no cents", "nothing", "metered, each quarter"],
)  # fmt: skip
def test_amounts_and_intervals_of_every_kind(
    world: World, service: Service, changes: Json, shown: Json
) -> None:
    world.stripe.prices["price_pro"] |= changes
    found = prices(service)["price_pro"]
    assert {name: found[name] for name in shown} == shown


@pytest.mark.parametrize(
    "checkout_params, days",
    [
        (None, None),
        ({"allow_promotion_codes": True}, None),
        ({"subscription_data": {"trial_period_days": 14}}, 14),
        ({"subscription_data": {"trial_period_days": "7"}}, 7),
        ({"subscription_data": {"trial_end": 1900000000}}, None),
    ],
)
def test_a_trial_is_told_in_days(
    make_service: MakeService, checkout_params: Any, days: int | None
) -> None:
    shown = for_sale(make_service(checkout_params=checkout_params))
    assert (shown["trial_days"], shown["livemode"]) == (days, False)


def test_the_mode_is_told(service_at: Any, live_stripe: Any) -> None:
    assert for_sale(service_at(live_stripe))["livemode"] is True


# What is not shown


@pytest.mark.parametrize(
    "store, id, change",
    [
        ("prices", "price_team", {"active": False}),
        ("prices", "price_team", {"recurring": None, "type": "one_time"}),
        ("products", "prod_team", {"active": False}),
    ],
    ids=["archived", "paid once", "of an archived product"],
)
def test_a_plan_that_stripe_sells_no_price_of_is_left_out_and_told(
    world: World, service: Service, log: Log, store: str, id: str, change: Json
) -> None:
    getattr(world.stripe, store)[id] |= change

    assert [plan["plan"] for plan in for_sale(service)["plans"]] == ["pro"]
    line = log.line(NOT_SOLD)
    assert (line["level"], line["plan"], line["prices"]) == ("WARNING", "team", "price_team")
    assert "STRIPE_PLANS" in line["cure"]
    answer = service.checkout(body={"price": "price_team"})
    assert answer.status_code >= 400  # nor can it be bought


def test_so_is_one_whose_price_is_not_there(make_service: MakeService, log: Log) -> None:
    service = make_service(plans=(PRO, Plan("team", ("price_of_the_other_mode",))))
    assert [plan["plan"] for plan in for_sale(service)["plans"]] == ["pro"]
    assert log.line(NOT_SOLD)["plan"] == "team"


def test_an_archived_price_is_left_out_of_its_plan(
    world: World, service: Service, log: Log
) -> None:
    world.stripe.prices["price_pro"]["active"] = False
    assert set(prices(service)) == {"price_pro_year"}
    assert NOT_SOLD not in log.text


# A price shown is the price charged


@pytest.mark.parametrize("quantity", [None, 3])
@pytest.mark.parametrize("by", ["price", "plan and interval"])
def test_what_is_shown_is_charged(
    world: World, service: Service, by: str, quantity: int | None
) -> None:
    world.stripe.prices["price_pro"] |= {"unit_amount": 2345, "unit_amount_decimal": "2345"}
    count = 0
    for plan in for_sale(service)["plans"]:
        for price in plan["prices"]:
            count += 1
            user = f"buyer{count}"
            body = {"plan": plan["plan"], "interval": price["interval"]}
            body = {"price": price["price_id"]} if by == "price" else body
            order = body | ({"quantity": quantity} if quantity else {})
            session = session_of(world.stripe, service.checkout(user, order))
            world.stripe.checkout(session["id"], "pay")

            subscription = world.stripe.sessions[session["id"]]["subscription"]
            invoice = world.stripe.invoices[
                world.stripe.subscriptions[subscription]["latest_invoice"]
            ]
            assert invoice["amount_paid"] == price["amount"] * (quantity or 1) > 0
            assert invoice["currency"] == price["currency"]
    assert count == 3


# Who may ask, and who may keep it


def test_anybody_may_ask(world: World, service: Service) -> None:
    for headers in ({}, {"Authorization": "Bearer nonsense"}, {"Cookie": "__session=x"}):
        assert service.call("GET", "/plans", headers=headers).status_code == 200
    assert world.stripe.customers == {}


def test_it_may_be_kept_and_asked_for_again(world: World, service: Service) -> None:
    first = service.call("GET", "/plans")
    assert first.headers["Cache-Control"] == "public, max-age=60"
    tag = first.headers["ETag"]

    same = service.call("GET", "/plans", headers={"If-None-Match": tag})
    weak = service.call("GET", "/plans", headers={"If-None-Match": f"W/{tag}"})
    other = service.call("GET", "/plans", headers={"If-None-Match": '"other"'})
    assert [a.status_code for a in (same, weak, other)] == [304, 304, 200]
    assert (same.headers["ETag"], same.data, other.json) == (tag, b"", first.json)


def test_another_process_gives_the_same_tag_and_another_price_another_one(
    world: World, service: Service, make_service: MakeService
) -> None:
    tag = service.call("GET", "/plans").headers["ETag"]
    other = make_service(plans=(PRO, TEAM))
    assert other.call("GET", "/plans").headers["ETag"] == tag

    world.stripe.prices["price_pro"] |= {"unit_amount": 2345, "unit_amount_decimal": "2345"}
    changed = make_service(plans=(PRO, TEAM)).call("GET", "/plans", headers={"If-None-Match": tag})
    assert (changed.status_code, changed.headers["ETag"] == tag) == (200, False)


@pytest.mark.parametrize("origin", [None, APP_URL, "https://evil.example"])
def test_a_cache_keeps_the_origins_apart(service: Service, origin: str | None) -> None:
    headers = {"Origin": origin} if origin else {}
    for more in ({}, {"If-None-Match": service.call("GET", "/plans").headers["ETag"]}):
        answer = service.call("GET", "/plans", headers=headers | more)
        assert "origin" in answer.headers["Vary"].lower()
        allowed = answer.headers.get("Access-Control-Allow-Origin")
        assert allowed == (APP_URL if origin == APP_URL else None)


def test_stripe_is_asked_once_a_minute(world: World, service: Service) -> None:
    for _ in range(3):
        for_sale(service)
    asked = [call["path"] for call in world.stripe.calls]
    assert sorted(asked) == [
        "/v1/prices/price_pro", "/v1/prices/price_pro_year", "/v1/prices/price_team",
        "/v1/products/prod_pro", "/v1/products/prod_team",
    ]  # fmt: skip


@pytest.mark.parametrize("path", ["/v1/prices", "/v1/products"])
def test_a_key_that_may_not_read_them_is_told_which_permissions_it_needs(
    world: World, service: Service, log: Log, path: str
) -> None:
    world.stripe.forbidden[STRIPE_KEY] = [path]

    for _ in range(2):
        answer = service.call("GET", "/plans")
        refused(answer, "stripe_unavailable")
        assert answer.headers["Cache-Control"] == "no-store"
    line = log.line("GET /plans has no prices")
    assert line["level"] == "ERROR"
    assert "Products: read" in line["cure"] and "Prices: read" in line["cure"]
    assert service.checkout().status_code == 200  # buying goes on
