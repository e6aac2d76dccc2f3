"""Rows -> who is entitled to what: which row speaks, what a frontend shows. Pure. The rules are the
table in docs/entitlement.md.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from portal_service.config import Plan
from portal_service.subscription import (
    ENDED,
    FREE,
    Row,
    all_ignored,
    is_running_status,
    moment,
    plan_name,
    rank_of,
    utc,
)

_PAUSED_WITHOUT_PAYMENT = frozenset(
    {None, "trial_end_without_payment_method", "first_payment_failure", "final_payment_failure"}
)


@dataclass(frozen=True)
class Account:
    """What the database holds of one owner, in the mode of our Stripe key.

    clerk_owner_id: Clerk's id of who pays. user_id: what the app calls them.
    rows: those that count, the best first.
    ignored_rows: of STRIPE_IGNORED_PRODUCTS, whose customers count alone.
    gone_customers: customers that Stripe no longer has.
    """

    clerk_owner_id: str
    user_id: str | None
    linked_customer: str | None
    rows: tuple[Row, ...]
    ignored_rows: tuple[Row, ...] = ()
    gone_customers: frozenset[str] = frozenset()

    @property
    def best_row(self) -> Row | None:
        return self.rows[0] if self.rows else None


# The account of a caller for whom nobody pays.
NOBODYS = Account("", None, None, ())


def row_items(row: Row) -> list[dict[str, Any]]:
    """What a row's subscription consists of; a row from before the column has its one price. What
    people wrote by hand and is no item is passed over.
    """
    items = row.get("items")
    found = (
        [_item(one) for one in items if isinstance(one, dict)] if isinstance(items, list) else []
    )
    if found:
        return found
    return [_item(row)] if row["price_id"] or row["product_id"] else []


def _item(given: dict[str, Any]) -> dict[str, Any]:
    price, product, quantity = (given.get(n) for n in ("price_id", "product_id", "quantity"))
    return {
        "price_id": price if isinstance(price, str) else None,
        "product_id": product if isinstance(product, str) else None,
        "quantity": quantity if isinstance(quantity, int) else None,
    }


def is_ignored_row(row: Row, plans: Sequence[Plan], ignored: Collection[str]) -> bool:
    if not ignored:  # as nearly everywhere, and each row of each answer comes through here
        return False
    items = row_items(row)
    ranks = [rank_of(item["price_id"], item["product_id"], plans) for item in items]
    return all_ignored([item["product_id"] for item in items], ignored) and max(ranks) < 0


def _row_rank(row: Row, plans: Sequence[Plan]) -> int:
    """As `_rank`; a row of the tutorial has only the plan's name, which counts until a refresh."""
    if not (row["price_id"] or row["product_id"]):
        return next((rank for rank, plan in enumerate(plans) if plan.name == row["plan"]), -1)
    return rank_of(row["price_id"], row["product_id"], plans)


def is_running(row: Row, plans: Sequence[Plan], entitled: Iterable[str]) -> bool:
    """Whether a second subscription beside it would charge twice."""
    if not row["stripe_subscription_id"]:  # of a table older than ours
        return is_subscribed(row, plans, entitled)
    return is_running_status(row["status"], row["paused_reason"])


def is_subscribed(row: Row, plans: Sequence[Plan], entitled: Iterable[str]) -> bool:
    return row["status"] in entitled and _row_rank(row, plans) >= 0


def needs_payment(row: Row) -> bool:
    if row["status"] == "paused":
        return row["paused_reason"] in _PAUSED_WITHOUT_PAYMENT
    return row["status"] in ("past_due", "unpaid", "incomplete")


def has_unknown_price(row: Row, plans: Sequence[Plan]) -> bool:
    """Whether somebody may be paying for something that STRIPE_PLANS does not list."""
    unpaid = row["status"] in ENDED or not row["stripe_subscription_id"] or _says_free(row)
    return not unpaid and _row_rank(row, plans) < 0


def _says_free(row: Row) -> bool:
    """The tutorial's word for a price that it did not know."""
    return not (row["price_id"] or row["product_id"]) and row["plan"] == FREE


def by_merit(
    rows: Iterable[Row], plans: Sequence[Plan], entitled: Iterable[str]
) -> tuple[Row, ...]:
    """The rows, the best first: that one speaks for the owner. Several are normal."""

    def merit(row: Row) -> tuple[bool, bool, bool, int, str, str]:
        return (
            is_subscribed(row, plans, entitled),
            is_running(row, plans, entitled),
            needs_payment(row),
            _row_rank(row, plans),
            utc(row["current_period_end"]) or "",
            row["stripe_subscription_id"] or "",
        )

    return tuple(sorted(rows, key=merit, reverse=True))


def running_rows(account: Account, plans: Sequence[Plan], entitled: Iterable[str]) -> list[Row]:
    """Those that are running, the best first."""
    return [row for row in account.rows if is_running(row, plans, entitled)]


def customers_of(account: Account) -> list[str]:
    """Every customer that the account knows, the linked one first; gone ones too."""
    rows = (*account.rows, *account.ignored_rows)
    ids = [account.linked_customer, *(row["stripe_customer_id"] for row in rows)]
    return list(dict.fromkeys(customer for customer in ids if customer))


def present_customers_of(account: Account) -> list[str]:
    """As `customers_of`, without those that Stripe no longer has."""
    return [c for c in customers_of(account) if c not in account.gone_customers]


def has_outlived_itself(row: Row, now: datetime) -> bool:
    """Whether what the row says must have changed without a webhook: its own date is past, and
    nothing came from Stripe for an hour.
    """
    if row["status"] in ENDED or not row["stripe_subscription_id"]:
        return False
    if row["as_of"] and now - moment(row["as_of"]) < timedelta(hours=1):
        return False
    dates = [
        (row["cancel_at"], timedelta(hours=1)),
        (row["trial_end"] if row["status"] == "trialing" else None, timedelta(hours=1)),
        (row["current_period_end"], timedelta(days=1)),
    ]
    return any(date and now - moment(date) > grace for date, grace in dates)


def status_object(
    account: Account,
    plans: Sequence[Plan],
    entitled: Iterable[str],
    *,
    livemode: bool,
    may_spend: bool = True,
    offers_trial: bool = False,
) -> dict[str, Any]:
    """What a frontend shows. The rules are the table in docs/entitlement.md.

    may_spend: whether the caller may use the owner's money.
    offers_trial: whether checkout begins with a trial.
    """
    row = account.best_row
    running = bool(running_rows(account, plans, entitled))
    had_trial = any(one["trial_end"] for one in account.rows)
    return {
        "subscribed": row is not None and is_subscribed(row, plans, entitled),
        "plan": _shown_plan(row, plans, entitled),
        "status": row and row["status"],
        "price_id": row and (row["price_id"] or None),
        "quantity": row and row["quantity"],
        "items": [_with_plan(item, plans) for item in row_items(row)] if row else [],
        "current_period_end": row and utc(row["current_period_end"]),
        "cancel_at": row and utc(row["cancel_at"]),
        "cancel_at_period_end": row is not None and bool(row["cancel_at_period_end"]),
        "ended_at": row and utc(row["ended_at"]),
        "trial_end": row and utc(row["trial_end"]),
        "trial_available": offers_trial and not running and not had_trial,
        "paused_reason": row and row["paused_reason"],
        "pause_collection": row and row["pause_collection"],
        "can_manage_billing": may_spend and bool(present_customers_of(account)),
        "can_checkout": may_spend and not running,
        "needs_payment": row is not None and needs_payment(row),
        "livemode": livemode,
    }


def _with_plan(item: dict[str, Any], plans: Sequence[Plan]) -> dict[str, Any]:
    return {**item, "plan": plan_name(item["price_id"], item["product_id"], plans)}


def _shown_plan(row: Row | None, plans: Sequence[Plan], entitled: Iterable[str]) -> str | None:
    if row is None or row["status"] in ENDED or _says_free(row):
        return FREE
    if not row["stripe_subscription_id"] and not is_subscribed(row, plans, entitled):
        return FREE
    rank = _row_rank(row, plans)
    return plans[rank].name if rank >= 0 else None
