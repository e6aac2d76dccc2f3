"""`flask portal replay`: takes in the events that Stripe could not deliver."""

import time
from collections import Counter
from collections.abc import Iterable, Iterator

import click
from flask.cli import with_appcontext

from portal_service.commands.retry import retrying
from portal_service.deliveries import Outcome
from portal_service.errors import ServiceError
from portal_service.events import USED_EVENTS, Event
from portal_service.services import Services, current_services

TYPES = sorted(USED_EVENTS)
_KEPT_DAYS = 30


@click.command(short_help="Take in events that Stripe could not deliver.")
@click.option("--ids", metavar="evt_…,evt_…", help="These events and no others, delivered or not.")
@click.option(
    "--type",
    "kind",
    type=click.Choice(TYPES),
    metavar="TYPE",
    help="Only events of this type, as customer.subscription.updated.",
)
@with_appcontext
def replay(ids: str | None, kind: str | None) -> None:
    """Take in events that Stripe could not deliver in the last 30 days, oldest first.

    Goes on past an event that fails. Exits with 1 if any did.
    """
    services = retrying(current_services())
    counts: Counter[str] = Counter()
    try:
        for event_id, event in _events(services, ids, kind):
            counts[_outcome(services, event_id, event)] += 1
    except ServiceError as error:
        click.echo(f"Stopped: {error.sentence} ({error.code}). Run it again.", err=True)
        raise SystemExit(1) from error
    click.echo(", ".join(f"{n} {outcome}" for outcome, n in sorted(counts.items())) or "no events")
    if counts.get("failed"):
        raise SystemExit(1)


def _events(
    services: Services, ids: str | None, kind: str | None
) -> Iterable[tuple[str, Event | None]]:
    if ids:
        return _by_id(services, [part.strip() for part in ids.split(",") if part.strip()], kind)
    since = int(time.time()) - _KEPT_DAYS * 86_400
    undelivered = services.stripe.events(
        delivery_success=False, types=[kind] if kind else TYPES, created={"gte": since}
    )
    return [(event["id"], event) for event in reversed(list(undelivered))]


def _by_id(
    services: Services, ids: list[str], kind: str | None
) -> Iterator[tuple[str, Event | None]]:
    for event_id in ids:
        try:
            event = services.stripe.event(event_id)
        except ServiceError as error:
            click.echo(f"{event_id}: {error.code}", err=True)
            yield event_id, None
        else:
            if kind in (None, event["type"]):
                yield event_id, event


def _outcome(services: Services, event_id: str, event: Event | None) -> Outcome | str:
    if event is None:
        return "failed"
    try:
        outcome = services.mirror.apply(event)
    except ServiceError as error:
        click.echo(f"{event_id}: {error.code}", err=True)
        return "failed"
    click.echo(f"{event_id} {event['type']}: {outcome}")
    return outcome
