"""Parameters are held to the SDK's own types."""

from typing import get_args

import pytest
import stripe.params as p
from typing_extensions import is_typeddict

from sandbox.stripe.calls import CALLS
from sandbox.stripe.errors import ParameterError
from sandbox.stripe.params import fields, nested, options, read

CHECKOUT = p.checkout.SessionCreateParams
PORTAL = p.billing_portal.SessionCreateParams


def test_a_form_is_read_into_typed_parameters():
    pairs = [
        ("mode", "subscription"),
        ("line_items[0][price]", "price_pro"),
        ("line_items[0][quantity]", "2"),
        ("line_items[1][price]", "price_team"),
        ("allow_promotion_codes", "true"),
        ("metadata[clerk_user_id]", "user_ada"),
        ("expand[]", "customer"),
        ("expand[]", "line_items"),
    ]

    assert read(pairs, CHECKOUT) == {
        "mode": "subscription",
        "line_items": [{"price": "price_pro", "quantity": 2}, {"price": "price_team"}],
        "allow_promotion_codes": True,
        "metadata": {"clerk_user_id": "user_ada"},
        "expand": ["customer", "line_items"],
    }


@pytest.mark.parametrize("call", CALLS, ids=lambda call: f"{call.method} {call.path}")
def test_the_types_of_every_call_can_be_read(call):
    seen, waiting = set(), [call.spec]
    while waiting:
        spec = waiting.pop()
        if is_typeddict(spec) and spec not in seen:
            seen.add(spec)
            hints = fields(spec).values()
        else:
            hints = get_args(spec)
        waiting.extend(option for hint in hints for option in options(hint) if option not in seen)

    assert set(call.understood.split()) >= {"expand"} & fields(call.spec).keys()
    assert call.method == "POST" or set(call.understood.split()) <= fields(call.spec).keys()


def test_a_field_of_two_types_takes_both():
    assert read([("created", "17")], p.EventListParams) == {"created": 17}
    assert read([("created[gte]", "17")], p.EventListParams) == {"created": {"gte": 17}}
    assert read([("trial_end", "now")], p.SubscriptionUpdateParams) == {"trial_end": "now"}
    assert read([("cancel_at", "")], p.SubscriptionUpdateParams) == {"cancel_at": ""}


@pytest.mark.parametrize(
    ("spec", "pairs", "code", "param", "message"),
    [
        (PORTAL, [("custmer", "cus_1")], "parameter_unknown", "custmer", "Did you mean customer?"),
        (
            CHECKOUT,
            [("line_items[0][prise]", "x")],
            "parameter_unknown",
            "line_items[0][prise]",
            "Received unknown parameter: line_items[0][prise]",
        ),
        (CHECKOUT, [("payment_method_types[0]", "card")], "parameter_unknown", None, "unknown"),
        (CHECKOUT, [("api_key", "x")], "parameter_unknown", "api_key", "unknown parameter"),
        (CHECKOUT, [("mode", "subscribe")], None, "mode", "must be one of payment, setup, or"),
        (CHECKOUT, [("locale", "xx")], None, "locale", "Invalid locale: must be one of auto"),
        (CHECKOUT, [("locale", "en-IE")], None, "locale", "must be one of"),
        (
            CHECKOUT,
            [("line_items[0][quantity]", "two")],
            "parameter_invalid_integer",
            "line_items[0][quantity]",
            "Invalid integer: two",
        ),
        (CHECKOUT, [("automatic_tax[enabled]", "1")], None, None, "Invalid boolean: 1"),
        (CHECKOUT, [("automatic_tax", "true")], None, "automatic_tax", "Invalid object"),
        (
            CHECKOUT,
            [("automatic_tax[liability][type]", "self")],
            "parameter_missing",
            None,
            "tax[ena",
        ),
        (CHECKOUT, [("expand", "customer")], None, "expand", "Invalid array"),
        (CHECKOUT, [("customer", "")], "parameter_invalid_empty", "customer", "cannot be unset"),
        (CHECKOUT, [("mode[x]", "y")], None, "mode", "Invalid string"),
        (CHECKOUT, [("mode", "y"), ("mode[x]", "y")], None, "mode[x]", "Invalid hash"),
        (CHECKOUT, [("a[b", "y")], "parameter_unknown", "a[b", "unknown parameter"),
        (
            PORTAL,
            [("flow_data[type]", "subscription_cancel")],
            "parameter_missing",
            "flow_data[subscription_cancel]",
            "Missing required param: flow_data[subscription_cancel].",
        ),
        (
            PORTAL,
            [
                ("flow_data[type]", "payment_method_update"),
                ("flow_data[after_completion][type]", "redirect"),
            ],
            "parameter_missing",
            "flow_data[after_completion][redirect]",
            "Missing required param",
        ),
        (
            PORTAL,
            [("flow_data[after_completion][type]", "portal_homepage")],
            "parameter_missing",
            "flow_data[type]",
            "Missing required param: flow_data[type].",
        ),
    ],
)
def test_what_stripe_refuses_is_refused(spec, pairs, code, param, message):
    with pytest.raises(ParameterError, match=".") as caught:
        read(pairs, spec)

    assert caught.value.code == code
    assert message in caught.value.message
    assert param in (None, caught.value.param)


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({f"key{n}": "x" for n in range(51)}, "up to 50 keys"),
        ({"k" * 41: "x"}, "keys can have up to 40 characters"),
        ({"key": "x" * 501}, "values can have up to 500 characters"),
    ],
)
def test_metadata_has_limits(metadata, message):
    pairs = [(f"subscription_data[metadata][{key}]", text) for key, text in metadata.items()]

    with pytest.raises(ParameterError, match=message):
        read(pairs, CHECKOUT)


def test_metadata_may_reach_its_limits():
    pairs = [(f"metadata[{'k' * 38}{n:02}]", "x" * 500) for n in range(50)]

    assert len(read(pairs, CHECKOUT)["metadata"]) == 50


def test_lists_are_ordered_by_their_numbers():
    pairs = [(f"expand[{n}]", f"field{n}") for n in (10, 2, 1)]

    assert read(pairs, CHECKOUT)["expand"] == ["field1", "field2", "field10"]


def test_brackets_nest():
    assert nested([("a[b][c]", "1"), ("a[b][d]", "2")]) == {"a": {"b": {"c": "1", "d": "2"}}}
