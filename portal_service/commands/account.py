"""Whether the Stripe key is that of the account that our rows are about."""

from itertools import islice

from portal_service.services import Services
from portal_service.stripe_errors import NotAtStripe

_SAMPLE = 10


class AnotherAccount(Exception):
    """Raised when Stripe knows none of our live rows under our key."""


def refuse_another_account(services: Services) -> None:
    """Live subscriptions are never deleted at Stripe: if it knows none, the key is another's."""
    if not services.settings.livemode:
        return
    rows = (row for row in services.database.rows() if row["livemode"])
    live = [row["stripe_subscription_id"] for row in islice(rows, _SAMPLE)]
    if live and not any(_is_at_stripe(services, subscription) for subscription in live):
        raise AnotherAccount(
            "Stripe knows none of our live subscriptions under this key: STRIPE_SECRET_KEY is "
            "that of another account. No row was touched."
        )


def _is_at_stripe(services: Services, subscription_id: str) -> bool:
    try:
        services.stripe.subscription(subscription_id)
    except NotAtStripe:
        return False
    return True
