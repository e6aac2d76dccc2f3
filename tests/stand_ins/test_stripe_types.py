"""The answers of the stand-in are held to the SDK's classes, which are generated from Stripe's own
description: no field that isn't there, none missing or null that always is."""

from collections.abc import Iterator
from typing import Any

import pytest
import stripe
from stripe._stripe_object import StripeObject

from sandbox.stripe import endpoints
from sandbox.stripe.params import options, words_of

BY_CURRENCY = "currency_options"  # its class is that of the values


def faults(value: Any, path: str) -> Iterator[str]:
    """What of an answer, at any depth, its class does not know or always has."""
    if isinstance(value, stripe.ListObject):
        value = value.data
    if isinstance(value, list):
        for each in value:
            yield from faults(each, path)
    elif isinstance(value, StripeObject):
        fields = value.to_dict(recursive=False)
        if not path.endswith(BY_CURRENCY):
            yield from wrong(fields, type(value).__annotations__, path)
        for name in fields:
            yield from faults(value[name], f"{path}.{name}")


def wrong(fields: dict[str, Any], hints: dict[str, Any], path: str) -> Iterator[str]:
    known = {name: hint for name, hint in hints.items() if name != "OBJECT_NAME" and name[0] != "_"}
    if not known:  # metadata and the like, whose names are ours
        return
    for name in fields.keys() - known.keys():
        yield f"{path}.{name} is unknown"
    for name, hint in known.items():
        members, value = list(options(hint)), fields.get(name)
        words = [word for member in members for word in words_of(member)]
        if value is None and type(None) not in members:
            yield f"{path}.{name} is always there"
        if words and isinstance(value, str) and value not in words:
            yield f"{path}.{name} is never {value}"


@pytest.fixture
def answers(account) -> dict[str, Any]:
    """An answer of each kind, with all in it that can be."""
    v1, state = account.client.v1, account.state
    trial = {"trial_period_days": 3, "metadata": {"a": "b"}}
    session = account.session(account.customer(), subscription_data=trial, expand=["line_items"])
    paid = state.checkout(session.id, "pay")
    for status in ("past_due", "canceled", "paused"):
        state.create_subscription("user_bob", "price_metered", status)
    expand = {"expand": ["customer", "latest_invoice"]}
    subscription = v1.subscriptions.retrieve(paid["subscription"], expand)
    confirmed = {"id": subscription["items"].data[0].id, "price": "price_team"}
    flow = {
        "type": "subscription_update_confirm",
        "subscription_update_confirm": {"subscription": subscription.id, "items": [confirmed]},
    }
    portal = {"customer": session.customer, "return_url": "https://app.test", "flow_data": flow}
    prices = ["data.product", "data.currency_options", "data.tiers"]
    configurations = {"expand": ["data.features.subscription_update.products"]}
    account.listen()
    destination = endpoints.destination(state, "ed_1", "https://app.test/hook")
    state.event_destinations["ed_1"] = destination
    return {
        "open session": session,
        "sessions": v1.checkout.sessions.list(),
        "subscription": subscription,
        "subscriptions": v1.subscriptions.list({"status": "all"}),
        "items": v1.subscription_items.list({"subscription": subscription.id}),
        "customer": v1.customers.retrieve(session.customer),
        "prices": v1.prices.list({"expand": prices}),
        "products": v1.products.list(),
        "configurations": v1.billing_portal.configurations.list(configurations),
        "portal session": v1.billing_portal.sessions.create(portal),
        "events": v1.events.list({"limit": 100}),
        "endpoints": v1.webhook_endpoints.list(),
        "new endpoint": v1.webhook_endpoints.create(
            {"url": "https://app.test/hook", "enabled_events": ["*"]}
        ),
        "new destination": account.client.v2.core.event_destinations.create(
            {
                "name": "ours",
                "type": "webhook_endpoint",
                "event_payload": "thin",
                "enabled_events": ["v1.customer.subscription.created"],
                "webhook_endpoint": {"url": "https://app.test/hook"},
                "include": ["webhook_endpoint.signing_secret", "webhook_endpoint.url"],
            }
        ),
        "destinations": account.client.v2.core.event_destinations.list().data,
    }


def test_every_answer_has_the_fields_of_its_class(answers):
    assert [fault for kind, answer in answers.items() for fault in faults(answer, kind)] == []
