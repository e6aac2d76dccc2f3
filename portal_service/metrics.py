"""The metrics, one a line: what `/metrics` counts, beside what Python's client counts by itself."""

import re

from prometheus_client import Counter, Gauge, Histogram

from portal_service.log import scrub

_CODE = re.compile(r"\w{1,60}")

REQUESTS = Counter("portal_requests_total", "Requests answered", ["route", "method", "status"])
REQUEST_SECONDS = Histogram("portal_request_seconds", "Time until the answer", ["route"])
WEBHOOKS = Counter("portal_webhook_outcomes_total", "Webhooks by outcome", ["type", "outcome"])
WEBHOOK_LAG = Histogram(
    "portal_webhook_lag_seconds",
    "Time from an event at Stripe until what it says was stored",
    buckets=(1, 2, 5, 15, 60, 300, 1800, 7200, 43_200, 259_200),  # Stripe tries for three days
)
LAST_WEBHOOK = Gauge(
    "portal_webhook_last_timestamp_seconds",
    "When a delivery of Stripe's was last taken in; 0 where none was since the start",
    multiprocess_mode="max",
)
SLOW_PATH = Counter(
    "portal_webhook_questions_total", "Deliveries that made us ask Stripe, by why", ["reason"]
)
LOST_ROUNDS = Counter(
    "portal_lost_rounds_total", "Writes begun anew because somebody else was faster", ["what"]
)
TWO_RUNNING = Counter(
    "portal_two_running_subscriptions_total", "Owners seen with two running subscriptions"
)
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
VENDOR_SECONDS = Histogram(
    "portal_vendor_seconds", "Time until a vendor's answer, or until none came", ["vendor", "call"]
)
VENDOR_RETRIES = Counter(
    "portal_vendor_retries_total", "Calls that were tried once more", ["vendor", "call"]
)
VENDOR_RESTING = Gauge(
    "portal_vendor_resting",
    "Processes that leave a vendor alone after time-outs, until it answers again",
    ["vendor"],
    multiprocess_mode="livesum",
)
KEYS_FETCHED = Gauge(
    "portal_keys_fetched_timestamp_seconds",
    "When the keys that verify tokens were last fetched, by the process that did so longest ago",
    ["vendor"],  # without a label it would be 0, thus the oldest, where none was fetched yet
    multiprocess_mode="livemin",
)
VENDOR_IN_FLIGHT = Gauge(
    "portal_vendor_in_flight",
    "Calls on their way to a vendor",
    ["vendor"],
    multiprocess_mode="livesum",
)
VENDOR_REFUSED = Counter(
    "portal_vendor_refused_total",
    "Calls that were not made: too many wait (busy), or too many timed out (resting)",
    ["vendor", "call", "reason"],
)
QUEUE_SECONDS = Histogram("portal_queue_seconds", "Time in front of a thread, before the request")
REFUSED_ORIGINS = Counter(
    "portal_refused_origins_total", "Answers that a browser kept from its page", ["reason"]
)
SYNC_LAST = Gauge(
    "portal_sync_last_timestamp_seconds",
    "When a run of `sync` last ended so; absent where none did",
    ["scope", "outcome"],
    multiprocess_mode="mostrecent",
)
SYNC_DIFFERING = Gauge(
    "portal_sync_differing_rows",
    "Rows that the last run of `sync` found not to be what Stripe says",
    ["scope"],
    multiprocess_mode="mostrecent",
)
SYNC_UNCLAIMED = Gauge(
    "portal_sync_unclaimed_subscriptions",
    "Subscriptions to our plans that have not ended and that the last run of `sync` found without "
    "an owner",
    ["scope"],
    multiprocess_mode="mostrecent",
)
LIMITER_ERRORS = Counter("portal_rate_limit_errors_total", "Requests let through uncounted")


def error_label(code: object) -> str:
    """A vendor's code as a label: anything that does not look like a code is `other`."""
    text = str(code)
    return text if _CODE.fullmatch(text) and scrub(text) == text else "other"
