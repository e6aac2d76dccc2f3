"""Stripe's route: a signed delivery -> the mirror -> its outcome. 2xx is said only after
what the event says is committed; a fault of anybody's is 5xx, so that Stripe delivers again.

Rules: docs.stripe.com/webhooks/signature.
"""

import json
import logging
import re
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import stripe
from flask import Blueprint, request

from portal_service import inputs
from portal_service.config import Plan
from portal_service.errors import ServiceError
from portal_service.log import log
from portal_service.metrics import WEBHOOKS
from portal_service.mirror import CHECKOUT_EVENTS, SUBSCRIPTION_EVENTS, Event
from portal_service.observability import note
from portal_service.services import services
from portal_service.subscription import clerk_owner_of, is_ours, row_of, subscription_of

TOLERANCE_SECONDS = 300
# Postgres keeps no NUL, and UTF-8 has no half of a surrogate pair.
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


def add_routes(bp: Blueprint) -> None:
    bp.add_url_rule("/webhook", view_func=receive_webhook, methods=["POST"])


def receive_webhook() -> dict[str, Any]:
    payload = inputs.raw_body(inputs.WEBHOOK_LIMIT)
    secrets = services().settings.stripe_webhook_secrets
    verify(payload, request.headers.get("Stripe-Signature", ""), secrets)
    event = parse(payload, services().settings.plans)
    note(event=event.get("id"), type=event["type"])
    try:
        outcome = services().mirror.apply(event)
    except ServiceError as error:
        if error.status == 503:
            raise
        raise ServiceError("internal_error") from error  # what is 4xx for a frontend is ours here
    note(outcome=outcome)
    WEBHOOKS.labels(_label(event["type"]), outcome).inc()
    return {"received": True, "outcome": outcome}


def verify(payload: bytes, header: str, secrets: tuple[str, ...]) -> None:
    """Check the signature over the raw bytes with every secret, and the age in both directions.

    Raises ServiceError: invalid_signature.
    """
    if not any(_is_signed_with(secret, payload, header) for secret in secrets):
        log(logging.WARNING, "webhook with a bad signature: is STRIPE_WEBHOOK_SECRET this one's?")
        raise ServiceError("invalid_signature")


def _is_signed_with(secret: str, payload: bytes, header: str) -> bool:
    try:
        # The SDK compares strings, and raises on bytes that are not UTF-8 and on other alphabets.
        stripe.WebhookSignature.verify_header(
            payload.decode(), header.encode("ascii").decode(), secret, TOLERANCE_SECONDS
        )
    except (stripe.SignatureVerificationError, ValueError, TypeError):
        return False
    stamp = re.search(r"(?:^|,)t=(\d+)", header)  # the SDK accepts any future
    return stamp is not None and int(stamp[1]) <= time.time() + TOLERANCE_SECONDS


def parse(payload: bytes, plans: Sequence[Plan] = ()) -> Event:
    """A snapshot or thin event, with all that we use in its place.

    Raises ServiceError: invalid_payload.
    """
    try:
        event = json.loads(payload.decode())
    except (ValueError, RecursionError) as error:
        raise ServiceError("invalid_payload") from error
    if not isinstance(event, dict) or not isinstance(event.get("type"), str):
        raise ServiceError("invalid_payload")
    if not (_is_complete(event) and _is_readable(event, plans)):
        raise ServiceError("invalid_payload")
    return event


def _is_complete(event: Event) -> bool:
    if event.get("object") == "v2.core.event":
        related = event.get("related_object")
        used = event["type"].removeprefix("v1.") in SUBSCRIPTION_EVENTS | CHECKOUT_EVENTS
        return not used or isinstance(related, dict) and isinstance(related.get("id"), str)
    if event.get("object") != "event":
        return False
    data = event.get("data")
    snapshot = data.get("object") if isinstance(data, dict) else None
    if not isinstance(snapshot, dict):
        return False
    if event["type"] not in SUBSCRIPTION_EVENTS:
        return True
    return (
        isinstance(event.get("created"), int)
        and isinstance(event.get("api_version"), str | None)
        and isinstance(snapshot.get("id"), str)
        and snapshot["id"] != ""
        and isinstance(snapshot.get("status"), str)
    )


def _is_readable(event: Event, plans: Sequence[Plan]) -> bool:
    """Whether what we use of it is what Stripe makes: times that exist, text that can be kept."""
    if event["type"] not in SUBSCRIPTION_EVENTS | CHECKOUT_EVENTS or event["object"] != "event":
        return True
    snapshot = event["data"]["object"]
    try:
        used = [clerk_owner_of(snapshot)]
        if event["type"] in SUBSCRIPTION_EVENTS:
            stamp = datetime.fromtimestamp(event["created"], UTC)
            row = row_of(snapshot, plans, stamp)
            used += [*row.values(), *(v for item in row["items"] for v in item.values())]
            is_ours(snapshot, plans)
        else:
            used.append(subscription_of(snapshot))
    except (TypeError, ValueError, AttributeError, KeyError, OverflowError, OSError) as error:
        log(logging.ERROR, "a signed event can't be read", event=event.get("id"), exc_info=error)
        return False
    return not any(isinstance(part, str) and _UNSTORABLE.search(part) for part in used)


def _label(kind: str) -> str:
    """The type as a metric's label: only what we use, lest the account's other events fill it."""
    return kind if kind.removeprefix("v1.") in SUBSCRIPTION_EVENTS | CHECKOUT_EVENTS else "other"
