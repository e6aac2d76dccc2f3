"""What Stripe's objects look like: pure functions from values to JSON, in the release the SDK
pins, and the older and the thin forms of the same. Knows nothing of what happens to them."""

import calendar
import copy
import secrets
from datetime import UTC, datetime
from typing import Any

import stripe

Json = dict[str, Any]

API_VERSION = stripe.api_version
BASIL = "2025-03-31"  # before it, the period stood on the subscription itself

# Fields that Stripe leaves out unless they are asked for, or that only deleted objects have.
LEFT_OUT = {"OBJECT_NAME", "deleted", "line_items", "sources", "subscriptions", "tax", "tax_ids"}
LEFT_OUT |= {"tiers", "currency_options", "client_secret", "cash_balance"}


def new_id(prefix: str, length: int = 16) -> str:
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
    return f"{prefix}_1" + "".join(secrets.choice(alphabet) for _ in range(length))


def blank(kind: type) -> Json:
    """Every field that the SDK knows of an object, null."""
    return {name: None for name in kind.__annotations__ if name not in LEFT_OUT}


def listing(url: str, data: list[Json], has_more: bool = False) -> Json:
    return {"object": "list", "url": url, "has_more": has_more, "data": data}


def months_later(moment: int, months: int = 1) -> int:
    """The same day of a later month, or the last one where there is no such day."""
    start = datetime.fromtimestamp(moment, UTC)
    year, month = divmod(start.year * 12 + start.month - 1 + months, 12)
    day = min(start.day, calendar.monthrange(year, month + 1)[1])
    return int(start.replace(year=year, month=month + 1, day=day).timestamp())


def price(id: str, product: str, amount: int, now: int, livemode: bool, **more: Any) -> Json:
    return {
        **blank(stripe.Price),
        "id": id,
        "object": "price",
        "active": True,
        "billing_scheme": "per_unit",
        "created": now,
        "currency": "usd",
        "livemode": livemode,
        "metadata": {},
        "product": product,
        "recurring": {
            "interval": "month",
            "interval_count": 1,
            "meter": None,
            "trial_period_days": None,
            "usage_type": "licensed",
        },
        "tax_behavior": "unspecified",
        "type": "recurring",
        "unit_amount": amount,
        "unit_amount_decimal": str(amount),
        **more,
    }


def plan(of: Json) -> Json:
    """The older twin of a price, which items still carry."""
    return {
        **blank(stripe.Plan),
        **{name: of[name] for name in ("id", "active", "billing_scheme", "created", "currency")},
        **{name: of[name] for name in ("livemode", "metadata", "product")},
        "object": "plan",
        "amount": of["unit_amount"],
        "amount_decimal": of["unit_amount_decimal"],
        "interval": of["recurring"]["interval"],
        "interval_count": of["recurring"]["interval_count"],
        "usage_type": "licensed",
    }


def customer(now: int, livemode: bool, **more: Any) -> Json:
    return {
        **blank(stripe.Customer),
        "id": new_id("cus", 13),
        "object": "customer",
        "balance": 0,
        "created": now,
        "delinquent": False,
        "invoice_settings": {
            "custom_fields": None,
            "default_payment_method": None,
            "footer": None,
            "rendering_options": None,
        },
        "livemode": livemode,
        "metadata": {},
        "preferred_locales": [],
        "tax_exempt": "none",
        **more,
    }


def item(subscription: str, of: Json, quantity: int, start: int, end: int) -> Json:
    return {
        **blank(stripe.SubscriptionItem),
        "id": new_id("si", 13),
        "object": "subscription_item",
        "created": start,
        "current_period_start": start,
        "current_period_end": end,
        "discounts": [],
        "metadata": {},
        "plan": plan(of),
        "price": of,
        "quantity": quantity,
        "subscription": subscription,
        "tax_rates": [],
    }


def subscription(
    customer: str,
    lines: list[tuple[Json, int]],
    now: int,
    livemode: bool,
    *,
    billing_mode: str,
    period_end: int,
    **more: Any,
) -> Json:
    id = new_id("sub", 23)
    items = [item(id, price, quantity, now, period_end) for price, quantity in lines]
    flexible = {"proration_discounts": "included"} if billing_mode == "flexible" else None
    return {
        **blank(stripe.Subscription),
        "id": id,
        "object": "subscription",
        "automatic_tax": {"disabled_reason": None, "enabled": False, "liability": None},
        "billing_cycle_anchor": now,
        "billing_mode": {"flexible": flexible, "type": billing_mode, "updated_at": now},
        "billing_schedules": [],
        "cancel_at_period_end": False,
        "cancellation_details": {
            "comment": None,
            "feedback": None,
            "feedback_option": None,
            "reason": None,
        },
        "collection_method": "charge_automatically",
        "created": now,
        "currency": lines[0][0]["currency"],
        "customer": customer,
        "default_tax_rates": [],
        "discounts": [],
        "invoice_settings": {"account_tax_ids": None, "issuer": {"type": "self"}},
        "items": listing(f"/v1/subscription_items?subscription={id}", items),
        "livemode": livemode,
        "metadata": {},
        "start_date": now,
        "status": "active",
        "trial_settings": {"end_behavior": {"missing_payment_method": "create_invoice"}},
        **more,
    }


def invoice(of: Json, status: str, now: int) -> Json:
    """The invoice of a subscription, as small as one that the service ignores may be."""
    total = sum((i["price"]["unit_amount"] or 0) * i["quantity"] for i in of["items"]["data"])
    paid = total if status == "paid" else 0
    details = {"metadata": of["metadata"], "subscription": of["id"]}
    return {
        **blank(stripe.Invoice),
        "id": new_id("in", 23),
        "object": "invoice",
        "amount_due": total,
        "amount_paid": paid,
        "amount_remaining": total - paid,
        "attempted": True,
        "attempt_count": 1,
        "collection_method": "charge_automatically",
        "created": now,
        "currency": of["currency"],
        "customer": of["customer"],
        "discounts": [],
        "livemode": of["livemode"],
        "metadata": {},
        "parent": {"type": "subscription_details", "subscription_details": details},
        "status": status,
        "total": total,
    }


def event(type: str, object: Json, now: int, previous: Json | None = None) -> Json:
    data: Json = {"object": copy.deepcopy(object)}
    if previous is not None:
        data["previous_attributes"] = previous
    return {
        "id": new_id("evt", 23),
        "object": "event",
        "api_version": API_VERSION,
        "created": now,
        "data": data,
        "livemode": object["livemode"],
        "pending_webhooks": 1,
        "request": {"id": None, "idempotency_key": None},
        "type": type,
    }


def changes(before: Json, after: Json) -> Json:
    """What `previous_attributes` says: the old values of the fields that changed."""
    return {name: copy.deepcopy(was) for name, was in before.items() if after.get(name) != was}


def in_version(object: Json, version: str) -> Json:
    """An object as an endpoint or a client on that release sees it."""
    if version >= BASIL or object.get("object") != "subscription":
        return object
    old = copy.deepcopy(object)
    for name in ("billing_mode", "billing_schedules", "customer_account", "status_details"):
        old.pop(name, None)
    for name in ("managed_payments", "presentment_details"):
        old.pop(name, None)
    items = old["items"]["data"]
    old["current_period_start"] = max(item.pop("current_period_start") for item in items)
    old["current_period_end"] = min(item.pop("current_period_end") for item in items)
    old["discount"] = None
    single = items[0] if len(items) == 1 else {}
    old["plan"], old["quantity"] = single.get("plan"), single.get("quantity")
    return old


def event_in_version(event: Json, version: str) -> Json:
    """A snapshot event as an endpoint on that release gets it."""
    now = event["data"]["object"]
    data = {**event["data"], "object": in_version(now, version)}
    previous = data.get("previous_attributes")
    if version < BASIL and previous and now["object"] == "subscription":
        before = in_version({**now, **previous}, version)
        data["previous_attributes"] = changes(before, data["object"])
    return {**event, "api_version": version, "data": data}


def thin(event: Json) -> Json:
    """The thin twin of a snapshot event: names what changed, holds nothing of it."""
    of = event["data"]["object"]
    path = {"checkout.session": "checkout/sessions"}.get(of["object"], of["object"] + "s")
    created = datetime.fromtimestamp(event["created"], UTC)
    return {
        "id": event["id"] + "thin",
        "object": "v2.core.event",
        "type": "v1." + event["type"],
        "context": None,
        "created": created.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
        "livemode": event["livemode"],
        "reason": None,
        "related_object": {"id": of["id"], "type": of["object"], "url": f"/v1/{path}/{of['id']}"},
        "snapshot_event": event["id"],
    }
