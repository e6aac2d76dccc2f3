"""Subscription schedules, as far as they stand in the way of a subscription's end: one that manages
a subscription refuses every change of it, until it is released. They have no phases here."""

from typing import Any

import stripe

from sandbox.stripe import shapes
from sandbox.stripe.errors import StripeError
from sandbox.stripe.lists import stored
from sandbox.stripe.state import StripeState

Json = dict[str, Any]

ENDINGS = ("cancel_at", "cancel_at_period_end")


def attach(state: StripeState, subscription_id: str) -> Json:
    """Give a subscription a schedule, as a downgrade in the portal does."""
    with state.lock:
        subscription = state.subscriptions[subscription_id]
        schedule: Json = {
            **shapes.blank(stripe.SubscriptionSchedule),
            "id": shapes.new_id("sub_sched"),
            "object": "subscription_schedule",
            "billing_mode": {"type": "flexible"},
            "created": state.now(),
            "customer": subscription["customer"],
            "end_behavior": "release",
            "livemode": state.livemode,
            "metadata": {},
            "phases": [],
            "status": "active",
            "subscription": subscription_id,
        }
        state.schedules[schedule["id"]] = schedule
        subscription["schedule"] = schedule["id"]
        return schedule


def release(state: StripeState, params: Json, id: str) -> Json:
    """The call: the subscription goes on by itself, without an end that the schedule gave it."""
    schedule = stored(state, state.schedules, "subscription_schedule", id, "schedule", 404)
    if schedule["status"] != "active":
        raise StripeError(
            "You cannot release a subscription schedule that is currently in the "
            f"`{schedule['status']}` status. It must be `active` or `not_started`."
        )
    subscription = schedule["subscription"]
    schedule.update(
        released_at=state.now(),
        released_subscription=subscription,
        status="released",
        subscription=None,
    )

    def let_go(subscription: Json) -> None:
        subscription.update(schedule=None, cancel_at=None)

    before, after, _ = state.change(subscription, let_go)
    state.announce("updated", before, after)
    return schedule


def check(subscription: Json, params: Json) -> None:
    """Refuse to change the end of what a schedule manages."""
    if subscription["schedule"] and any(name in params for name in ENDINGS):
        raise StripeError(
            f"The subscription is managed by the subscription schedule "
            f"`{subscription['schedule']}`, and updating any cancelation behavior directly is not "
            "allowed. Please update the schedule instead."
        )
