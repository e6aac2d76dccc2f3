"""STRIPE_CHECKOUT_PARAMS: what is handed on to Stripe, and what can't work."""

import json
import re
from typing import Any

import pytest
import stripe
from environments import problems, read
from stripe.params.checkout import SessionCreateParams

from portal_service.config_values import CHECKOUT_HASHES

HASHES = [
    name
    for name, kind in SessionCreateParams.__annotations__.items()
    if re.search(r"SessionCreateParams\w", str(kind)) and "List[" not in str(kind)
]


@pytest.mark.parametrize(
    "params",
    [
        {"allow_promotion_codes": True},
        {"automatic_tax": {"enabled": True}},
        {"tax_id_collection": {"enabled": True}, "billing_address_collection": "required"},
        {"subscription_data": {"trial_period_days": 14}},
        {"discounts": [{"coupon": "c"}]},
        {"allow_promotion_codes": False, "discounts": [{"coupon": "c"}]},
        {"metadata": {"team": "a"}},
        {"payment_method_collection": "if_required"},
        {},
    ],
)
def test_checkout_parameters_are_taken_over(params: dict[str, Any]) -> None:
    assert read(STRIPE_CHECKOUT_PARAMS=json.dumps(params)).checkout_params == params


@pytest.mark.parametrize(
    "name",
    ["mode", "customer", "line_items", "success_url", "cancel_url", "client_reference_id",
     "customer_email", "customer_creation", "customer_account", "ui_mode", "return_url",
     "payment_intent_data", "payment_method_types"],
)  # fmt: skip
def test_a_checkout_parameter_that_clashes_with_ours_is_named(name: str) -> None:
    (problem,) = problems(STRIPE_CHECKOUT_PARAMS=json.dumps({name: {}}))
    assert name in problem


@pytest.mark.parametrize(
    "name",
    ["api_key", "idempotency_key", "stripe_version", "stripe_account", "Locale", "__annotations__"],
)
def test_a_checkout_parameter_that_stripe_does_not_know_is_refused(name: str) -> None:
    assert problems(STRIPE_CHECKOUT_PARAMS=json.dumps({name: "x"}))


def test_the_hashes_are_those_of_the_sdk() -> None:
    assert {*HASHES, "metadata"} == CHECKOUT_HASHES


@pytest.mark.parametrize("plain", ["x", 1, True, None, [], ["x"]], ids=repr)
def test_a_plain_value_where_stripe_wants_a_hash_is_refused(plain: object) -> None:
    for name in (*HASHES, "metadata"):
        assert problems(STRIPE_CHECKOUT_PARAMS=json.dumps({name: plain})), name


def test_a_hash_where_stripe_wants_one_is_taken() -> None:
    for name in sorted(set(HASHES) - {"payment_intent_data"}):
        assert read(STRIPE_CHECKOUT_PARAMS=json.dumps({name: {}})).checkout_params == {name: {}}


def test_promotion_codes_and_discounts_exclude_each_other() -> None:
    both = {"allow_promotion_codes": True, "discounts": [{"coupon": "c"}]}
    (problem,) = problems(STRIPE_CHECKOUT_PARAMS=json.dumps(both))
    assert "discounts" in problem


def test_the_names_are_those_of_the_release_that_is_pinned() -> None:
    assert stripe.api_version == "2026-10-28.endive"
    assert "allowed_payment_method_types" in SessionCreateParams.__annotations__
    assert "payment_method_types" not in SessionCreateParams.__annotations__


@pytest.mark.parametrize(
    ("params", "offers"),
    [
        (None, False),
        ({}, False),
        ({"subscription_data": {}}, False),
        ({"subscription_data": {"description": "x"}}, False),
        ({"subscription_data": {"trial_period_days": 0}}, False),
        ({"subscription_data": {"trial_settings": {"end_behavior": {}}}}, False),
        ({"subscription_data": {"trial_period_days": 14}}, True),
        ({"subscription_data": {"trial_end": 1_900_000_000}}, True),
    ],
)
def test_checkout_may_begin_with_a_trial(params: dict[str, Any] | None, offers: bool) -> None:
    value = None if params is None else json.dumps(params)
    assert read(STRIPE_CHECKOUT_PARAMS=value).offers_trial is offers
