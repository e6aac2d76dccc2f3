"""The two ways in which Stripe sends events to an address, in one shape: webhook endpoints with
snapshots, and event destinations with thin events. Decides nothing.
"""

from typing import Any, Protocol

from portal_service.events import USED_EVENTS
from portal_service.stripe_setup import API_VERSION, StripeSetup
from portal_service.subscription import StripeObject

_MADE_BY = "portal_service"


class Way(Protocol):
    """events: those that we use, by this way's names. version: what an endpoint is made with."""

    events: frozenset[str]
    version: str | None

    def at(self, url: str) -> list[StripeObject]:
        """Those with this address, each with id, status, enabled_events, api_version."""

    def marked(self, run: str) -> list[str]:
        """The ids of those that were made with this word."""

    def make(self, url: str, run: str) -> tuple[str, str]:
        """Its id, and its secret, which Stripe tells this once."""

    def enable(self, one: str, events: list[str] | None, enabled: bool) -> None:
        """Set its events, where some are given, and enable it, where that is said."""

    def delete(self, one: str) -> None: ...


class Snapshots:
    events = USED_EVENTS
    version: str | None = API_VERSION

    def __init__(self, setup: StripeSetup) -> None:
        self._setup = setup

    def at(self, url: str) -> list[StripeObject]:
        return [one for one in self._setup.webhook_endpoints() if one["url"].rstrip("/") == url]

    def marked(self, run: str) -> list[str]:
        return [o["id"] for o in self._setup.webhook_endpoints() if o["metadata"].get("run") == run]

    def make(self, url: str, run: str) -> tuple[str, str]:
        made = self._setup.create_webhook_endpoint(
            {
                "url": url,
                "enabled_events": sorted(self.events),
                "api_version": self.version,
                "metadata": {"made_by": _MADE_BY, "run": run},
            }
        )
        return made["id"], made["secret"]

    def enable(self, one: str, events: list[str] | None, enabled: bool) -> None:
        changes: dict[str, Any] = {"enabled_events": events} if events else {}
        if enabled:
            changes["disabled"] = False
        self._setup.update_webhook_endpoint(one, changes)

    def delete(self, one: str) -> None:
        self._setup.delete_webhook_endpoint(one)


class Thin:
    """Thin events have no release: they name what changed, and hold nothing of it."""

    events = frozenset(f"v1.{name}" for name in USED_EVENTS)
    version: str | None = None

    def __init__(self, setup: StripeSetup) -> None:
        self._setup = setup

    def at(self, url: str) -> list[StripeObject]:
        known = self._setup.thin_destinations()
        ours = [o for o in known if (o["webhook_endpoint"]["url"] or "").rstrip("/") == url]
        return [{**one, "api_version": None} for one in ours]

    def marked(self, run: str) -> list[str]:
        known = self._setup.thin_destinations()
        return [one["id"] for one in known if (one["metadata"] or {}).get("run") == run]

    def make(self, url: str, run: str) -> tuple[str, str]:
        made = self._setup.create_thin_destination(
            {
                "name": _MADE_BY,
                "type": "webhook_endpoint",
                "event_payload": "thin",
                "enabled_events": sorted(self.events),
                "webhook_endpoint": {"url": url},
                "include": ["webhook_endpoint.signing_secret"],
                "metadata": {"made_by": _MADE_BY, "run": run},
            }
        )
        return made["id"], made["webhook_endpoint"]["signing_secret"]

    def enable(self, one: str, events: list[str] | None, enabled: bool) -> None:
        if events:
            self._setup.update_thin_destination(one, {"enabled_events": events})
        if enabled:
            self._setup.enable_thin_destination(one)

    def delete(self, one: str) -> None:
        self._setup.delete_thin_destination(one)
