"""`flask portal sync`: makes the table equal to Stripe, or shows where it differs.

Compares in bulk, and repairs one by one by the mirror's refresh: safe while webhooks come.
"""

import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from typing import Literal

import click
from flask.cli import with_appcontext

from portal_service.commands.account import AnotherAccount, refuse_another_account
from portal_service.commands.retry import PAUSE_SECONDS, retrying
from portal_service.commands.sync_report import Difference, Report
from portal_service.errors import ServiceError
from portal_service.events import SUBSCRIPTION_EVENTS
from portal_service.services import Services, current_services
from portal_service.stripe_errors import CustomerMissing, NotAtStripe
from portal_service.subscription import (
    ENDED,
    Row,
    StripeObject,
    customer_of,
    differences,
    is_running_at_stripe,
    row_of,
)

_BATCH = 100
_LINE_EVERY = 1000

Progress = Literal["bar", "lines", "none"]


@click.command()
@click.option("--customer", metavar="cus_…", help="Only the subscriptions of this customer.")
@click.option(
    "--since",
    type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]),
    help="Only subscriptions that changed since then (UTC; Stripe remembers 30 days).",
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
    """Make the table equal to Stripe.

    Exits with 1 if a dry run finds differences or a repair fails, with 2 if the key is that of
    another account.
    """
    if sum(option is not None for option in (customer, since, starting_after)) > 1:
        raise click.UsageError("--customer, --since and --starting-after exclude each other.")
    run = _Run(retrying(current_services()), dry_run)
    report = run.report
    try:
        refuse_another_account(run.services)
        wanted = _wanted(run.services, customer, since, starting_after)
        listed = run.compare_all(wanted, _progress(as_json))
        report.last = None  # from here on only a run from the start is a whole one
        if starting_after:
            click.echo("Rows that Stripe no longer lists take a run from the start.", err=True)
        elif not since:
            run.compare_unlisted(listed, customer)
    except AnotherAccount as error:
        click.echo(str(error), err=True)
        raise SystemExit(2) from error
    except ServiceError as error:
        goes_on = report.last and not (customer or since)
        where = f" with --starting-after {report.last}" if goes_on else ""
        click.echo(f"Stopped: {error.sentence} ({error.code}). Run it again{where}.", err=True)
        raise SystemExit(1) from error
    report.show(dry_run, as_json)
    if report.failed or (dry_run and report.differences):
        raise SystemExit(1)


def _progress(as_json: bool) -> Progress:
    if as_json:
        return "none"
    return "bar" if sys.stderr.isatty() else "lines"


def _wanted(
    services: Services, customer: str | None, since: datetime | None, after: str | None
) -> Iterable[StripeObject]:
    if customer:
        try:
            return services.stripe.subscriptions_of(customer)[0]
        except CustomerMissing:
            return []  # what we hold of it is compared with nothing, in compare_unlisted
    if since:
        return _changed(services, since.replace(tzinfo=UTC))
    return services.stripe.all_subscriptions(after)


def _changed(services: Services, since: datetime) -> Iterator[StripeObject]:
    events = services.stripe.events(
        types=sorted(SUBSCRIPTION_EVENTS), created={"gte": int(since.timestamp())}
    )
    for subscription_id in dict.fromkeys(event["data"]["object"]["id"] for event in events):
        try:
            yield services.stripe.subscription(subscription_id)[0]
        except NotAtStripe:
            continue


@dataclass
class _Run:
    services: Services
    dry_run: bool
    report: Report = field(default_factory=Report)

    def compare_all(self, subscriptions: Iterable[StripeObject], progress: Progress) -> set[str]:
        """Compare, and repair, batch by batch. Returns the ids of all that Stripe listed."""
        report, listed = self.report, set[str]()
        with click.progressbar(
            subscriptions, label="Comparing with Stripe", file=sys.stderr, hidden=progress != "bar"
        ) as bar:
            remaining = iter(bar)
            while batch := list(islice(remaining, _BATCH)):
                self._compare_batch(batch)
                listed |= {subscription["id"] for subscription in batch}
                report.seen, report.last = len(listed), batch[-1]["id"]
                if progress == "lines" and report.seen % _LINE_EVERY == 0:
                    click.echo(f"{report.seen} subscriptions compared", err=True)
        return listed

    def compare_unlisted(self, listed: set[str], customer: str | None) -> None:
        """Rows that Stripe did not list: deleted test data, or written since."""
        for row in self.services.database.rows(customer):
            known = row["stripe_subscription_id"] in listed or row["status"] in ENDED
            if not known and row["livemode"] in (None, self.services.settings.livemode):
                self._compare_unlisted(row)
        if not self.dry_run:
            self._ask_about_gone_customers(customer)

    def _compare_batch(self, batch: list[StripeObject]) -> None:
        services = self.services
        rows = services.database.rows_by_id([subscription["id"] for subscription in batch])
        to_do = []
        for subscription in batch:
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
        if self.dry_run:
            return
        try:
            if self.services.mirror.refresh(name) != "ignored":
                self.report.repaired += 1
        except ServiceError as error:
            self.report.failed[name] = error.code
        time.sleep(PAUSE_SECONDS)

    def _ask_about_gone_customers(self, customer: str | None) -> None:
        for gone in self.services.database.gone_customers():
            if customer in (None, gone) and not self.services.stripe.is_gone(gone):
                self.services.database.mark_customer(gone, gone=False)
