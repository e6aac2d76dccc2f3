"""The metrics, one a line: what `/metrics` counts, beside what Python's client counts by itself."""

import re

from prometheus_client import Counter, Histogram

from portal_service.log import scrub

_CODE = re.compile(r"\w{1,60}")

REQUESTS = Counter("portal_requests_total", "Requests answered", ["route", "method", "status"])
REQUEST_SECONDS = Histogram("portal_request_seconds", "Time until the answer", ["route"])
WEBHOOKS = Counter("portal_webhook_outcomes_total", "Webhooks by outcome", ["type", "outcome"])
UNKNOWN_PRICES = Counter(
    "portal_unknown_prices_total", "Subscriptions seen with a price that STRIPE_PLANS lacks"
)
UNCLAIMED = Counter(
    "portal_unclaimed_subscriptions_total", "Subscriptions to our plans stored without an owner"
)
LIVE_MISSING = Counter(
    "portal_live_subscriptions_missing_total",
    "Live subscriptions that Stripe does not have under our key: the key of another account?",
)
VENDOR_ERRORS = Counter("portal_vendor_errors_total", "Failed calls", ["vendor", "error"])
LIMITER_ERRORS = Counter("portal_rate_limit_errors_total", "Requests let through uncounted")


def error_label(code: object) -> str:
    """A vendor's code as a label: anything that does not look like a code is `other`."""
    text = str(code)
    return text if _CODE.fullmatch(text) and scrub(text) == text else "other"
