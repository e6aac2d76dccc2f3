"""The domain, pure: a Stripe subscription -> a row, rows -> who is entitled to what. No I/O.

A row is what the table `subscriptions` holds, as JSON: times are ISO-8601 strings or None.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from portal_service.config import Plan

Row = dict[str, Any]
StripeObject = dict[str, Any]

FREE = "free"
ENDED = frozenset({"canceled", "incomplete_expired"})
KNOWN_STATUSES = ENDED | {"active", "trialing", "past_due", "unpaid", "incomplete", "paused"}
_PAUSED_WITHOUT_PAYMENT = frozenset(
    {None, "trial_end_without_payment_method", "first_payment_failure", "final_payment_failure"}
)

# The columns that Stripe fills; `as_of` is the moment on Stripe's clock that they describe.
COLUMNS = (
    "stripe_customer_id", "stripe_subscription_id", "status", "plan", "price_id", "product_id",
    "quantity", "collection_method", "current_period_end", "cancel_at", "canceled_at", "trial_end",
    "ended_at", "pause_resumes_at", "cancel_at_period_end", "pause_collection", "paused_reason",
    "livemode", "as_of",
)  # fmt: skip


@dataclass(frozen=True)
class Account:
    """What the database holds of one Clerk user, in the mode of our Stripe key."""

    clerk_user_id: str
    user_id: str | None
    linked_customer: str | None
    rows: tuple[Row, ...]


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


def clerk_user_of(stripe_object: StripeObject) -> str | None:
    return (stripe_object.get("metadata") or {}).get("clerk_user_id") or None


def is_ours(subscription: StripeObject, plans: Sequence[Plan]) -> bool:
    """Whether one of its items has one of our prices or products."""
    return any(_rank(*_price(item), plans) >= 0 for item in _items(subscription))


def row_of(subscription: StripeObject, plans: Sequence[Plan], as_of: datetime | None) -> Row:
    """A subscription as Stripe renders it, in any API release, as a row.

    as_of: the moment on Stripe's clock that it describes.
    """
    item = _main_item(_items(subscription), plans)
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
        "current_period_end": _iso(_period_end(subscription)),
        "cancel_at": _iso(subscription.get("cancel_at")),
        "canceled_at": _iso(subscription.get("canceled_at")),
        "trial_end": _iso(subscription.get("trial_end")),
        "ended_at": _iso(subscription.get("ended_at")),
        "pause_resumes_at": _iso(pause.get("resumes_at")),
        "cancel_at_period_end": bool(subscription.get("cancel_at_period_end")),
        "pause_collection": pause.get("behavior"),
        "paused_reason": _paused_reason(subscription),
        "livemode": subscription.get("livemode"),
        "as_of": None if as_of is None else as_of.isoformat(),
    }


def _items(subscription: StripeObject) -> list[StripeObject]:
    return (subscription.get("items") or {}).get("data") or []


def _price(item: StripeObject) -> tuple[str | None, str | None]:
    """The ids of an item's price and product; very old payloads call the price a plan."""
    price = item.get("price") or item.get("plan") or {}
    return price.get("id"), _id(price.get("product"))


def _main_item(items: list[StripeObject], plans: Sequence[Plan]) -> StripeObject:
    """The item with the highest plan, else the first."""
    return max(items, key=lambda item: _rank(*_price(item), plans), default={})


def _period_end(subscription: StripeObject) -> int | None:
    """On the items since Stripe's release basil, on the subscription before; the latest counts."""
    ends = [end for item in _items(subscription) if (end := item.get("current_period_end"))]
    return max(ends, default=subscription.get("current_period_end"))


def _paused_reason(subscription: StripeObject) -> str | None:
    paused = (subscription.get("status_details") or {}).get("paused") or {}
    if subscription["status"] != "paused":
        return None
    return (paused.get("subscription") or {}).get("type")


def _iso(timestamp: int | None) -> str | None:
    return None if timestamp is None else datetime.fromtimestamp(timestamp, UTC).isoformat()


def _rank(price: str | None, product: str | None, plans: Sequence[Plan]) -> int:
    """The place of the plan in the list, -1 for none. A price that is listed beats its product."""
    for rank, plan in enumerate(plans):
        if price in plan.prices:
            return rank
    for rank, plan in enumerate(plans):
        if product in plan.products:
            return rank
    return -1


def plan_name(price: str | None, product: str | None, plans: Sequence[Plan]) -> str | None:
    rank = _rank(price, product, plans)
    return None if rank < 0 else plans[rank].name


def _row_rank(row: Row, plans: Sequence[Plan]) -> int:
    """As `_rank`; a row of the tutorial has only the plan's name, which counts until a refresh."""
    if row["price_id"] is None and row["product_id"] is None:
        return next((rank for rank, plan in enumerate(plans) if plan.name == row["plan"]), -1)
    return _rank(row["price_id"], row["product_id"], plans)


def is_live(row: Row) -> bool:
    """Whether a second subscription beside it would charge twice."""
    if row["stripe_subscription_id"] is None or row["status"] in (*ENDED, "incomplete"):
        return False
    if row["status"] == "paused":
        return row["paused_reason"] not in (None, "trial_end_without_payment_method")
    return True


def is_subscribed(row: Row, plans: Sequence[Plan], entitled: Iterable[str]) -> bool:
    return row["status"] in entitled and _row_rank(row, plans) >= 0


def needs_payment(row: Row) -> bool:
    if row["status"] == "paused":
        return row["paused_reason"] in _PAUSED_WITHOUT_PAYMENT
    return row["status"] in ("past_due", "unpaid", "incomplete")


def has_unknown_price(row: Row, plans: Sequence[Plan]) -> bool:
    """Whether somebody may be paying for something that STRIPE_PLANS does not list."""
    unpaid = row["status"] in ENDED or row["stripe_subscription_id"] is None or _says_free(row)
    return not unpaid and _row_rank(row, plans) < 0


def _says_free(row: Row) -> bool:
    """The tutorial's word for a price that it did not know."""
    return row["price_id"] is None and row["product_id"] is None and row["plan"] == FREE


def best_row(account: Account, plans: Sequence[Plan], entitled: Iterable[str]) -> Row | None:
    """The one row that speaks for the user; several are normal."""

    def merit(row: Row) -> tuple[bool, bool, int, str, str]:
        return (
            is_subscribed(row, plans, entitled),
            is_live(row),
            _row_rank(row, plans),
            _utc(row["current_period_end"]) or "",
            row["stripe_subscription_id"] or "",
        )

    return max(account.rows, key=merit, default=None)


def live_row(account: Account, plans: Sequence[Plan], entitled: Iterable[str]) -> Row | None:
    best = best_row(account, plans, entitled)
    if best is not None and is_live(best):
        return best
    live = [row for row in account.rows if is_live(row)]
    only_live = Account(account.clerk_user_id, account.user_id, None, tuple(live))
    return best_row(only_live, plans, entitled)


def customers_of(account: Account) -> list[str]:
    """Every customer that the account knows, the linked one first; nearly always one."""
    ids = [account.linked_customer, *(row["stripe_customer_id"] for row in account.rows)]
    return list(dict.fromkeys(customer for customer in ids if customer))


def status_object(
    account: Account, plans: Sequence[Plan], entitled: Iterable[str], livemode: bool
) -> dict[str, Any]:
    """What a frontend shows. The rules are the table in docs/entitlement.md."""
    row = best_row(account, plans, entitled)
    return {
        "subscribed": row is not None and is_subscribed(row, plans, entitled),
        "plan": _shown_plan(row, plans, entitled),
        "status": row and row["status"],
        "price_id": row and row["price_id"],
        "quantity": row and row["quantity"],
        "current_period_end": row and _utc(row["current_period_end"]),
        "cancel_at": row and _utc(row["cancel_at"]),
        "cancel_at_period_end": row is not None and bool(row["cancel_at_period_end"]),
        "ended_at": row and _utc(row["ended_at"]),
        "trial_end": row and _utc(row["trial_end"]),
        "paused_reason": row and row["paused_reason"],
        "can_manage_billing": bool(customers_of(account)),
        "needs_payment": row is not None and needs_payment(row),
        "livemode": livemode,
    }


def _shown_plan(row: Row | None, plans: Sequence[Plan], entitled: Iterable[str]) -> str | None:
    if row is None or row["status"] in ENDED or _says_free(row):
        return FREE
    if row["stripe_subscription_id"] is None and not is_subscribed(row, plans, entitled):
        return FREE
    rank = _row_rank(row, plans)
    return plans[rank].name if rank >= 0 else None


def _utc(value: str | None) -> str | None:
    """A time as Postgres renders it, as ISO-8601 with Z and whole seconds."""
    if value is None:
        return None
    return datetime.fromisoformat(value).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
