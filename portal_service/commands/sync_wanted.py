"""Which of Stripe's subscriptions a run of `sync` is about, and since when."""

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta

import click

from portal_service.events import SUBSCRIPTION_EVENTS
from portal_service.services import Services
from portal_service.stripe_errors import CustomerMissing, NotAtStripe
from portal_service.subscription import StripeObject

_UNITS = {"m": "minutes", "h": "hours", "d": "days"}
_MOMENT = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"])


def moment(context: click.Context, option: click.Parameter, text: str | None) -> datetime | None:
    """In UTC, from `30m`, `2h`, `3d` (ago), a day, or a day with its time."""
    if text is None:
        return None
    if ago := re.fullmatch(r"([1-9]\d{0,3})([mhd])", text):
        return datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
    try:
        found: datetime = _MOMENT.convert(text, option, context)
    except click.BadParameter as error:
        raise click.BadParameter(
            f"{text} is none of 30m, 2h, 3d, 2026-11-27, 2026-11-27T08:00:00."
        ) from error
    return found.replace(tzinfo=UTC)


def wanted(
    services: Services, customer: str | None, since: datetime | None, after: str | None
) -> Iterable[StripeObject]:
    if customer:
        try:
            return services.stripe.subscriptions_of(customer)[0]
        except CustomerMissing:
            return []  # what we hold of it is compared with nothing, in compare_unlisted
    if since:
        return _changed(services, since)
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
