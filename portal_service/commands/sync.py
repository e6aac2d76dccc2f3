"""`flask portal sync`: makes the table equal to Stripe, or shows where it differs.

Compares in bulk, and repairs one by one by the mirror's refresh: safe while webhooks come.
"""

import os
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Literal

import click
from flask.cli import with_appcontext

from portal_service.commands.account import AnotherAccount, refuse_another_account
from portal_service.commands.lease import AnotherRun, Lease
from portal_service.commands.retry import AWAY, PAUSE_SECONDS, retrying
from portal_service.commands.sync_report import Difference, Report
from portal_service.commands.sync_wanted import moment, wanted
from portal_service.errors import ServiceError
from portal_service.services import Services, current_services
from portal_service.stripe_errors import NotAtStripe
from portal_service.subscription import (
    ENDED,
    Row,
    StripeObject,
    customer_of,
    differences,
    is_running_at_stripe,
    row_of,
)
from portal_service.sync_runs import Found, Outcome, Scope

_BATCH = 100
_LINE_EVERY = 1000
# So many repairs in a row that a vendor's absence kept from succeeding end the run.
_ENOUGH = 3

Progress = Literal["bar", "lines", "none"]


@click.command()
@click.option("--customer", metavar="cus_…", help="Only the subscriptions of this customer.")
@click.option(
    "--since",
    callback=moment,
    metavar="2h",
    help="Only subscriptions that changed in the last 2h (30m, 3d), or since 2026-11-27T08:00:00 "
    "(UTC; Stripe remembers 30 days).",
)
@click.option("--starting-after", metavar="sub_…", help="Go on after this subscription.")
@click.option("--dry-run", is_flag=True, help="Show the differences; exit with 1 if there are any.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, for machines.")
@with_appcontext
def sync(
    customer: str | None,
    since: datetime | None,
    starting_after: str | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Make the table equal to Stripe. Safe beside live webhooks, and fit for a clock.

    One run at a time: another one is told so and does nothing. --dry-run and --customer run beside
    it. What Stripe or Supabase refuses for a moment is tried again, for two minutes.

    \b
    Exits with
      0   done
      1   a dry run found differences; or rows could not be refreshed, each is named
      2   the key is that of another account, or an option won't do
      75  not now, try again later: Stripe or Supabase stayed away, or another run is at work
      143 it was told to end (SIGTERM)
    """
    if sum(option is not None for option in (customer, since, starting_after)) > 1:
        raise click.UsageError("--customer, --since and --starting-after exclude each other.")
    services = retrying(current_services())
    run = _Run(services, dry_run, scope="since" if since else None if starting_after else "all")
    if not (dry_run or customer):
        run.lease = Lease(services, current_services(), run.found)
    try:
        with run.lease.held() if run.lease else nullcontext():
            run.compare(customer, since, starting_after, _progress(as_json))
    except (AnotherRun, AnotherAccount) as error:
        click.echo(str(error), err=True)
        raise SystemExit(os.EX_TEMPFAIL if isinstance(error, AnotherRun) else 2) from error
    except ServiceError as error:
        run.report.show_stopped(error, can_go_on=not (customer or since))
        raise SystemExit(os.EX_TEMPFAIL if isinstance(error, AWAY) else 1) from error
    run.report.show(dry_run, as_json)
    if run.report.failed or (dry_run and run.report.differences):
        raise SystemExit(1)


def _progress(as_json: bool) -> Progress:
    if as_json:
        return "none"
    return "bar" if sys.stderr.isatty() else "lines"


@dataclass
class _Run:
    services: Services
    dry_run: bool
    scope: Scope | None
    lease: Lease | None = None
    report: Report = field(default_factory=Report)
    away_in_a_row: int = 0

    def found(self, outcome: Outcome) -> Found | None:
        """What the database is to keep of this run; nothing of one that only went on."""
        if self.scope is None:
            return None
        report = self.report
        outcome = "failed" if report.failed else outcome
        return Found(self.scope, outcome, report.differing_rows, len(report.unclaimed))

    def compare(
        self,
        customer: str | None,
        since: datetime | None,
        starting_after: str | None,
        progress: Progress,
    ) -> None:
        """Raises AnotherAccount, AnotherRun, and ServiceError where it could not go on."""
        refuse_another_account(self.services)
        listed = self.compare_all(wanted(self.services, customer, since, starting_after), progress)
        self.report.last = None  # from here on only a run from the start is a whole one
        if starting_after:
            click.echo("Rows that Stripe no longer lists take a run from the start.", err=True)
        elif not since:
            self.compare_unlisted(listed, customer)

    def compare_all(self, subscriptions: Iterable[StripeObject], progress: Progress) -> set[str]:
        """Compare, and repair, batch by batch. Returns the ids of all that Stripe listed."""
        report, listed = self.report, set[str]()
        with click.progressbar(
            subscriptions, label="Comparing with Stripe", file=sys.stderr, hidden=progress != "bar"
        ) as bar:
            remaining = self._one_by_one(bar)
            while batch := list(islice(remaining, _BATCH)):
                self._compare_batch(batch)
                listed |= {subscription["id"] for subscription in batch}
                report.seen, report.last = len(listed), batch[-1]["id"]
                if progress == "lines" and report.seen % _LINE_EVERY == 0:
                    click.echo(f"{report.seen} subscriptions compared", err=True)
        return listed

    def _one_by_one(self, subscriptions: Iterable[StripeObject]) -> Iterator[StripeObject]:
        for subscription in subscriptions:
            self._keep_lease()
            yield subscription

    def compare_unlisted(self, listed: set[str], customer: str | None) -> None:
        """Rows that Stripe did not list: deleted test data, or written since."""
        for row in self.services.database.rows(customer):
            self._keep_lease()
            known = row["stripe_subscription_id"] in listed or row["status"] in ENDED
            if not known and row["livemode"] in (None, self.services.settings.livemode):
                self._compare_unlisted(row)
        if not self.dry_run:
            self._ask_about_gone_customers(customer)

    def _compare_batch(self, batch: list[StripeObject]) -> None:
        services = self.services
        rows = services.database.rows_by_id([subscription["id"] for subscription in batch])
        to_do = []
        for subscription in self._one_by_one(batch):
            row = rows.get(subscription["id"])
            if row is None and services.mirror.whose.is_somebody_elses(subscription):
                continue
            if self._differs(row, subscription):
                to_do.append(subscription["id"])
            customer = customer_of(subscription)
            if customer and is_running_at_stripe(subscription):
                self.report.running_of_customer.setdefault(customer, []).append(subscription["id"])
        for name in to_do:
            self._repair(name)

    def _compare_unlisted(self, row: Row) -> None:
        name = row["stripe_subscription_id"]
        try:
            differs = self._differs(row, self.services.stripe.subscription(name)[0])
        except NotAtStripe:
            self.report.differences.append(Difference(name, "status", row["status"], None))
            differs = True
        if differs:
            self._repair(name)

    def _differs(self, row: Row | None, subscription: StripeObject) -> bool:
        """Report where a row differs. Returns whether it is to be refreshed."""
        report, name = self.report, subscription["id"]
        said = row_of(subscription, self.services.settings.plans, None)
        if said["status"] not in ENDED and self._is_unclaimed(row, subscription):
            report.unclaimed[name] = said["stripe_customer_id"]
        if row is None:
            report.differences.append(Difference(name, "status", None, said["status"]))
            return True
        found = differences(row, said)
        report.differences += [Difference(name, column, *pair) for column, pair in found.items()]
        return bool(found) or row["user_id"] is None

    def _is_unclaimed(self, row: Row | None, subscription: StripeObject) -> bool:
        """Whether nobody is known who owns it; for one without a row, whether nobody will be."""
        whose = self.services.mirror.whose
        if row is not None and (row["clerk_owner_id"] or row["user_id"]):
            return False
        if whose.is_ignored(subscription) or whose.named_owner(subscription):
            return False
        customer = customer_of(subscription)
        return customer is None or self.services.database.owner_of_customer(customer) is None

    def _repair(self, name: str) -> None:
        """Where the vendors stay away, it is not one row's trouble. Raises ServiceError then."""
        if self.dry_run:
            return
        self._keep_lease()
        try:
            if self.services.mirror.refresh(name) != "ignored":
                self.report.repaired += 1
            self.away_in_a_row = 0
        except ServiceError as error:
            self.report.failed[name] = error.code
            self.away_in_a_row = self.away_in_a_row + 1 if isinstance(error, AWAY) else 0
            if self.away_in_a_row == _ENOUGH:
                raise
        time.sleep(PAUSE_SECONDS)

    def _keep_lease(self) -> None:
        if self.lease:
            self.lease.keep()

    def _ask_about_gone_customers(self, customer: str | None) -> None:
        for gone in self.services.database.gone_customers():
            self._keep_lease()
            if customer in (None, gone) and not self.services.stripe.is_gone(gone):
                self.services.database.mark_customer(gone, gone=False)
