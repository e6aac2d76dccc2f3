"""What happens at Stripe when an owner leaves: their open checkout sessions expire, and what runs
ends as ON_OWNER_DELETED says. Everything here can be done twice, and is when something was away.
"""

import logging
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from portal_service import deadline, moving, open_session
from portal_service.entitlement import Account
from portal_service.errors import ServiceError
from portal_service.log import log
from portal_service.owner import named_owner
from portal_service.services import Services
from portal_service.stripe_errors import CustomerMissing, NotAtStripe, StripeRefused
from portal_service.subscription import ENDED, StripeObject, is_ours, is_running_at_stripe, items_of

Outcome = Literal["scheduled", "canceled", "kept", "ignored"]


@dataclass(frozen=True)
class Held:
    """What a customer of the owner's has at Stripe and has not ended.

    others: subscriptions of somebody else's, which are left alone.
    """

    customer: str
    ours: list[StripeObject]
    others: list[StripeObject]

    @classmethod
    def by(cls, services: Services, account: Account, customer: str) -> "Held":
        """Raises CustomerMissing."""
        listed, _ = services.stripe.subscriptions_of(customer)
        going_on = [one for one in listed if one["status"] not in ENDED]
        rows = services.database.rows_by_id([one["id"] for one in going_on]) if going_on else {}
        held = cls(customer, [], [])
        for one in going_on:
            owner = rows.get(one["id"], {}).get("clerk_owner_id")
            mine = owner in (None, account.clerk_owner_id) and _is_ours(services, account, one)
            (held.ours if mine else held.others).append(one)
        return held


def leave(services: Services, clerk_owner_id: str) -> Outcome:
    """End what an owner has, and refresh the rows at once. Once this returns, it is done.

    Returns what became of the subscriptions: `scheduled` where any goes on until its period ends,
    else `canceled`, else `kept`; `ignored` where none was left. Raises ServiceError, OutOfTime.
    """
    done, refused = set[Outcome](), None
    account = account_of(services, clerk_owner_id)
    for customer in moving.own_customers(account):
        try:
            done |= _leave_customer(services, account, customer)
        except CustomerMissing:
            services.mirror.mark_gone(account, customer)
        except StripeRefused as error:  # what the others have ends all the same
            refused = error
    if refused:
        raise refused
    outcomes: tuple[Outcome, ...] = ("scheduled", "canceled", "kept")
    return next((outcome for outcome in outcomes if outcome in done), "ignored")


def account_of(services: Services, clerk_owner_id: str) -> Account:
    """The owner's account, with the customers of rows that a table older than ours has without."""
    account = services.database.account(clerk_owner_id)
    without = [
        r for r in account.rows if r["stripe_subscription_id"] and not r["stripe_customer_id"]
    ]
    for row in without:
        services.mirror.refresh(row["stripe_subscription_id"])
    return services.database.account(clerk_owner_id) if without else account


def _leave_customer(services: Services, account: Account, customer: str) -> set[Outcome]:
    # In this order: whoever pays in between is seen as a running subscription, or an open session
    # refuses to expire.
    _expire_sessions(services, customer)
    held = Held.by(services, account, customer)
    done, refused = dict[str, Outcome](), None
    for subscription in held.ours:
        try:
            done[subscription["id"]] = _end(services, subscription)
        except StripeRefused as error:  # the others end all the same
            refused = error
    services.mirror.refresh_customer(account, customer)
    if refused:
        log(logging.ERROR, "a subscription of an owner who left could not be ended",
            owner=account.clerk_owner_id, customer=customer)  # fmt: skip
        raise refused
    moving.mark_deleted(services, customer)
    log(logging.INFO, "an owner left", owner=account.clerk_owner_id, customer=customer, done=done)
    if held.others:
        log(
            logging.WARNING,
            "subscriptions that are none of ours run for a customer whose owner left",
            owner=account.clerk_owner_id,
            customer=customer,
            subscriptions=[one["id"] for one in held.others],
            cure="End them in Stripe's dashboard if nobody needs them",
        )
    return set(done.values())


def _is_ours(services: Services, account: Account, subscription: StripeObject) -> bool:
    """One of our plans, or one that our checkout made for this owner."""
    if services.mirror.whose.is_ignored(subscription):
        return False
    named = named_owner(subscription, services.settings)
    return is_ours(subscription, services.settings.plans) or named == account.clerk_owner_id


def _expire_sessions(services: Services, customer: str) -> None:
    """One that was paid this very moment refuses to expire; its subscription is listed then."""
    for _ in deadline.rounds():
        try:
            return open_session.close(services, customer)
        except ServiceError as error:
            if error.code != "already_subscribed":
                raise


def _end(services: Services, subscription: StripeObject) -> Outcome:
    """What Stripe no longer has, or has ended, is done; so is what was set to end before."""
    name, how = subscription["id"], services.settings.on_owner_deleted
    if how == "keep":
        return "kept"
    schedule = subscription.get("schedule")
    if schedule:  # Stripe refuses to change the end of what a schedule manages
        with suppress(NotAtStripe, StripeRefused):
            services.stripe.release_schedule(
                schedule["id"] if isinstance(schedule, dict) else schedule
            )
    at_once = how == "cancel_now" or not is_running_at_stripe(subscription)
    try:
        if at_once:
            services.stripe.cancel_subscription(name)
        elif schedule or not _ends_with_its_period(subscription):
            services.stripe.update_subscription(name, {"cancel_at_period_end": True})
    except StripeRefused:
        if outcome := _after_a_refusal(services, name, at_once):
            return outcome
        raise
    return "canceled" if at_once else "scheduled"


def _after_a_refusal(services: Services, name: str, at_once: bool) -> Outcome | None:
    """What became of it all the same: somebody else may have ended it meanwhile, and what is paused
    may have no period to end with. None where neither is so.
    """
    try:
        now, _ = services.stripe.subscription(name)
    except NotAtStripe:  # test data, which can be deleted
        return "canceled"
    if now["status"] in ENDED:
        return "canceled"
    if not at_once and _ends_with_its_period(now):
        return "scheduled"
    if not at_once and now["status"] == "paused":
        services.stripe.cancel_subscription(name)
        return "canceled"
    return None


def _ends_with_its_period(subscription: StripeObject) -> bool:
    """Whether it is set to end before it is charged again. The portal sets a date and no flag."""
    if subscription.get("cancel_at_period_end"):
        return True
    ends = [item.get("current_period_end") or 0 for item in items_of(subscription)]
    ends.append(subscription.get("current_period_end") or 0)
    return bool(subscription.get("cancel_at")) and subscription["cancel_at"] <= max(ends)
