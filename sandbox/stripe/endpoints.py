"""The calls about where Stripe sends events: webhook endpoints, and event destinations, which are
the newer name of the same and can get thin events too."""

from typing import Any

from sandbox.stripe import shapes
from sandbox.stripe.account import Account
from sandbox.stripe.errors import StripeError, unknown_here
from sandbox.stripe.lists import page, stored

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


def create_webhook_endpoint(account: Account, params: Json) -> Json:
    """The answer alone has the secret. Live mode wants https, as Stripe does."""
    fields = {name: value for name, value in params.items() if name != "expand"}
    _check_url(account, fields["url"])
    fields.setdefault("api_version", shapes.API_VERSION)
    made = endpoint(account, shapes.new_id("we", 23), **fields)
    account.webhook_endpoints[made["id"]] = made
    return {**made, "secret": "whsec_" + shapes.new_id("made", 31)}


def update_webhook_endpoint(account: Account, params: Json, id: str) -> Json:
    found = stored(account, account.webhook_endpoints, "webhook_endpoint", id, "id", 404)
    changes = {name: value for name, value in params.items() if name != "expand"}
    if "disabled" in changes:
        found["status"] = "disabled" if changes.pop("disabled") else "enabled"
    if "url" in changes:
        _check_url(account, changes["url"])
    found.update(changes)
    return found


def delete_webhook_endpoint(account: Account, params: Json, id: str) -> Json:
    stored(account, account.webhook_endpoints, "webhook_endpoint", id, "id", 404)
    del account.webhook_endpoints[id]
    return {"id": id, "object": "webhook_endpoint", "deleted": True}


def _check_url(account: Account, url: str) -> None:
    if account.livemode and not url.startswith("https://"):
        raise StripeError("Invalid URL: URLs must be https in live mode.", param="url")


def list_event_destinations(account: Account, params: Json) -> Json:
    """Addresses are left out unless they are asked for."""
    shows = "webhook_endpoint.url" in params.get("include", ())
    found = [
        each if shows else {**each, "webhook_endpoint": {"signing_secret": None, "url": None}}
        for each in account.event_destinations.values()
    ]
    return {"data": found, "next_page_url": None, "previous_page_url": None}


def create_event_destination(account: Account, params: Json) -> Json:
    """Thin ones for webhook endpoints alone. The secret is shown where it is asked for, once."""
    if params["event_payload"] != "thin" or params["type"] != "webhook_endpoint":
        raise unknown_here("event destinations other than thin webhook endpoints")
    fields = {n: v for n, v in params.items() if n not in ("include", "webhook_endpoint")}
    url = params["webhook_endpoint"]["url"]
    _check_url(account, url)
    made = destination(account, shapes.new_id("ed_test", 23), url, **fields)
    account.event_destinations[made["id"]] = made
    shows = "webhook_endpoint.signing_secret" in params.get("include", ())
    secret = "whsec_" + shapes.new_id("thin", 31) if shows else None
    return {**made, "webhook_endpoint": {"signing_secret": secret, "url": url}}


def update_event_destination(account: Account, params: Json, id: str) -> Json:
    found = stored(account, account.event_destinations, "event_destination", id, "id", 404)
    found.update({name: value for name, value in params.items() if name != "include"})
    return found


def enable_event_destination(account: Account, params: Json, id: str) -> Json:
    found = stored(account, account.event_destinations, "event_destination", id, "id", 404)
    found["status"] = "enabled"
    return found


def delete_event_destination(account: Account, params: Json, id: str) -> Json:
    stored(account, account.event_destinations, "event_destination", id, "id", 404)
    del account.event_destinations[id]
    return {"id": id, "object": "v2.core.event_destination"}


def _moment(account: Account) -> str:
    return shapes.moment(account.now())
