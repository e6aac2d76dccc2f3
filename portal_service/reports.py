"""What an operator is told about rows, once per row and process: who may pay and get nothing."""

import logging

from portal_service.config import Settings
from portal_service.entitlement import Account, has_unknown_price, is_ignored_row, running_rows
from portal_service.log import log
from portal_service.metrics import TWO_RUNNING, UNCLAIMED, UNKNOWN_PRICES
from portal_service.once import Once
from portal_service.subscription import ENDED, KNOWN_STATUSES, Row


class Reports:
    def __init__(self, settings: Settings) -> None:
        self._plans = settings.plans
        self._entitled = settings.entitled_statuses
        self._ignored = settings.ignored_products
        self._billing_owner = settings.billing_owner
        self._told = Once()

    def account(self, account: Account) -> None:
        """What is odd about the row that counts, and an owner who pays twice."""
        if account.best_row:
            self.row(account.best_row)
        running = [
            row["stripe_subscription_id"]
            for row in running_rows(account, self._plans, self._entitled)
            if row["stripe_subscription_id"]
        ]
        if len(running) > 1 and self._told.first(("two running", *sorted(running))):
            TWO_RUNNING.inc()
            log(
                logging.ERROR,
                "an owner has two running subscriptions, and pays for both",
                owner=account.clerk_owner_id,
                subscriptions=running,
                cure="Ask which one is wanted; cancel the other at Stripe, and refund it",
            )

    def row(self, row: Row) -> None:
        """A price that no plan lists, a status that nobody knows."""
        if is_ignored_row(row, self._plans, self._ignored):
            return
        subscription, price, status = row["stripe_subscription_id"], row["price_id"], row["status"]
        unknown_price = has_unknown_price(row, self._plans)
        if unknown_price and self._told.first(("price", subscription, price)):
            UNKNOWN_PRICES.inc()
            log(
                logging.ERROR,
                "a subscription has a price that STRIPE_PLANS does not list",
                subscription=subscription,
                price=price,
                product=row["product_id"],
                cure="List the price or its product in STRIPE_PLANS; where it is none of this "
                "service's business, list the product in STRIPE_IGNORED_PRODUCTS",
            )
        if status not in KNOWN_STATUSES and self._told.first(("status", subscription, status)):
            log(
                logging.ERROR,
                "a subscription has an unknown status",
                subscription=subscription,
                status=status,
            )

    def other_kind(self, count: int) -> None:
        """Subscriptions whose owners are of the kind that BILLING_OWNER does not name."""
        if count and self._told.first(("other kind", count)):
            log(
                logging.WARNING,
                "subscriptions belong to nobody here: BILLING_OWNER names the other kind of owner",
                count=count,
                billing_owner=self._billing_owner,
                cure="docs/owners.md says what to do with them",
            )

    def owner(self, row: Row, named: str | None) -> None:
        """Metadata that names another owner than the customer's, and a purchase of nobody's.

        row: as it is stored. named: whom the metadata names.
        """
        if is_ignored_row(row, self._plans, self._ignored):
            return
        subscription, owner = row["stripe_subscription_id"], row["clerk_owner_id"]
        if named and owner != named and self._told.first(("named", subscription, named)):
            log(
                logging.WARNING,
                "the metadata names another owner than the one that the customer is linked to",
                subscription=subscription,
                linked=owner or row["user_id"],
                named=named,
            )
        unclaimed = not (owner or row["user_id"] or row["status"] in ENDED)
        if unclaimed and self._told.first(("unclaimed", subscription)):
            UNCLAIMED.inc()
            log(
                logging.WARNING,
                "a subscription belongs to nobody: whoever pays for it is on the free plan",
                subscription=subscription,
                customer=row["stripe_customer_id"],
                cure="flask portal link <Clerk's id of whoever pays> <the customer>",
            )
