"""Asking Stripe and Supabase in bulk: slowly, and again when one of them is busy or away."""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TypeVar

import click

from portal_service.log import quiet
from portal_service.mirror import Mirror
from portal_service.services import Services
from portal_service.stripe_api import Stripe
from portal_service.stripe_errors import StripeUnavailable
from portal_service.supabase_db import Database
from portal_service.supabase_errors import DatabaseAway

T = TypeVar("T")

# Stripe allows 25 requests a second in a sandbox; the service beside us needs some of them.
PAUSE_SECONDS = 0.1
# A vendor has a minute and a half to come back, and what its time-outs take.
_PAUSES = (1, 2, 4, 8, 16, 30, 30)
_TOLD_FROM_SECONDS = 4
AWAY = (StripeUnavailable, DatabaseAway)


def retrying(services: Services) -> Services:
    """The same, with every call to Stripe and Supabase tried again and again."""
    stripe = Stripe(services.settings, partial(_with_retries, "Stripe"))
    database = Database(services.settings, retrying=partial(_with_retries, "Supabase"))
    mirror = Mirror(services.settings, database, stripe)
    return replace(services, stripe=stripe, database=database, mirror=mirror)


def _with_retries(vendor: str, ask: Callable[[], T]) -> T:
    """What `ask` returns; tried again, later and later, while the vendor is away. Its first failure
    has its line in the log, and is told where it lasts.

    Raises StripeUnavailable or DatabaseAway after the last try, and whatever else `ask` raises at
    once.
    """
    with suppress(*AWAY):
        return ask()
    with quiet():
        for seconds in _PAUSES[:-1]:
            if seconds == _TOLD_FROM_SECONDS:
                click.echo(f"{vendor} is away: trying again, for two minutes at most", err=True)
            time.sleep(seconds)
            with suppress(*AWAY):
                return ask()
        time.sleep(_PAUSES[-1])
        return ask()
