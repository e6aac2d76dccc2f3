"""The calls about where Stripe sends events: webhook endpoints, and event destinations, which are
the newer name of the same and can get thin events too."""

from typing import Any

from sandbox.stripe import shapes
from sandbox.stripe.account import Account
from sandbox.stripe.lists import page

Json = dict[str, Any]

FIRST = "we_1SandboxEndpoint"


def endpoint(account: Account, id: str, url: str, **more: Any) -> Json:
    return {
        "id": id,
        "object": "webhook_endpoint",
        "api_version": shapes.API_VERSION,
        "application": None,
        "created": account.now(),
        "description": None,
        "enabled_events": ["*"],
        "livemode": account.livemode,
        "metadata": {},
        "status": "enabled",
        "url": url,
        **more,
    }


def destination(account: Account, id: str, url: str, **more: Any) -> Json:
    """One for thin events."""
    return {
        "id": id,
        "object": "v2.core.event_destination",
        "amazon_eventbridge": None,
        "azure_event_grid": None,
        "created": _moment(account),
        "description": "",
        "enabled_events": [],
        "event_payload": "thin",
        "events_from": ["@self"],
        "livemode": account.livemode,
        "metadata": {},
        "name": id,
        "snapshot_api_version": None,
        "status": "enabled",
        "status_details": None,
        "type": "webhook_endpoint",
        "updated": _moment(account),
        "webhook_endpoint": {"signing_secret": None, "url": url},
        **more,
    }


def all_endpoints(account: Account) -> list[Json]:
    """Oldest first; the one that events are delivered to is among them."""
    hooks = account.webhooks
    events = {"api_version": hooks.api_version, "enabled_events": hooks.enabled_events}
    first = [endpoint(account, FIRST, hooks.url, **events)] if hooks.url else []
    return [*first, *account.webhook_endpoints.values()]


def list_webhook_endpoints(account: Account, params: Json) -> Json:
    return page("/v1/webhook_endpoints", "webhook_endpoint", all_endpoints(account), params)


def list_event_destinations(account: Account, params: Json) -> Json:
    """Addresses are left out unless they are asked for."""
    shows = "webhook_endpoint.url" in params.get("include", ())
    found = [
        each if shows else {**each, "webhook_endpoint": {"signing_secret": None, "url": None}}
        for each in account.event_destinations.values()
    ]
    return {"data": found, "next_page_url": None, "previous_page_url": None}


def _moment(account: Account) -> str:
    return shapes.moment(account.now())
