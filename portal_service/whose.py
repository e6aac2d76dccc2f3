"""Whose a subscription is: whom Stripe's metadata names, and whether it is any business of ours."""

from collections.abc import Iterable

from portal_service.config import Settings
from portal_service.owner import named_owner, other_kind
from portal_service.subscription import (
    StripeObject,
    customer_of,
    expanded_customer,
    is_ignored,
    is_ours,
)
from portal_service.supabase_db import Database


class Whose:
    def __init__(self, settings: Settings, database: Database) -> None:
        self._settings = settings
        self._database = database

    def named_owner(
        self, subscription: StripeObject, of_sessions: Iterable[str] = ()
    ) -> str | None:
        """Whom the metadata names: the subscription's, its checkout sessions', its customer's. It
        counts only on a subscription to one of our plans: others may write anything there.
        """
        if not is_ours(subscription, self._settings.plans):
            return None
        of_subscription = named_owner(subscription, self._settings)
        of_customer = named_owner(expanded_customer(subscription), self._settings)
        named = [of_subscription, *of_sessions, of_customer]
        return next((name for name in named if name), None)

    def rows_of_the_other_kind(self) -> int:
        """How many subscriptions that have not ended are owned by the kind that BILLING_OWNER does
        not name: here nobody owns them.
        """
        return self._database.count_of_owners(other_kind(self._settings).prefix)

    def is_ignored(self, subscription: StripeObject) -> bool:
        """Whether it is of nothing but ignored products."""
        return is_ignored(subscription, self._settings.plans, self._settings.ignored_products)

    def is_somebody_elses(self, subscription: StripeObject) -> bool:
        """Whether one that has no row is none of our business: none of our plans, and no customer
        whom we know, or nothing but ignored products.
        """
        customer = customer_of(subscription)
        if is_ours(subscription, self._settings.plans):
            return False
        if customer is None or self.is_ignored(subscription):
            return True
        return not self._database.knows_customer(customer)
