"""The ordering rule: how Stripe's deliveries, and questions to Stripe, keep the table true.

    A webhook's snapshot is trusted only when Stripe stamped it clearly later than what the row
    already describes. Anything else asks Stripe for the present state, and writes it over the
    revision that was read before asking.

A row's `as_of` is the moment on Stripe's clock that it describes; its `revision` is a number that
each write replaces. Knows no HTTP and no SQL. docs/ordering.md says what each part is for.
"""

import logging
from contextlib import nullcontext
from datetime import datetime

import stripe

from portal_service import deadline, deliveries, events
from portal_service.config import Settings
from portal_service.deliveries import Change, Outcome
from portal_service.entitlement import Account
from portal_service.errors import ServiceError
from portal_service.events import Event, snapshot_row
from portal_service.log import log
from portal_service.metrics import LIVE_MISSING, LOST_ROUNDS
from portal_service.owner import named_owner
from portal_service.reports import Reports
from portal_service.single_flight import Flight, SingleFlight, Waiting
from portal_service.stripe_api import Stripe
from portal_service.stripe_errors import CustomerMissing, KeyForbidden, NotAtStripe
from portal_service.subscription import (
    COLUMNS,
    ENDED,
    Row,
    StripeObject,
    differences,
    has_more_items,
    is_of_deleted_customer,
    row_of,
    subscription_of,
)
from portal_service.supabase_db import Database
from portal_service.whose import Whose

OUR_RELEASE = stripe.api_version.partition(".")[2]


class Mirror:
    """Keeps the rows equal to Stripe's subscriptions.

    waiting: is around each wait for another thread's question to Stripe.
    """

    def __init__(
        self,
        settings: Settings,
        database: Database,
        stripe_: Stripe,
        waiting: Waiting = nullcontext,
    ) -> None:
        self._settings = settings
        self._database = database
        self._stripe = stripe_
        self._flights: SingleFlight[Change] = SingleFlight(waiting)
        self.reports = Reports(settings)
        self.whose = Whose(settings, database)

    def apply(self, event: Event) -> Outcome:
        """Write what one verified event says. Once this returns, it is committed.

        Raises InvalidPayload where a snapshot can't be read, and ServiceError.
        """
        kind = events.type_of(event)
        if kind not in events.USED_EVENTS or not self._is_for_us(event):
            return "ignored"
        if events.is_thin(event):
            related = event["related_object"]["id"]
            if kind in events.SUBSCRIPTION_EVENTS:
                return self.refresh(related)
            return self.apply_checkout(self._stripe.checkout_session(related))
        if kind in events.CHECKOUT_EVENTS:
            return self.apply_checkout(events.completed_session(event))
        return self._apply_snapshot(event)

    def refresh(self, subscription_id: str, clerk_owner_id: str | None = None) -> Outcome:
        """Ask Stripe for the present state and write it.

        clerk_owner_id: of the metadata of the checkout session that made the subscription.
        """
        change = self._flights.run(
            subscription_id, lambda flight: self._refresh(subscription_id, flight), clerk_owner_id
        )
        deliveries.note_change(change)
        return change.outcome

    def refresh_customer(self, account: Account, customer: str) -> list[StripeObject]:
        """Ask Stripe for all subscriptions of a customer, write them, and return those that are not
        of ignored products.

        account: whose customer it is, read before this call: its revisions are written over.
        Raises CustomerMissing, after `mark_gone`.
        """
        known = {
            row["stripe_subscription_id"]: row
            for row in (*account.rows, *account.ignored_rows)
            if row["stripe_customer_id"] == customer and row["stripe_subscription_id"]
        }
        try:
            subscriptions, date = self._stripe.subscriptions_of(customer)
        except CustomerMissing:
            self.mark_gone(account, customer)
            raise
        self._keep_whether_gone(account, customer, subscriptions)
        for subscription in subscriptions:
            self._write_listed(subscription, known.pop(subscription["id"], None), date)
        for subscription_id in known:  # rows that Stripe did not list
            self.refresh(subscription_id)
        return [one for one in subscriptions if not self.whose.is_ignored(one)]

    def _keep_whether_gone(
        self, account: Account, customer: str, subscriptions: list[StripeObject]
    ) -> None:
        """Stripe goes on listing the subscriptions of a deleted customer, with the customer as
        deleted. An empty list says nothing of it, so the customer itself is asked for.
        """
        was_gone = customer in account.gone_customers
        is_gone = any(is_of_deleted_customer(one) for one in subscriptions)
        if was_gone and not subscriptions:
            is_gone = self._stripe.is_gone(customer)
        if is_gone is not was_gone:
            self._database.mark_customer(customer, gone=is_gone)

    def mark_gone(self, account: Account, customer: str) -> None:
        """Refresh the rows of a customer that Stripe no longer has, which ends them, and keep that
        it is gone.
        """
        for row in (*account.rows, *account.ignored_rows):
            open_row = row["stripe_subscription_id"] and row["status"] not in ENDED
            if open_row and row["stripe_customer_id"] == customer:
                self.refresh(row["stripe_subscription_id"])
        # Only now: a refresh raises KeyForbidden where our key is another account's, under which
        # no customer of ours is found.
        self._database.mark_customer(customer, gone=True)

    def _write_listed(
        self, subscription: StripeObject, row: Row | None, date: datetime | None
    ) -> None:
        """Write a subscription of a customer's list, but for those that have ended and whose rows
        say the same: they never change again, and a customer can have hundreds.
        """
        new_row = row_of(subscription, self._settings.plans, date)
        if row is None and self.whose.is_ignored(subscription):
            return
        over = row is not None and row["status"] in ENDED and row["clerk_owner_id"]
        if row is not None and over and not differences(row, new_row):
            return
        if not self._write(new_row, row, self.whose.named_owner(subscription)):
            self.refresh(subscription["id"])

    def _is_for_us(self, event: Event) -> bool:
        """Not the other mode's, not a connected account's."""
        if event.get("account") or event.get("context"):
            return False
        if event.get("livemode") is not self._settings.livemode:
            log(logging.WARNING, "event of the other mode ignored", event=event.get("id"))
            return False
        return True

    def _apply_snapshot(self, event: Event) -> Outcome:
        subscription, new_row = event["data"]["object"], snapshot_row(event, self._settings.plans)
        release = (event.get("api_version") or "").partition(".")[2]
        whole = not has_more_items(subscription)
        if whole and release == OUR_RELEASE and not subscription.get("test_clock"):
            stored = self._upsert(new_row, self.whose.named_owner(subscription), None)
            if stored:
                deliveries.note_trusted(event, stored)
                return "applied"
        row = self._database.row(subscription["id"]) if whole else None
        if whole and not row and self.whose.is_somebody_elses(subscription):
            return "ignored"
        deliveries.count_question(event, row, OUR_RELEASE)
        return self.refresh(subscription["id"])

    def apply_checkout(self, session: StripeObject) -> Outcome:
        """Take in a completed checkout session: ask for the subscription that it made."""
        subscription = subscription_of(session)
        if not subscription:
            return "ignored"
        return self.refresh(subscription, named_owner(session, self._settings))

    def _refresh(self, subscription_id: str, flight: Flight[Change]) -> Change:
        for _ in deadline.rounds():
            row = self._database.row(subscription_id)
            if row and row["livemode"] not in (None, self._settings.livemode):
                return Change("ignored")  # of the other mode: unknown to Stripe under our key
            flight.depart()  # who comes later may know of something newer than what Stripe answers
            try:
                subscription, date = self._stripe.subscription(subscription_id)
            except NotAtStripe as missing:
                new_row = self._row_not_at_stripe(subscription_id, row, missing.date)
                owner = None
            else:
                if row is None and self.whose.is_somebody_elses(subscription):
                    return Change("ignored")
                new_row = row_of(subscription, self._settings.plans, date)
                owner = self.whose.named_owner(subscription, flight.hints)
            if new_row is None:
                return Change("ignored")
            stored = self._write(new_row, row, owner)
            if stored:
                unchanged = row and row["updated_at"] == stored["updated_at"]
                return Change("unchanged" if unchanged else "refreshed", row, stored)
            LOST_ROUNDS.labels("row").inc()
        raise ServiceError("database_unavailable")

    def _write(self, new_row: Row, row: Row | None, owner: str | None) -> Row | None:
        """Write over the revision that was read; also when nothing is new, so that the write of
        somebody who asked Stripe earlier, and was slower, finds its revision gone.
        """
        return self._upsert(new_row, owner, row["revision"] if row else 0)

    def _upsert(self, new_row: Row, owner: str | None, expected_revision: int | None) -> Row | None:
        stored = self._database.upsert(new_row, owner, expected_revision)
        if stored:
            self.reports.row(stored)
            self.reports.owner(stored, owner)
        return stored

    def _row_not_at_stripe(
        self, subscription_id: str, row: Row | None, date: datetime | None
    ) -> Row | None:
        """The row of a subscription that Stripe does not have under our key; None: nothing to do.

        Test data gets deleted. Live subscriptions never are: not to see one means that the key is
        another account's, which must not end what people pay for.
        """
        if self._settings.livemode and (row is None or row["livemode"]):
            LIVE_MISSING.inc()
            log(
                logging.CRITICAL,
                "a live subscription is unknown at Stripe: is STRIPE_SECRET_KEY another account's?",
                subscription=subscription_id,
            )
            raise KeyForbidden
        if row is None:
            return None
        content = {column: row[column] for column in COLUMNS}
        if row["livemode"] is None:
            return {**content, "livemode": not self._settings.livemode}
        ended = date.isoformat() if date else None
        return {**content, "status": "canceled", "as_of": ended,
                "ended_at": row["ended_at"] or ended}  # fmt: skip
