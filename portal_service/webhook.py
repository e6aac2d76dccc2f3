"""Stripe's route: a signed delivery -> the mirror -> its outcome. 2xx is said only after
what the event says is committed; a fault of anybody's is 5xx, so that Stripe delivers again.

Rules: docs.stripe.com/webhooks/signature.
"""

import logging
import re
import time
from typing import Any

import stripe
from flask import Blueprint, request

from portal_service import deliveries, events
from portal_service.config import Settings
from portal_service.errors import ServiceError
from portal_service.log import log
from portal_service.observability import note
from portal_service.request_body import WEBHOOK_LIMIT, raw_body
from portal_service.services import current_services

TOLERANCE_SECONDS = 300


def add_routes(bp: Blueprint) -> None:
    bp.add_url_rule("/webhook", view_func=receive_webhook, methods=["POST"])


def receive_webhook() -> dict[str, Any]:
    services = current_services()
    payload = raw_body(WEBHOOK_LIMIT)
    signature = request.headers.get("Stripe-Signature", "")
    verify(payload, signature, services.settings.stripe_webhook_secrets)
    event = events.parse(payload)
    note(event=event.get("id"), type=event["type"], **deliveries.about(event))
    try:
        outcome = services.mirror.apply(event)
    except ServiceError as error:
        deliveries.count(event, "failed")
        if error.status == 503 or isinstance(error, events.InvalidPayload):
            raise
        raise ServiceError("internal_error") from error  # what is 4xx for a frontend is ours here
    note(outcome=outcome)
    deliveries.count(event, outcome)
    answer: dict[str, Any] = {"received": True, "outcome": outcome}
    if event["type"] == events.CHECK_EVENT:
        answer["caller"] = _caller(services.settings)
    return answer


def _caller(settings: Settings) -> dict[str, Any]:
    """What the proxies in front say of the caller's address, and which one is believed. Told to
    nobody but whoever has the signing secret.
    """
    return {
        "address": request.remote_addr,
        "forwarded_for": request.headers.get("X-Forwarded-For", ""),
        "trusted_proxy_hops": settings.trusted_proxy_hops,
    }


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
