"""Clerk's route: a signed delivery -> who leaves (leaving.py), who moves (moving.py) -> its
outcome. 2xx is said only after it is done; a fault of anybody's is 5xx, so that Clerk delivers
again. The route is there only where CLERK_WEBHOOK_SECRET is set.

Rules: docs.svix.com/receiving/verifying-payloads/how-manual, clerk.com/docs/webhooks.
"""

import json
import logging
from typing import Any

from flask import Blueprint, request
from standardwebhooks import Webhook, WebhookVerificationError
from werkzeug.datastructures import Headers

from portal_service import leaving, moving
from portal_service.errors import ServiceError
from portal_service.log import log
from portal_service.metrics import WEBHOOKS
from portal_service.observability import note
from portal_service.owner import ORGANIZATION, USER, is_owner
from portal_service.request_body import WEBHOOK_LIMIT, raw_body
from portal_service.services import Services, current_services

Event = dict[str, Any]

_KINDS = {"user": USER, "organization": ORGANIZATION}  # as Clerk's types of events name them
USED_EVENTS = frozenset(
    f"{kind}.{change}" for kind in _KINDS for change in ("created", "updated", "deleted")
)
# What a customer's name may hold at Stripe, and a value of its metadata.
_LONGEST_NAME, _LONGEST_ADDRESS = 256, 500
_SIGNED = ("id", "timestamp", "signature")


def add_routes(bp: Blueprint) -> None:
    bp.add_url_rule("/clerk/webhook", view_func=receive_clerk_webhook, methods=["POST"])


def receive_clerk_webhook() -> dict[str, Any]:
    services = current_services()
    payload = raw_body(WEBHOOK_LIMIT)
    verify(payload, request.headers, services.settings.clerk_webhook_secrets)
    event = parse(payload)
    note(type=event["type"])
    try:
        outcome = _apply(services, event)
    except ServiceError as error:
        if error.status == 503 or error.code == "invalid_payload":
            raise
        raise ServiceError("internal_error") from error  # what is 4xx for a frontend is ours here
    note(outcome=outcome)
    # Only types that we use: the instance's other events would make any number of labels.
    WEBHOOKS.labels(event["type"] if event["type"] in USED_EVENTS else "other", outcome).inc()
    return {"received": True, "outcome": outcome}


def verify(payload: bytes, headers: Headers, secrets: tuple[str, ...]) -> None:
    """Check the signature over the raw bytes with every secret, and the age, at most 5 minutes in
    both directions. The headers are Svix', or those of Standard Webhooks; never of both.

    Raises ServiceError: invalid_signature.
    """
    family = "svix" if "svix-id" in headers else "webhook"
    signed = {f"webhook-{n}": headers.get(f"{family}-{n}", "") for n in _SIGNED}
    if not any(_is_signed_with(secret, payload, signed) for secret in secrets):
        log(logging.WARNING, "Clerk's webhook with a bad signature: is CLERK_WEBHOOK_SECRET its?")
        raise ServiceError("invalid_signature")


def _is_signed_with(secret: str, payload: bytes, headers: dict[str, str]) -> bool:
    try:
        Webhook(secret).verify(payload, headers, json_parse=False)
    except (WebhookVerificationError, ValueError):  # the latter for what is not UTF-8, not base64
        return False
    return True


def parse(payload: bytes) -> Event:
    """An event of Clerk's, with the id of whom it is about where we use it.

    Raises ServiceError: invalid_payload.
    """
    try:
        event = json.loads(payload)
        if event["type"] in USED_EVENTS:
            kind = _KINDS[event["type"].partition(".")[0]]
            if not kind.has(event["data"]["id"]):
                raise ValueError
        if not isinstance(event["type"], str):
            raise TypeError
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise _invalid() from error
    return event  # type: ignore[no-any-return]


def _apply(services: Services, event: Event) -> str:
    if event["type"] not in USED_EVENTS:
        return "ignored"
    clerk_id = event["data"]["id"]
    note(clerk_owner_id=clerk_id)
    if not is_owner(clerk_id, services.settings):
        return "ignored"
    if event["type"].endswith(".deleted"):
        return leaving.leave(services, clerk_id)
    return "updated" if moving.bring(services, clerk_id, details(event)) else "ignored"


def details(event: Event) -> moving.Details:
    """What an event says of an owner. Raises ServiceError: invalid_payload."""
    data = event["data"]
    try:
        updated_at = data["updated_at"]
        if type(updated_at) is not int or not 0 < updated_at < 10**15:
            raise ValueError
        if event["type"].startswith("user."):
            parts = (_text(data.get(part)) for part in ("first_name", "last_name"))
            name, address = " ".join(filter(None, parts)), _verified_address(data)
        else:
            name, address = _text(data["name"]), None
        return moving.Details(address, name[:_LONGEST_NAME].strip() or None, updated_at)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        log(logging.ERROR, "a signed event of Clerk's can't be read", type=event["type"])
        raise _invalid() from error


def _verified_address(data: dict[str, Any]) -> str | None:
    """The primary address; none where nobody has shown that it is theirs."""
    primary = data["primary_email_address_id"]
    for address in data["email_addresses"]:
        verified = (address.get("verification") or {}).get("status") == "verified"
        if address["id"] == primary and verified:
            found = _text(address["email_address"])
            return found if len(found) <= _LONGEST_ADDRESS else None
    return None


def _text(value: Any) -> str:
    """Raises ValueError and TypeError for what Stripe can't be sent."""
    if value is None:
        return ""
    if not isinstance(value, str) or "\0" in value:
        raise TypeError
    value.encode()  # half of a surrogate pair raises
    return value.strip()


def _invalid() -> ServiceError:
    return ServiceError("invalid_payload", "The payload is not a Clerk event")
