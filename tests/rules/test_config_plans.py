"""STRIPE_PLANS and STRIPE_IGNORED_PRODUCTS: what is sold, and what is none of our business."""

import pytest
from environments import problems, read

from portal_service.config import Plan


@pytest.mark.parametrize(
    ("value", "plans"),
    [
        ("price_a", [Plan("pro", ("price_a",))]),
        ("pro=price_a", [Plan("pro", ("price_a",))]),
        ("b=price_b;a=price_a", [Plan("b", ("price_b",)), Plan("a", ("price_a",))]),
        (" b = prod_b , price_2, price_1 ; ", [Plan("b", ("price_2", "price_1"), ("prod_b",))]),
        ("pro=plan_old", [Plan("pro", ("plan_old",))]),
        ("Team-2_x=price_a", [Plan("Team-2_x", ("price_a",))]),
        ("pro=price:gold-monthly", [Plan("pro", ("gold-monthly",))]),
        (
            "pro=product:gold,price:gold-yearly,price_a,prod_x",
            [Plan("pro", ("gold-yearly", "price_a"), ("gold", "prod_x"))],
        ),
        ("pro=price:12;team=price:ü.b/c", [Plan("pro", ("12",)), Plan("team", ("ü.b/c",))]),
        ("pro=price:price_a", [Plan("pro", ("price_a",))]),
    ],
)
def test_plans_keep_their_order_and_their_prices_theirs(value: str, plans: list[Plan]) -> None:
    assert list(read(STRIPE_PLANS=value).plans) == plans


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("free=price_a", "free"),
        ("pro=prod_x", "plan pro has no price"),
        ("pro=price_a;pro=price_b", "twice"),
        ("pro=price_a;team=price_a", "twice"),
        ("pro=price_a;team=prod_x,prod_x,price_b", "twice"),
    ],
)
def test_a_plan_that_cannot_be_sold_says_why(value: str, reason: str) -> None:
    assert reason in problems(STRIPE_PLANS=value)[0]


def test_an_id_of_another_form_is_named_with_the_way_to_mark_it() -> None:
    (problem,) = problems(STRIPE_PLANS="pro=gold-monthly,price_a")
    assert "plan pro" in problem
    assert "price:gold-monthly" in problem


# Products that are none of our business


@pytest.mark.parametrize(
    ("value", "products"),
    [
        ("prod_support", ("prod_support",)),
        ("prod_support, prod_app,", ("prod_support", "prod_app")),
        ("product:support,prod_app", ("support", "prod_app")),
    ],
)
def test_ignored_products_are_listed_with_commas(value: str, products: tuple[str, ...]) -> None:
    assert read(STRIPE_IGNORED_PRODUCTS=value).ignored_products == products
    assert read().ignored_products == ()


@pytest.mark.parametrize(
    ("ignored", "named"),
    [
        ("prod_X", "prod_X"),
        ("prod_support,prod_X", "prod_X"),
        ("product:prod_X", "prod_X"),
        ("gold", None),
        ("product:gold", "gold"),
    ],
)
def test_a_product_that_is_sold_is_not_ignored_as_well(ignored: str, named: str | None) -> None:
    (problem,) = problems(
        STRIPE_PLANS="pro=prod_X,price_a;gold=product:gold,price_b", STRIPE_IGNORED_PRODUCTS=ignored
    )
    assert problem.startswith("STRIPE_IGNORED_PRODUCTS is wrong: ")
    if named:
        assert f"{named} stands in STRIPE_PLANS too" in problem


def test_an_overlap_is_named_beside_every_other_problem() -> None:
    found = problems(STRIPE_IGNORED_PRODUCTS="prod_X", APP_URL="x", RATE_LIMIT="often")
    assert {line.split()[0] for line in found} == {
        "STRIPE_IGNORED_PRODUCTS", "APP_URL", "RATE_LIMIT",
    }  # fmt: skip
