"""Whose a subscription is: whom Stripe's metadata names, and whether it is any business of ours."""

from collections.abc import Iterable, Sequence

from portal_service.config import Plan, Settings
from portal_service.subscription import (
    StripeObject,
    clerk_owner_of,
    clerk_owner_of_customer,
    customer_of,
    is_ignored,
    is_ours,
)
from portal_service.supabase_db import Database


def named_owner(
    subscription: StripeObject, plans: Sequence[Plan], of_sessions: Iterable[str] = ()
) -> str | None:
    """Whom the metadata names: the subscription's, its checkout sessions', its customer's. It
    counts only on a subscription to one of our plans: others may write anything there.
    """
    if not is_ours(subscription, plans):
        return None
    named = [clerk_owner_of(subscription), *of_sessions, clerk_owner_of_customer(subscription)]
    return next((name for name in named if name), None)


def is_somebody_elses(subscription: StripeObject, settings: Settings, database: Database) -> bool:
    """Whether one that has no row is none of our business: none of our plans, and no customer whom
    we know, or nothing but ignored products.
    """
    customer = customer_of(subscription)
    if is_ours(subscription, settings.plans):
        return False
    if customer is None or is_ignored(subscription, settings.plans, settings.ignored_products):
        return True
    return not database.knows_customer(customer)
