"""A Stripe subscription -> a row, and what its prices and metadata mean here. Pure: no I/O.

A row is what the table `subscriptions` holds, as JSON: times are ISO-8601 strings or None.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from portal_service.config import Plan

Row = dict[str, Any]
StripeObject = dict[str, Any]

FREE = "free"
ENDED = frozenset({"canceled", "incomplete_expired"})
KNOWN_STATUSES = ENDED | {"active", "trialing", "past_due", "unpaid", "incomplete", "paused"}
# The columns that Stripe fills; `as_of` is the moment on Stripe's clock that they describe.
COLUMNS = (
    "stripe_customer_id", "stripe_subscription_id", "status", "plan", "price_id", "product_id",
    "quantity", "collection_method", "current_period_end", "cancel_at", "canceled_at", "trial_end",
    "ended_at", "pause_resumes_at", "cancel_at_period_end", "pause_collection", "paused_reason",
    "livemode", "items", "as_of",
)  # fmt: skip
_TIMES = frozenset(
    {"current_period_end", "cancel_at", "canceled_at", "trial_end", "ended_at", "pause_resumes_at"}
)


def customer_of(stripe_object: StripeObject) -> str | None:
    """The customer's id; Stripe sends the id, the expanded customer, or null."""
    return _id(stripe_object.get("customer"))


def subscription_of(session: StripeObject) -> str | None:
    """The id of the subscription that a checkout session made."""
    return _id(session.get("subscription"))


def _id(reference: Any) -> str | None:
    found = reference.get("id") if isinstance(reference, dict) else reference
    if not isinstance(found, str | None):
        raise TypeError("an id is text")
    return found


def expanded_customer(subscription: StripeObject) -> StripeObject:
    """The subscription's customer where Stripe expanded it, else {}."""
    customer = subscription.get("customer")
    return customer if isinstance(customer, dict) else {}


def is_of_deleted_customer(subscription: StripeObject) -> bool:
    """Whether Stripe, which keeps deleted customers, says so of one that it expanded."""
    return bool(expanded_customer(subscription).get("deleted"))


def is_ours(subscription: StripeObject, plans: Sequence[Plan]) -> bool:
    """Whether one of its items has one of our prices or products."""
    return any(rank_of(*_price(item), plans) >= 0 for item in items_of(subscription))


def is_ignored(subscription: StripeObject, plans: Sequence[Plan], ignored: Iterable[str]) -> bool:
    """Whether all of its products are none of our business, and none of its prices is ours."""
    products = [_price(item)[1] for item in items_of(subscription)]
    return all_ignored(products, ignored) and not is_ours(subscription, plans)


def all_ignored(products: Sequence[str | None], ignored: Iterable[str]) -> bool:
    return bool(products) and set(products) <= set(ignored)


def is_running_at_stripe(subscription: StripeObject) -> bool:
    """Whether a second subscription beside it would charge twice."""
    return is_running_status(subscription["status"], _paused_reason(subscription))


def is_running_status(status: str | None, paused_reason: str | None) -> bool:
    if status == "paused":
        return paused_reason not in (None, "trial_end_without_payment_method")
    return status not in (*ENDED, "incomplete")


def had_trial(subscription: StripeObject) -> bool:
    return bool(subscription.get("trial_start") or subscription.get("trial_end"))


def row_of(subscription: StripeObject, plans: Sequence[Plan], as_of: datetime | None) -> Row:
    """A subscription as Stripe renders it, in any API release, as a row.

    as_of: the moment on Stripe's clock that it describes.
    """
    item = main_item(subscription, plans)
    price, product = _price(item)
    pause = subscription.get("pause_collection") or {}
    return {
        "stripe_customer_id": customer_of(subscription),
        "stripe_subscription_id": subscription["id"],
        "status": subscription["status"],
        "plan": plan_name(price, product, plans),
        "price_id": price,
        "product_id": product,
        "quantity": item.get("quantity"),
        "collection_method": subscription.get("collection_method"),
        "current_period_end": _iso(_period_end(subscription, item)),
        "cancel_at": _iso(subscription.get("cancel_at")),
        "canceled_at": _iso(subscription.get("canceled_at")),
        "trial_end": _iso(subscription.get("trial_end")),
        "ended_at": _iso(subscription.get("ended_at")),
        "pause_resumes_at": _iso(pause.get("resumes_at")),
        "cancel_at_period_end": bool(subscription.get("cancel_at_period_end")),
        "pause_collection": pause.get("behavior"),
        "paused_reason": _paused_reason(subscription),
        "livemode": subscription.get("livemode"),
        "items": [_row_item(subscription, item) for item in items_of(subscription)],
        "as_of": None if as_of is None else as_of.isoformat(),
    }


def items_of(subscription: StripeObject) -> list[StripeObject]:
    return (subscription.get("items") or {}).get("data") or []


def has_more_items(subscription: StripeObject) -> bool:
    """Whether Stripe showed only the first of its items."""
    return bool((subscription.get("items") or {}).get("has_more"))


def _row_item(subscription: StripeObject, item: StripeObject) -> dict[str, Any]:
    price, product = _price(item)
    return {
        "price_id": price,
        "product_id": product,
        "quantity": item.get("quantity"),
        "current_period_end": _iso(_period_end(subscription, item)),
    }


def _price(item: StripeObject) -> tuple[str | None, str | None]:
    """The ids of an item's price and product; very old payloads call the price a plan."""
    price = item.get("price") or item.get("plan") or {}
    return price.get("id"), _id(price.get("product"))


def main_item(subscription: StripeObject, plans: Sequence[Plan]) -> StripeObject:
    """The item with the highest plan, else the first; {} where there is none."""
    items = items_of(subscription)
    return max(items, key=lambda item: rank_of(*_price(item), plans), default={})


def _period_end(subscription: StripeObject, item: StripeObject) -> int | None:
    """On the item since Stripe's release basil, on the subscription before."""
    end: int | None = item.get("current_period_end") or subscription.get("current_period_end")
    return end


def _paused_reason(subscription: StripeObject) -> str | None:
    paused = (subscription.get("status_details") or {}).get("paused") or {}
    if subscription["status"] != "paused":
        return None
    return (paused.get("subscription") or {}).get("type")


def _iso(timestamp: int | None) -> str | None:
    return None if timestamp is None else datetime.fromtimestamp(timestamp, UTC).isoformat()


def rank_of(price: str | None, product: str | None, plans: Sequence[Plan]) -> int:
    """The place of the plan in the list, -1 for none. A price that is listed beats its product."""
    for rank, plan in enumerate(plans):
        if price in plan.prices:
            return rank
    for rank, plan in enumerate(plans):
        if product in plan.products:
            return rank
    return -1


def plan_name(price: str | None, product: str | None, plans: Sequence[Plan]) -> str | None:
    rank = rank_of(price, product, plans)
    return None if rank < 0 else plans[rank].name


def differences(row: Row, said: Row) -> dict[str, tuple[Any, Any]]:
    """The columns in which a row is not what Stripe says: name -> (here, at Stripe)."""
    pairs = {
        column: (_comparable(column, row[column]), _comparable(column, said[column]))
        for column in COLUMNS
        if column not in ("stripe_subscription_id", "as_of")
    }
    return {column: (here, there) for column, (here, there) in pairs.items() if here != there}


def _comparable(column: str, value: Any) -> Any:
    if column == "cancel_at_period_end":
        return bool(value)
    return utc(value) if column in _TIMES else value


def utc(value: str | None) -> str | None:
    """A time as Postgres renders it, as ISO-8601 with Z and whole seconds."""
    return None if value is None else moment(value).isoformat(timespec="seconds")[:19] + "Z"


def moment(value: str) -> datetime:
    """A time as Postgres renders it; a column that could not be given a zone is in UTC. People
    write `infinity` by hand, and more that Python has no date for: the last one or the first.
    """
    try:
        found = datetime.fromisoformat(value)
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        past = value.startswith(("-", "0001")) or value.endswith("BC")
        return (datetime.min if past else datetime.max).replace(tzinfo=UTC)
