"""Stripe's answers as the unit tests let them come: pages, refusals, broken lines."""

from typing import Any

import requests

API = "https://api.stripe.com/v1"
DATE = "Mon, 26 Oct 2026 07:33:20 GMT"

Json = dict[str, Any]


def page(*data: Json, has_more: bool = False) -> Json:
    return {"object": "list", "data": list(data), "has_more": has_more, "url": "/v1/x"}


def refused(status: int = 400, **error: Any) -> Json:
    return {"status": status, "json": {"error": {"type": "invalid_request_error"} | error}}


LOCKED = refused(409, code="lock_timeout", message="locked")
BUSY = refused(409, type="idempotency_error", message="key in use")
BROKEN = refused(500, type="api_error", message="oops")
LOST = {"body": requests.ConnectionError("reset")}
SLOW = {"body": requests.ReadTimeout("slow")}
LIMITED = refused(429, code="rate_limit", message="slow down")
