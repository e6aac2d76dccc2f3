"""`flask portal sync`: makes the table equal to Stripe, or shows where it differs.

Compares in bulk, and repairs one by one through the mirror's refresh: safe beside live webhooks.
"""

import json
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import click
from flask.cli import with_appcontext

from portal_service.commands.patience import PAUSE_SECONDS, patiently
from portal_service.errors import ServiceError
from portal_service.mirror import SUBSCRIPTION_EVENTS
from portal_service.services import Services, services
from portal_service.stripe_api import CustomerMissing, NotAtStripe
from portal_service.subscription import (
    COLUMNS,
    ENDED,
    Row,
    StripeObject,
    customer_of,
    is_live,
    is_ours,
    row_of,
)

_COMPARED = [column for column in COLUMNS if column not in ("stripe_subscription_id", "as_of")]
_TIMES = {"current_period_end", "cancel_at", "canceled_at", "trial_end", "ended_at",
          "pause_resumes_at"}  # fmt: skip
_SAMPLE = 10
_BATCH = 100


@dataclass(frozen=True)
class Difference:
    """One column of one row that is not what Stripe says."""

    row: str
    column: str
    here: Any
    stripe: Any


@dataclass
class Report:
    seen: int = 0
    differences: list[Difference] = field(default_factory=list)
    unclaimed: list[str] = field(default_factory=list)
    repaired: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    customers_with_two_live: dict[str, list[str]] = field(default_factory=dict)

    def to_do(self) -> list[str]:
        return list(dict.fromkeys([d.row for d in self.differences] + self.unclaimed))


class AnotherAccount(Exception):
    """Raised when Stripe knows none of our live rows under our key."""


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
    quiet = as_json or not sys.stderr.isatty()
    report = Report()
    try:
        _refuse_another_account(services())
        wanted = _wanted(services(), customer, since, starting_after)
        listed = _compare(services(), report, wanted, quiet)
        if not (since or starting_after):
            _compare_unlisted(services(), report, listed, customer)
        if not dry_run:
            _repair(services(), report, quiet)
    except AnotherAccount as error:
        click.echo(str(error), err=True)
        raise SystemExit(2) from error
    except ServiceError as error:
        click.echo(f"Stopped: {error.sentence} ({error.code}). Run it again: what is done stays "
                   "done.", err=True)  # fmt: skip
        raise SystemExit(1) from error
    _print(report, dry_run, as_json)
    if report.failed or (dry_run and report.differences):
        raise SystemExit(1)


def _refuse_another_account(of: Services) -> None:
    """Live subscriptions are never deleted at Stripe: if it knows none, the key is another's."""
    if not of.settings.livemode:
        return
    live = [row["stripe_subscription_id"] for row in of.database.rows() if row["livemode"]]
    if live and not any(_is_at_stripe(of, subscription) for subscription in live[:_SAMPLE]):
        raise AnotherAccount(
            "Stripe knows none of our live subscriptions under this key: STRIPE_SECRET_KEY is "
            "that of another account. No row was touched."
        )


def _is_at_stripe(of: Services, subscription_id: str) -> bool:
    try:
        patiently(lambda: of.stripe.subscription(subscription_id))
    except NotAtStripe:
        return False
    return True


def _wanted(
    of: Services, customer: str | None, since: datetime | None, after: str | None
) -> Iterable[StripeObject]:
    if customer:
        try:
            return patiently(lambda: of.stripe.subscriptions_of(customer)[0])
        except CustomerMissing:
            return []  # what we hold of it is compared with nothing, below
    if since:
        return _changed(of, since.replace(tzinfo=UTC))
    return of.stripe.all_subscriptions(after)


def _changed(of: Services, since: datetime) -> Iterator[StripeObject]:
    events = of.stripe.events(
        types=sorted(SUBSCRIPTION_EVENTS), created={"gte": int(since.timestamp())}
    )
    for subscription_id in dict.fromkeys(event["data"]["object"]["id"] for event in events):
        try:
            yield patiently(lambda: of.stripe.subscription(subscription_id)[0])  # noqa: B023
        except NotAtStripe:
            continue


def _compare(
    of: Services, report: Report, subscriptions: Iterable[StripeObject], quiet: bool
) -> set[str]:
    """Note where the rows differ from these subscriptions. Returns the ids of all of them."""
    listed: set[str] = set()
    live: dict[str, list[str]] = {}
    remaining = iter(subscriptions)
    while batch := list(islice(remaining, _BATCH)):
        rows = of.database.rows_by_id([subscription["id"] for subscription in batch])
        for subscription in batch:
            row = rows.get(subscription["id"])
            if row is None and not _concerns_us(of, subscription):
                continue
            said = row_of(subscription, of.settings.plans, None)
            _note(report, row, said)
            if is_live(said):
                live.setdefault(said["stripe_customer_id"], []).append(subscription["id"])
        listed |= {subscription["id"] for subscription in batch}
        report.seen = len(listed)
        if not quiet:
            click.echo(f"\r{len(listed)} subscriptions read", nl=False, err=True)
    if not quiet:
        click.echo(err=True)
    report.customers_with_two_live = {c: subs for c, subs in live.items() if len(subs) > 1}
    return listed


def _concerns_us(of: Services, subscription: StripeObject) -> bool:
    customer = customer_of(subscription)
    return is_ours(subscription, of.settings.plans) or (
        customer is not None and of.database.knows_customer(customer)
    )


def _note(report: Report, row: Row | None, said: Row) -> None:
    name = said["stripe_subscription_id"]
    if row is None:
        report.differences.append(Difference(name, "status", None, said["status"]))
        return
    for column in _COMPARED:
        here, there = _comparable(column, row[column]), _comparable(column, said[column])
        if here != there:
            report.differences.append(Difference(name, column, here, there))
    if row["user_id"] is None:
        report.unclaimed.append(name)


def _comparable(column: str, value: Any) -> Any:
    if value is None or column not in _TIMES:
        return bool(value) if column == "cancel_at_period_end" else value
    return datetime.fromisoformat(value).astimezone(UTC).isoformat()


def _compare_unlisted(of: Services, report: Report, listed: set[str], customer: str | None) -> None:
    """Rows that Stripe did not list: deleted test data, or written since."""
    after = ""
    while page := of.database.rows(after, customer):
        after = page[-1]["stripe_subscription_id"]
        for row in page:
            known = row["stripe_subscription_id"] in listed or row["status"] in ENDED
            if not known and row["livemode"] in (None, of.settings.livemode):
                _note_unlisted(of, report, row)


def _note_unlisted(of: Services, report: Report, row: Row) -> None:
    name = row["stripe_subscription_id"]
    try:
        subscription = patiently(lambda: of.stripe.subscription(name)[0])
    except NotAtStripe:
        report.differences.append(Difference(name, "status", row["status"], None))
    else:
        _note(report, row, row_of(subscription, of.settings.plans, None))


def _repair(of: Services, report: Report, quiet: bool) -> None:
    with click.progressbar(
        report.to_do(), label="Refreshing", file=sys.stderr, hidden=quiet
    ) as names:
        for name in names:
            try:
                if patiently(lambda: of.mirror.refresh(name)) != "ignored":  # noqa: B023
                    report.repaired += 1
            except ServiceError as error:
                report.failed[name] = error.code
            time.sleep(PAUSE_SECONDS)


def _print(report: Report, dry_run: bool, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(asdict(report) | {"dry_run": dry_run}))
        return
    if dry_run and report.differences:
        cells = [("row", "column", "here", "Stripe")]
        cells += [(d.row, d.column, _shown(d.here), _shown(d.stripe)) for d in report.differences]
        widths = [max(len(line[n]) for line in cells) for n in range(4)]
        for line in cells:
            click.echo(
                "  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip()
            )
    for customer, names in report.customers_with_two_live.items():
        click.echo(f"{customer} has {len(names)} live subscriptions: {', '.join(names)}")
    for name, code in report.failed.items():
        click.echo(f"{name} could not be refreshed: {code}", err=True)
    done = "a dry run" if dry_run else f"{report.repaired} refreshed, {len(report.failed)} failed"
    rows = len({d.row for d in report.differences})
    click.echo(f"{report.seen} subscriptions at Stripe; {rows} rows differ, "
               f"{len(report.unclaimed)} belong to nobody yet; {done}.")  # fmt: skip


def _shown(value: Any) -> str:
    return "-" if value is None else str(value)
