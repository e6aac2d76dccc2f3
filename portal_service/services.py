"""What one app holds: its settings, and one of each thing that lasts longer than a request."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from flask import current_app
from flask.sansio.app import App
from limits.storage import storage_from_string
from limits.strategies import FixedWindowRateLimiter

from portal_service import deadline
from portal_service.clerk import Clerk
from portal_service.config import Settings
from portal_service.counters import Counters
from portal_service.mirror import Mirror
from portal_service.once import Once
from portal_service.plans import Plans
from portal_service.portal_choice import PortalChoice
from portal_service.prices import Prices
from portal_service.single_flight import SingleFlight
from portal_service.slots import NoSlot, Slots
from portal_service.stripe_api import Stripe
from portal_service.stripe_errors import StripeUnavailable
from portal_service.supabase_db import Database
from portal_service.transport import Transport

_EXTENSION = "portal_service"
_OUTLIVED_AGAIN_SECONDS = 3600.0
_WARM_SECONDS = 2.0


@dataclass(frozen=True)
class Services:
    settings: Settings
    database: Database
    stripe: Stripe
    clerk: Clerk
    mirror: Mirror
    prices: Prices
    plans: Plans
    portal_choice: PortalChoice
    limiter: FixedWindowRateLimiter
    refreshes: SingleFlight[None]  # under way, each of one owner, or of one outlived row
    outlived: Once  # the rows past their own date that Stripe was asked about

    @classmethod
    def from_settings(cls, settings: Settings) -> "Services":
        slots = Slots(settings.threads)
        transport = Transport(slots)
        database, stripe = Database(settings, transport), Stripe(settings, transport=transport)
        waiting = partial(_waiting_for_stripe, slots)
        mirror = Mirror(settings, database, stripe, waiting)
        return cls(
            settings,
            database,
            stripe,
            Clerk(settings, transport),
            mirror,
            Prices(settings, stripe),
            Plans(settings, stripe, waiting),
            PortalChoice(settings, stripe),
            _limiter(settings.rate_limit_storage_uri),
            SingleFlight(waiting),
            Once(_OUTLIVED_AGAIN_SECONDS),
        )

    def warm(self) -> None:
        """What the first requests of a process would else wait for, or be refused for: Clerk's keys
        are fetched by one thread, and none waits for it.
        """
        if self.clerk.key_set is not None:
            with deadline.within(_WARM_SECONDS):
                self.clerk.key_set.probe()
        self.database.connect()
        self.stripe.connect()
        self.portal_choice.known()  # which begins to look

    def attach(self, app: App) -> None:
        app.extensions[_EXTENSION] = self


@contextmanager
def _waiting_for_stripe(slots: Slots) -> Iterator[None]:
    """Who waits for another thread's question to Stripe takes a place as if it asked itself."""
    try:
        with slots.joining("stripe"):
            yield
    except NoSlot as error:
        raise StripeUnavailable from error


def _limiter(uri: str) -> FixedWindowRateLimiter:
    """Redis' client waits for ever unless told otherwise; what the address itself says wins."""
    if uri.startswith("memory:"):
        return FixedWindowRateLimiter(Counters())
    redis = uri.startswith(("redis", "valkey"))
    seconds = {"socket_timeout": 0.5, "socket_connect_timeout": 0.5} if redis else {}
    return FixedWindowRateLimiter(storage_from_string(uri, **seconds))


def services_of(app: App) -> Services:
    """Those that were attached to an app."""
    return app.extensions[_EXTENSION]  # type: ignore[no-any-return]


def current_services() -> Services:
    """Those of the app that answers the present request."""
    return services_of(current_app)
