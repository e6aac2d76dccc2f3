"""Asking Stripe in bulk: politely, and again when it is busy."""

import time
from collections.abc import Callable
from typing import TypeVar

from portal_service.stripe_errors import StripeUnavailable

T = TypeVar("T")

# Stripe allows 25 requests a second in a sandbox; the live service beside us needs some of them.
PAUSE_SECONDS = 0.1
_LONGEST_WAIT_SECONDS = 30
_TRIES = 8


def patiently(ask: Callable[[], T], sleep: Callable[[float], None] = time.sleep) -> T:
    """What `ask` returns; tried again, later and later, while Stripe is unavailable.

    Raises StripeUnavailable after the last try, and whatever else `ask` raises at once.
    """
    for attempt in range(_TRIES):
        try:
            return ask()
        except StripeUnavailable:
            if attempt == _TRIES - 1:
                raise
            sleep(min(_LONGEST_WAIT_SECONDS, 2**attempt))
    raise AssertionError("unreachable")
