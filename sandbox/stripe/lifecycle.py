"""What can happen to a subscription: one function per action, each turns the subscription it is
given into the next one and says which events Stripe sends. Knows no clock, lock or network."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sandbox.stripe import pricing

Json = dict[str, Any]

ENDED = ("canceled", "incomplete_expired")
OWING = ("past_due", "unpaid", "incomplete")
# The reasons for which Stripe pauses by itself; a payment ends such a pause.
PAUSED_FOR_PAYMENT = (
    "trial_end_without_payment_method",
    "first_payment_failure",
    "final_payment_failure",
)


@dataclass(frozen=True)
class Step:
    """What followed from an action: the event of the subscription, the end of an invoice."""

    event: str | None = None  # updated, deleted, paused, resumed
    invoice: str | None = None  # paid, payment_failed


@dataclass(frozen=True)
class Context:
    """What an action may know besides the subscription."""

    now: int
    prices: dict[str, Json]


def act(subscription: Json, action: str, more: dict[str, Any], context: Context) -> Step:
    """Change `subscription` in place. Raises ValueError, with a sentence, for what can't be."""
    if action not in ACTIONS:
        raise ValueError(f"action is one of {', '.join(ACTIONS)}")
    if subscription["status"] in ENDED:
        raise ValueError(f"{subscription['id']} has ended: it is {subscription['status']}")
    known = list(inspect.signature(ACTIONS[action]).parameters)[2:]
    for name in more:
        if name not in known:
            takes = ", ".join(known) or "nothing more"
            raise ValueError(f"{action} takes {takes}, not {name}")
    return ACTIONS[action](subscription, context, **more)


def period_end(subscription: Json) -> int:
    return max(int(item["current_period_end"]) for item in subscription["items"]["data"])


def begin(subscription: Json, status: str, now: int) -> None:
    """Give a new subscription the fields that its status asks for."""
    subscription["status"] = status
    if status == "trialing":
        subscription["trial_start"], subscription["trial_end"] = now, period_end(subscription)
        subscription["billing_cycle_anchor"] = subscription["trial_end"]
    if status == "paused":
        _pause(subscription, now, "pause_requested")
    if status in ENDED:
        subscription["ended_at"] = now
    if status == "canceled":
        subscription["canceled_at"] = now


def cancel_at_period_end(subscription: Json, context: Context) -> Step:
    if subscription["cancel_at"] is not None:
        raise ValueError(f"{subscription['id']} is already set to end")
    if subscription["status"] == "paused":
        raise ValueError(f"{subscription['id']} is paused and has no period to end with")
    # The difference that took many systems by surprise: in flexible billing mode the portal sets
    # a date, and leaves the flag alone.
    subscription["cancel_at"] = period_end(subscription)
    subscription["cancel_at_period_end"] = subscription["billing_mode"]["type"] == "classic"
    _asked_to_cancel(subscription, context.now)
    return Step("updated")


def resume(subscription: Json, context: Context) -> Step:
    if subscription["status"] == "paused":
        subscription["status"], subscription["status_details"] = "active", None
        return Step("resumed")
    if subscription["pause_collection"]:
        subscription["pause_collection"] = None
        return Step("updated")
    if subscription["cancel_at"] is None:
        raise ValueError(f"{subscription['id']} is neither paused nor set to end")
    subscription["cancel_at"], subscription["cancel_at_period_end"] = None, False
    subscription["canceled_at"] = None
    subscription["cancellation_details"] = {**subscription["cancellation_details"], "reason": None}
    return Step("updated")


def cancel_now(subscription: Json, context: Context) -> Step:
    if subscription["canceled_at"] is None:
        _asked_to_cancel(subscription, context.now)
    _end(subscription, context.now)
    return Step("deleted")


def fail_payment(subscription: Json, context: Context, status: str = "past_due") -> Step:
    """status: what the account's settings make of it, past_due or unpaid."""
    if status not in ("past_due", "unpaid"):
        raise ValueError("a failed payment leads to past_due or unpaid")
    if subscription["status"] not in ("active", "trialing", "past_due", "unpaid"):
        raise ValueError(f"nothing is charged while {subscription['id']} is {_is(subscription)}")
    changed = subscription["status"] != status
    subscription["status"] = status
    return Step("updated" if changed else None, "payment_failed")


def pay(subscription: Json, context: Context) -> Step:
    paused = subscription["status"] == "paused" and _paused_reason(subscription)
    if subscription["status"] not in OWING and paused not in PAUSED_FOR_PAYMENT:
        raise ValueError(f"{subscription['id']} owes nothing: it is {_is(subscription)}")
    subscription["status"], subscription["status_details"] = "active", None
    return Step("resumed" if paused else "updated", "paid")


def change_plan(
    subscription: Json, context: Context, price: str | None = None, quantity: int | None = None
) -> Step:
    item = subscription["items"]["data"][0]
    chosen = price or _another(item["price"], context.prices)
    after = context.prices.get(chosen)
    if after is None or not after["active"] or not after["recurring"]:
        raise ValueError(f"there is no active price {chosen}")
    before = item["price"]
    pricing.set_price(item, after, quantity or item.get("quantity"))
    if subscription["status"] != "trialing" and not _same_period(before, after):
        # A period of another length begins at once; a trial goes on.
        subscription["billing_cycle_anchor"] = item["current_period_start"] = context.now
        item["current_period_end"] = pricing.period_after(context.now, after["recurring"])
    return Step("updated")


def pause(
    subscription: Json,
    context: Context,
    reason: str = "pause_requested",
    behavior: str | None = None,
    resumes_at: int | None = None,
) -> Step:
    """With `behavior`, only the collection of payments is paused, which is another thing."""
    if behavior:
        if behavior not in ("keep_as_draft", "mark_uncollectible", "void"):
            raise ValueError("behavior is keep_as_draft, mark_uncollectible or void")
        subscription["pause_collection"] = {"behavior": behavior, "resumes_at": resumes_at}
        return Step("updated")
    if subscription["status"] == "paused":
        raise ValueError(f"{subscription['id']} is paused already")
    if reason not in ("pause_requested", "system", *PAUSED_FOR_PAYMENT):
        raise ValueError(f"Stripe does not pause for the reason {reason}")
    _pause(subscription, context.now, reason)
    return Step("paused")


def advance_period(subscription: Json, context: Context) -> Step:
    if subscription["status"] in ("paused", "incomplete"):
        raise ValueError(f"no period begins while {subscription['id']} is {_is(subscription)}")
    # Items with periods of unequal length: the shortest passes.
    items = subscription["items"]["data"]
    end = min(item["current_period_end"] for item in items)
    if subscription["cancel_at"] is not None and subscription["cancel_at"] <= end:
        _end(subscription, context.now)
        return Step("deleted")
    anchor = subscription["billing_cycle_anchor"]
    for item in items:
        if item["current_period_end"] == end:
            recurring = item["price"]["recurring"]
            item["current_period_start"] = end
            item["current_period_end"] = pricing.period_after(end, recurring, anchor)
    if subscription["status"] == "trialing":
        subscription["status"] = "active"
    if subscription["status"] == "active":
        return Step("updated", "paid")
    return Step("updated", "payment_failed")


def expire(subscription: Json, context: Context) -> Step:
    """23 hours without the first payment."""
    if subscription["status"] != "incomplete":
        raise ValueError(f"only an incomplete subscription expires, not one {_is(subscription)}")
    subscription["status"], subscription["ended_at"] = "incomplete_expired", context.now
    return Step("updated")


ACTIONS: dict[str, Callable[..., Step]] = {
    "cancel_at_period_end": cancel_at_period_end,
    "resume": resume,
    "cancel_now": cancel_now,
    "fail_payment": fail_payment,
    "pay": pay,
    "change_plan": change_plan,
    "pause": pause,
    "advance_period": advance_period,
    "expire": expire,
}


def _asked_to_cancel(subscription: Json, now: int) -> None:
    subscription["canceled_at"] = now
    details = subscription["cancellation_details"]
    subscription["cancellation_details"] = {**details, "reason": "cancellation_requested"}


def _end(subscription: Json, now: int) -> None:
    subscription["status"], subscription["ended_at"] = "canceled", now
    subscription["pause_collection"] = subscription["status_details"] = None


def _pause(subscription: Json, now: int, reason: str) -> None:
    subscription["status"] = "paused"
    paused = {"type": "subscription", "transitioned_at": now, "subscription": {"type": reason}}
    subscription["status_details"] = {"paused": paused}


def _paused_reason(subscription: Json) -> str:
    return str(subscription["status_details"]["paused"]["subscription"]["type"])


def _is(subscription: Json) -> str:
    return str(subscription["status"])


def _another(current: Json, prices: dict[str, Json]) -> str:
    """The next price of the catalogue that is one of the service's plans, of the same interval."""
    plans = [
        id
        for id, price in prices.items()
        if price["active"] and id != "price_other" and _same_period(price, current)
    ]
    place = plans.index(current["id"]) if current["id"] in plans else -1
    return plans[(place + 1) % len(plans)]


def _same_period(one: Json, other: Json) -> bool:
    """Whether two prices are charged alike: both or none by use, with the same interval."""
    names = ("interval", "interval_count", "usage_type")
    return all(
        (one["recurring"] or {}).get(name) == (other["recurring"] or {}).get(name) for name in names
    )
