"""What all of Stripe's objects have in common, customers and events, and how objects go out: what
is left out of them, and the older and the thin forms. Pure functions from values to JSON; products
and prices are in pricing.py, subscriptions in subscribing.py."""

import calendar
import secrets
import string
from datetime import UTC, datetime
from typing import Any

import stripe

Json = dict[str, Any]

API_VERSION = stripe.api_version
BASIL = "2025-03-31"  # before it, the period stood on the subscription itself

# Fields that Stripe leaves out unless they are asked for, or that only deleted objects have.
LEFT_OUT = {"OBJECT_NAME", "deleted", "line_items", "sources", "subscriptions", "tax", "tax_ids"}
LEFT_OUT |= {"tiers", "currency_options", "client_secret", "cash_balance"}
UNLESS_EXPANDED = {"price": ("currency_options", "tiers")}
ITEMS_SHOWN = 10


_LETTERS = (string.ascii_letters + string.digits).encode()
_OF_BYTES = bytes(_LETTERS[byte % len(_LETTERS)] for byte in range(256))


def new_id(prefix: str, length: int = 16) -> str:
    return f"{prefix}_1" + secrets.token_bytes(length).translate(_OF_BYTES).decode()


def blank(kind: type) -> Json:
    """Every field that the SDK knows of an object, null."""
    return {name: None for name in kind.__annotations__ if name not in LEFT_OUT}


def listing(url: str, data: list[Json], has_more: bool = False) -> Json:
    return {"object": "list", "url": url, "has_more": has_more, "data": data}


def months_later(moment: int, months: int = 1, anchor: int | None = None) -> int:
    """The same day of a later month, or the last one where there is no such day.

    anchor: the moment whose day is meant, where the one at hand was such a last one.
    """
    start = datetime.fromtimestamp(moment, UTC)
    wanted = start if anchor is None else datetime.fromtimestamp(anchor, UTC)
    year, month = divmod(start.year * 12 + start.month - 1 + months, 12)
    day = min(wanted.day, calendar.monthrange(year, month + 1)[1])
    return int(start.replace(year=year, month=month + 1, day=day).timestamp())


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


def copied(object: Json) -> Json:
    """A copy of JSON, in a quarter of the time of copy.deepcopy: tests make many."""
    return {name: _copied(each) for name, each in object.items()}


def _copied(value: Any) -> Any:
    if type(value) is dict:
        return {name: _copied(each) for name, each in value.items()}
    if type(value) is list:
        return [_copied(each) for each in value]
    return value


def shown(value: Any) -> Any:
    """A copy of an object, or of several, as an answer or an event shows it: what is only given
    when it is asked for is left out, and of a subscription's items the first page is there."""
    if isinstance(value, list):
        return [shown(each) for each in value]
    if not isinstance(value, dict):
        return value
    kind = value.get("object")
    if kind == "customer" and value.get("deleted"):
        return {name: value[name] for name in ("id", "object", "deleted")}
    visible = {
        name: shown(each) if isinstance(each, (dict, list)) else each
        for name, each in value.items()
    }
    for name in UNLESS_EXPANDED.get(str(kind), ()):
        visible.pop(name, None)
    if kind == "subscription" and "items" in visible:
        items = visible["items"]  # an event's, when it is listed, are the first page already
        items["has_more"] = items["has_more"] or len(items["data"]) > ITEMS_SHOWN
        items["data"] = items["data"][:ITEMS_SHOWN]
    if kind == "billing_portal.configuration":
        visible["features"].get("subscription_update", {}).pop("products", None)
    return visible


def event(type: str, object: Json, now: int, previous: Json | None = None) -> Json:
    data: Json = {"object": shown(object)}
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
    was, now = shown(before), shown(after)
    return {name: value for name, value in was.items() if now.get(name) != value}


def in_version(object: Json, version: str) -> Json:
    """An object as an endpoint or a client on that release sees it."""
    if version >= BASIL or object.get("object") != "subscription":
        return object
    old = copied(object)
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


def moment(seconds: int) -> str:
    """As Stripe's second API writes a moment."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def thin(event: Json) -> Json:
    """The thin twin of a snapshot event: names what changed, holds nothing of it."""
    of = event["data"]["object"]
    path = {"checkout.session": "checkout/sessions"}.get(of["object"], of["object"] + "s")
    return {
        "id": event["id"] + "thin",
        "object": "v2.core.event",
        "type": "v1." + event["type"],
        "context": None,
        "created": moment(event["created"]),
        "livemode": event["livemode"],
        "reason": None,
        "related_object": {"id": of["id"], "type": of["object"], "url": f"/v1/{path}/{of['id']}"},
        "snapshot_event": event["id"],
    }
