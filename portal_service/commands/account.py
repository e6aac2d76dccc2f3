"""Whether the Stripe key is that of the account that our rows are about."""

from collections.abc import Iterator
from itertools import islice

from portal_service.commands.patience import patiently
from portal_service.services import Services
from portal_service.stripe_errors import NotAtStripe
from portal_service.subscription import Row

_SAMPLE = 10


class AnotherAccount(Exception):
    """Raised when Stripe knows none of our live rows under our key."""


def refuse_another_account(of: Services) -> None:
    """Live subscriptions are never deleted at Stripe: if it knows none, the key is another's."""
    if not of.settings.livemode:
        return
    rows = (row for page in row_pages(of, None) for row in page if row["livemode"])
    live = [row["stripe_subscription_id"] for row in islice(rows, _SAMPLE)]
    if live and not any(_is_at_stripe(of, subscription) for subscription in live):
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


def row_pages(of: Services, customer: str | None) -> Iterator[list[Row]]:
    after = ""
    while page := of.database.rows(after, customer):
        yield page
        after = page[-1]["stripe_subscription_id"]
