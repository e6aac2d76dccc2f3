"""Asking Stripe in bulk: slowly, and again when it is busy."""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from portal_service.mirror import Mirror
from portal_service.services import Services
from portal_service.stripe_api import Stripe
from portal_service.stripe_errors import StripeUnavailable

T = TypeVar("T")

# Stripe allows 25 requests a second in a sandbox; the service beside us needs some of them.
PAUSE_SECONDS = 0.1
_LONGEST_WAIT_SECONDS = 30
_TRIES = 8


def retrying(services: Services) -> Services:
    """The same, with every call to Stripe tried again and again."""
    stripe = Stripe(services.settings, _with_retries)
    mirror = Mirror(services.settings, services.database, stripe)
    return replace(services, stripe=stripe, mirror=mirror)


def _with_retries(ask: Callable[[], T]) -> T:
    """What `ask` returns; tried again, later and later, while Stripe is unavailable.

    Raises StripeUnavailable after the last try, and whatever else `ask` raises at once.
    """
    for attempt in range(_TRIES - 1):
        try:
            return ask()
        except StripeUnavailable:
            time.sleep(min(_LONGEST_WAIT_SECONDS, 2**attempt))
    return ask()
