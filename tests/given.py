"""What the unit tests start from: settings, subscriptions, rows and events that are right, of which
each test changes one thing.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from portal_service.config import Plan, Settings
from portal_service.entitlement import Account, by_merit
from portal_service.mirror import OUR_RELEASE
from portal_service.subscription import COLUMNS

Json = dict[str, Any]

PLANS = (
    Plan("basic", ("price_basic",), ("prod_basic",)),
    Plan("pro", ("price_pro", "price_pro_year"), ("prod_pro",)),
    Plan("team", ("price_team",)),
)
ENTITLED = ("active", "trialing")
NOON = 1_793_000_000  # 2026-10-26T07:33:20Z
MONTH_END = 1_795_000_000  # 2026-11-18T11:06:40Z
ISSUER = "https://clerk.example.com"


def settings(**changes: Any) -> Settings:
    values: Json = {
        "stripe_secret_key": "sk_test_unit",
        "stripe_webhook_secrets": ("whsec_unit",),
        "plans": PLANS,
        "supabase_url": "https://unit.supabase.co",
        "supabase_key": "sb_secret_unit",
        "clerk_issuer": ISSUER,
        "app_url": "https://app.example.com",
    }
    return Settings(**(values | changes))


def iso(timestamp: int) -> str:
    return datetime.fromtimestamp(timestamp, UTC).isoformat()


def item(price: str | None = "price_pro", product: str | None = "prod_pro", **changes: Any) -> Json:
    return {
        "id": "si_1",
        "object": "subscription_item",
        "current_period_start": NOON,
        "current_period_end": MONTH_END,
        "price": {"id": price, "object": "price", "product": product},
        "quantity": 1,
    } | changes


def subscription(*items: Json, **changes: Any) -> Json:
    """As Stripe renders it in the release that we pin, in flexible billing mode."""
    return {
        "id": "sub_1",
        "object": "subscription",
        "status": "active",
        "status_details": None,
        "customer": "cus_1",
        "customer_account": None,
        "billing_mode": {"type": "flexible", "flexible": {"proration_discounts": "included"}},
        "cancel_at": None,
        "cancel_at_period_end": False,
        "canceled_at": None,
        "cancellation_details": {"comment": None, "feedback": None, "reason": None},
        "collection_method": "charge_automatically",
        "created": 1_760_000_000,
        "discounts": [],
        "ended_at": None,
        "items": {"object": "list", "has_more": False, "data": list(items) or [item()]},
        "livemode": False,
        "metadata": {},
        "pause_collection": None,
        "pending_update": None,
        "schedule": None,
        "test_clock": None,
        "trial_end": None,
        "trial_start": None,
    } | changes


def old_subscription(**changes: Any) -> Json:
    """As Stripe rendered it up to 2025-02-24.acacia: the period stands on the subscription."""
    price = {"id": "price_pro", "object": "price", "product": "prod_pro"}
    plan = {"id": "price_pro", "object": "plan", "product": "prod_pro"}
    old_item = {"id": "si_1", "object": "subscription_item", "price": price, "plan": plan}
    return {
        "id": "sub_1",
        "object": "subscription",
        "status": "active",
        "customer": "cus_1",
        "current_period_start": NOON,
        "current_period_end": MONTH_END,
        "cancel_at": None,
        "cancel_at_period_end": False,
        "canceled_at": None,
        "collection_method": "charge_automatically",
        "discount": None,
        "ended_at": None,
        "items": {"object": "list", "has_more": False, "data": [old_item | {"quantity": 1}]},
        "livemode": False,
        "metadata": {"user_id": "7"},
        "pause_collection": None,
        "plan": plan,
        "quantity": 1,
        "trial_end": None,
    } | changes


def paused(reason: str | None) -> Json:
    """What a paused subscription has in place of an active one."""
    details = None
    if reason is not None:
        details = {
            "paused": {
                "type": "subscription",
                "transitioned_at": NOON,
                "subscription": {"type": reason},
            }
        }
    return {"status": "paused", "status_details": details}


def row(**changes: Any) -> Json:
    """A row as the database answers with it: an active subscription to the plan pro. Its one item
    is that of its price, unless a test says otherwise.
    """
    content = dict.fromkeys(COLUMNS) | {
        "stripe_customer_id": "cus_1",
        "stripe_subscription_id": "sub_1",
        "status": "active",
        "plan": "pro",
        "price_id": "price_pro",
        "product_id": "prod_pro",
        "quantity": 1,
        "collection_method": "charge_automatically",
        "current_period_end": iso(MONTH_END),
        "cancel_at_period_end": False,
        "livemode": False,
        "as_of": iso(NOON),
        "clerk_owner_id": "user_ada",
        "user_id": "7",
        "revision": 5,
        "created_at": iso(NOON),
        "updated_at": iso(NOON),
    }
    content |= changes
    if "items" not in changes:
        names = ("price_id", "product_id", "quantity", "current_period_end")
        content["items"] = [{name: content[name] for name in names}]
    return content


def row_item(
    price: str | None = "price_pro", product: str | None = "prod_pro", **changes: Any
) -> Json:
    """An item as a row keeps it."""
    kept = {"price_id": price, "product_id": product, "quantity": 1}
    return kept | {"current_period_end": iso(MONTH_END)} | changes


def row_of_the_original(**changes: Any) -> Json:
    """A row that the tutorial's webhook wrote: neither product nor price, nor mode."""
    names = ("price_id", "product_id", "quantity", "livemode", "as_of", "items",
             "clerk_owner_id", "cancel_at_period_end", "collection_method")  # fmt: skip
    return row(**(dict.fromkeys(names) | changes))


def account(
    *rows: Json,
    linked_customer: str | None = None,
    user_id: str | None = "7",
    ignored_rows: tuple[Json, ...] = (),
    gone: Iterable[str] = (),
) -> Account:
    best_first = by_merit(rows, PLANS, ENTITLED)
    return Account("user_ada", user_id, linked_customer, best_first, ignored_rows, frozenset(gone))


def snapshot_event(kind: str, snapshot: Json, **changes: Any) -> Json:
    return {
        "id": "evt_1",
        "object": "event",
        "api_version": f"2026-10-28.{OUR_RELEASE}",
        "created": NOON,
        "livemode": False,
        "type": kind,
        "request": {"id": None, "idempotency_key": None},
        "data": {"object": snapshot},
    } | changes


def thin_event(kind: str, related_id: str, **changes: Any) -> Json:
    return {
        "id": "evt_2",
        "object": "v2.core.event",
        "type": f"v1.{kind}",
        "created": "2026-11-23T08:00:00.000Z",
        "livemode": False,
        "context": None,
        "reason": None,
        "related_object": {"id": related_id, "type": "subscription", "url": "/v1/x"},
    } | changes


def checkout_session(**changes: Any) -> Json:
    return {
        "id": "cs_test_1",
        "object": "checkout.session",
        "mode": "subscription",
        "status": "complete",
        "payment_status": "paid",
        "customer": "cus_1",
        "subscription": "sub_1",
        "client_reference_id": "user_ada",
        "metadata": {"clerk_user_id": "user_ada"},
        "livemode": False,
        "url": None,
    } | changes
