"""What one app holds: its settings, and one of each thing that lasts longer than a request."""

from dataclasses import dataclass

from flask import current_app
from flask.sansio.app import App
from limits.storage import storage_from_string
from limits.strategies import FixedWindowRateLimiter

from portal_service.clerk import Clerk
from portal_service.config import Settings
from portal_service.mirror import Mirror
from portal_service.once import Once
from portal_service.plans import Catalogue
from portal_service.single_flight import SingleFlight
from portal_service.stripe_api import Stripe
from portal_service.supabase_db import Database

_EXTENSION = "portal_service"
_OUTLIVED_AGAIN_SECONDS = 3600.0


@dataclass(frozen=True)
class Services:
    settings: Settings
    database: Database
    stripe: Stripe
    clerk: Clerk
    mirror: Mirror
    catalogue: Catalogue
    limiter: FixedWindowRateLimiter
    refreshes: SingleFlight[None]  # under way, each of one owner, or of one outlived row
    outlived: Once  # the rows past their own date that Stripe was asked about

    @classmethod
    def from_settings(cls, settings: Settings) -> "Services":
        database, stripe = Database(settings), Stripe(settings)
        mirror = Mirror(settings, database, stripe)
        return cls(
            settings,
            database,
            stripe,
            Clerk(settings),
            mirror,
            Catalogue(settings, stripe),
            _limiter(settings.rate_limit_storage_uri),
            SingleFlight(),
            Once(_OUTLIVED_AGAIN_SECONDS),
        )

    def attach(self, app: App) -> None:
        app.extensions[_EXTENSION] = self


def _limiter(uri: str) -> FixedWindowRateLimiter:
    """Redis' client waits for ever unless told otherwise; what the address itself says wins."""
    redis = uri.startswith(("redis", "valkey"))
    seconds = {"socket_timeout": 0.5, "socket_connect_timeout": 0.5} if redis else {}
    return FixedWindowRateLimiter(storage_from_string(uri, **seconds))


def current_services() -> Services:
    """Those of the app that answers the present request."""
    return current_app.extensions[_EXTENSION]  # type: ignore[no-any-return]
