"""Wherever Stripe or the database is away in the middle of a deletion, the answer is 5xx, and
Clerk's next delivery ends right: the subscription ends, the row says so, nothing stays open.
"""

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
import stripe
from flask.testing import FlaskClient
from outside import Outside, signed

from portal_service import Settings, create_app
from sandbox.clerk_webhooks import headers
from sandbox.stripe import schedules
from sandbox.world import CLERK_WEBHOOK_PATH, CLERK_WEBHOOK_SECRET, WEBHOOK_PATH, World

Json = dict[str, Any]
# More calls than a deletion makes: the last ones must find it whole.
MOST_CALLS = 30


@pytest.fixture
def client_of(out: Outside, monkeypatch: pytest.MonkeyPatch) -> Callable[..., FlaskClient]:
    monkeypatch.setattr(stripe.HTTPClient, "INITIAL_DELAY", 0.01)  # before the SDK's own retry

    def make(**changes: str) -> FlaskClient:
        return create_app(Settings.from_environment(out.environment | changes)).test_client()

    return make


def tell(client: FlaskClient, event: Json) -> Any:
    body = json.dumps(event).encode()
    sent = headers(CLERK_WEBHOOK_SECRET, "msg_1", int(time.time()), body)
    return client.post(CLERK_WEBHOOK_PATH, data=body, headers=sent)


def customer_with_everything(world: World, client: FlaskClient, owner: str) -> str:
    """A subscription under a schedule with its row, and an open session; gives the customer."""
    subscription = world.stripe.create_subscription(owner, "price_pro")
    event = list(world.stripe.events.values())[-1]
    body, sent = signed(event)
    assert client.post(WEBHOOK_PATH, data=body, headers=sent).status_code == 200
    schedules.attach(world.stripe, subscription["id"])
    customer = str(subscription["customer"])
    metadata = {"clerk_user_id": owner}
    world.stripe.sessions[f"cs_test_{owner}"] = {
        "id": f"cs_test_{owner}", "object": "checkout.session", "customer": customer,
        "metadata": metadata, "mode": "subscription", "status": "open", "url": "https://x",
        "expires_at": world.stripe.now() + 3600, "livemode": False, "subscription": None,
        "created": world.stripe.now(),
    }  # fmt: skip
    return customer


def assert_gone(world: World, owner: str, customer: str) -> None:
    (row,) = [row for row in world.rows() if row["clerk_owner_id"] == owner]
    subscription = world.stripe.subscriptions[row["stripe_subscription_id"]]
    assert row["status"] == subscription["status"]
    assert row["cancel_at_period_end"] is subscription["cancel_at_period_end"]
    assert subscription["cancel_at_period_end"] or subscription["status"] == "canceled"
    assert world.stripe.sessions[f"cs_test_{owner}"]["status"] == "expired"
    assert "clerk_deleted_at" in world.stripe.customers[customer]["metadata"]


@pytest.mark.parametrize("kind", ["refused", "cut", 500, "garbage"])
@pytest.mark.parametrize("vendor", ["database", "stripe"])
@pytest.mark.parametrize("how", ["cancel_at_period_end", "cancel_now"])
def test_away_from_any_call_on(
    world: World,
    out: Outside,
    client_of: Callable[..., FlaskClient],
    how: str,
    vendor: str,
    kind: Any,
) -> None:
    if vendor == "stripe" and kind == "garbage":
        kind = 429
    client = client_of(ON_OWNER_DELETED=how)
    switch = getattr(out, vendor)
    for n in range(MOST_CALLS):
        owner = f"user_n{n}"
        customer = customer_with_everything(world, client, owner)
        left = iter(range(n))
        switch.fault = lambda method, path, left=left: kind if next(left, None) is None else None
        deleted = {"type": "user.deleted", "data": {"id": owner, "deleted": True}}
        answer = tell(client, deleted)
        out.heal()
        if answer.status_code == 200:
            assert n > 2
            assert_gone(world, owner, customer)
            return
        assert answer.status_code in (500, 503)
        assert tell(client, deleted).status_code == 200
        assert_gone(world, owner, customer)
    raise AssertionError("it makes more calls than that")
