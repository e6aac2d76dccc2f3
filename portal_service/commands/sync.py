"""`flask portal sync`: makes the table equal to Stripe, or shows where it differs.

Compares in bulk, and repairs one by one through the mirror's refresh: safe beside live webhooks.
"""

import sys
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import Literal

import click
from flask.cli import with_appcontext

from portal_service.commands.account import AnotherAccount, refuse_another_account, row_pages
from portal_service.commands.patience import PAUSE_SECONDS, patiently
from portal_service.commands.sync_report import Difference, Report
from portal_service.errors import ServiceError
from portal_service.mirror import SUBSCRIPTION_EVENTS
from portal_service.services import Services, services
from portal_service.stripe_errors import CustomerMissing, NotAtStripe
from portal_service.subscription import (
    ENDED,
    Row,
    StripeObject,
    customer_of,
    differences,
    is_ignored,
    is_running_at_stripe,
    row_of,
)
from portal_service.whose import is_somebody_elses, named_owner

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
    progress: Progress = "none" if as_json else "bar" if sys.stderr.isatty() else "lines"
    report = Report()
    try:
        refuse_another_account(services())
        wanted = _wanted(services(), customer, since, starting_after)
        listed = _deal_with(services(), report, wanted, dry_run, progress)
        report.last = None  # from here on only a run from the start is a whole one
        if starting_after:
            click.echo("Rows that Stripe no longer lists take a run from the start.", err=True)
        elif not since:
            _deal_with_unlisted(services(), report, listed, customer, dry_run)
            if not dry_run:
                _ask_about_gone_customers(services(), customer)
    except AnotherAccount as error:
        click.echo(str(error), err=True)
        raise SystemExit(2) from error
    except ServiceError as error:
        hint = (
            f" with --starting-after {report.last}"
            if report.last and not (customer or since)
            else ""
        )
        click.echo(f"Stopped: {error.sentence} ({error.code}). Run it again{hint}.", err=True)
        raise SystemExit(1) from error
    report.show(dry_run, as_json)
    if report.failed or (dry_run and report.differences):
        raise SystemExit(1)


def _wanted(
    of: Services, customer: str | None, since: datetime | None, after: str | None
) -> Iterable[StripeObject]:
    if customer:
        try:
            return of.stripe.subscriptions_of(customer, patiently)[0]
        except CustomerMissing:
            return []  # what we hold of it is compared with nothing, below
    if since:
        return _changed(of, since.replace(tzinfo=UTC))
    return of.stripe.all_subscriptions(after, patiently)


def _ask_about_gone_customers(of: Services, customer: str | None) -> None:
    for gone in of.database.gone_customers():
        if customer in (None, gone) and not patiently(lambda: of.stripe.is_gone(gone)):  # noqa: B023
            of.database.mark_customer(gone, gone=False)


def _changed(of: Services, since: datetime) -> Iterator[StripeObject]:
    events = of.stripe.events(
        patiently, types=sorted(SUBSCRIPTION_EVENTS), created={"gte": int(since.timestamp())}
    )
    for subscription_id in dict.fromkeys(event["data"]["object"]["id"] for event in events):
        try:
            yield patiently(lambda: of.stripe.subscription(subscription_id)[0])  # noqa: B023
        except NotAtStripe:
            continue


def _deal_with(
    of: Services,
    report: Report,
    subscriptions: Iterable[StripeObject],
    dry_run: bool,
    progress: Progress,
) -> set[str]:
    """Compare, and repair, batch by batch. Returns the ids of all that Stripe listed."""
    listed: set[str] = set()
    with click.progressbar(
        subscriptions, label="Comparing with Stripe", file=sys.stderr, hidden=progress != "bar"
    ) as bar:
        remaining = iter(bar)
        while batch := list(islice(remaining, _BATCH)):
            to_do = _compare(of, report, batch)
            if not dry_run:
                _repair(of, report, to_do)
            listed |= {subscription["id"] for subscription in batch}
            report.seen, report.last = len(listed), batch[-1]["id"]
            if progress == "lines" and report.seen % _LINE_EVERY == 0:
                click.echo(f"{report.seen} subscriptions compared", err=True)
    return listed


def _compare(of: Services, report: Report, batch: list[StripeObject]) -> list[str]:
    """Note where the rows differ from these subscriptions. Returns the ids to be refreshed."""
    rows = of.database.rows_by_id([subscription["id"] for subscription in batch])
    to_do = []
    for subscription in batch:
        row = rows.get(subscription["id"])
        if row is None and is_somebody_elses(subscription, of.settings, of.database):
            continue
        if _note(of, report, row, subscription):
            to_do.append(subscription["id"])
        customer = customer_of(subscription)
        if customer and is_running_at_stripe(subscription):
            report.running_of_customer.setdefault(customer, []).append(subscription["id"])
    return to_do


def _note(of: Services, report: Report, row: Row | None, subscription: StripeObject) -> bool:
    """Note the differences of one row. Returns whether it is to be refreshed."""
    name, said = subscription["id"], row_of(subscription, of.settings.plans, None)
    if said["status"] not in ENDED and _is_unclaimed(of, row, subscription):
        report.unclaimed[name] = said["stripe_customer_id"]
    if row is None:
        report.differences.append(Difference(name, "status", None, said["status"]))
        return True
    found = [
        Difference(name, column, here, there)
        for column, (here, there) in differences(row, said).items()
    ]
    report.differences += found
    return bool(found) or row["user_id"] is None


def _is_unclaimed(of: Services, row: Row | None, subscription: StripeObject) -> bool:
    """Whether nobody is known who owns it; for one without a row, whether nobody will be."""
    if row is not None and (row["clerk_owner_id"] or row["user_id"]):
        return False
    if is_ignored(subscription, of.settings.plans, of.settings.ignored_products):
        return False
    if named_owner(subscription, of.settings.plans):
        return False
    customer = customer_of(subscription)
    return customer is None or of.database.owner_of_customer(customer) is None


def _deal_with_unlisted(
    of: Services, report: Report, listed: set[str], customer: str | None, dry_run: bool
) -> None:
    """Rows that Stripe did not list: deleted test data, or written since."""
    for page in row_pages(of, customer):
        for row in page:
            known = row["stripe_subscription_id"] in listed or row["status"] in ENDED
            if known or row["livemode"] not in (None, of.settings.livemode):
                continue
            if _note_unlisted(of, report, row) and not dry_run:
                _repair(of, report, [row["stripe_subscription_id"]])


def _note_unlisted(of: Services, report: Report, row: Row) -> bool:
    name = row["stripe_subscription_id"]
    try:
        subscription = patiently(lambda: of.stripe.subscription(name)[0])
    except NotAtStripe:
        report.differences.append(Difference(name, "status", row["status"], None))
        return True
    return _note(of, report, row, subscription)


def _repair(of: Services, report: Report, names: list[str]) -> None:
    for name in names:
        try:
            if patiently(lambda: of.mirror.refresh(name)) != "ignored":  # noqa: B023
                report.repaired += 1
        except ServiceError as error:
            report.failed[name] = error.code
        time.sleep(PAUSE_SECONDS)
