"""What an operator sees: the request id, the log, the metrics. Logs no body, no token, no key and
no URL of a session; what slips into a message all the same is blotted out at the end.
"""

import json
import logging
import re
import sys
import time
import uuid
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

from flask import Response, g, request
from flask.sansio.scaffold import Scaffold
from prometheus_client import Counter, Gauge, Histogram

from portal_service import deadline

LOGGER = logging.getLogger("portal_service")

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
VENDOR_SECONDS = Histogram(
    "portal_vendor_seconds", "Time until a vendor's answer, or until none came", ["vendor", "call"]
)
VENDOR_IN_FLIGHT = Gauge(
    "portal_vendor_in_flight",
    "Threads that wait for a vendor",
    ["vendor"],
    multiprocess_mode="livesum",
)
VENDOR_REFUSED = Counter(
    "portal_vendor_refused_total",
    "Calls that were not made: too many wait (busy), or too many timed out (resting)",
    ["vendor", "call", "reason"],
)
LIMITER_ERRORS = Counter("portal_rate_limit_errors_total", "Requests let through uncounted")

_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
_CODE = re.compile(r"\w{1,60}")
_GOOD_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
_request_id: ContextVar[str | None] = ContextVar("request_id", default=None)

_SECRETS = re.compile(
    r"(?:(?:sk|rk|pk)_(?:test|live)_\w|whsec_[\w+/]|sb_secret_\w)[\w+/=-]*"  # keys
    r"|eyJ[\w-]+\.[\w-]+\.[\w-]*"  # tokens
    # Session URLs are credentials; Stripe serves them on a domain of the account's own, too.
    r"|https?://(?:(?:billing|checkout)\.stripe\.com/|[^\s\"'/]+/(?:c/pay|p/session)/)[^\s\"']*"
    r"|[\w.+-]+@[\w-]+(?:\.[\w-]+)+"  # e-mail addresses
)


def scrub(text: str) -> str:
    """Blot out keys, tokens, session URLs and e-mail addresses."""
    return _SECRETS.sub("[removed]", text)


def label(value: object) -> str:
    """A vendor's code as a metric's label: anything that does not look like one is `other`."""
    text = str(value)
    return text if _CODE.fullmatch(text) and scrub(text) == text else "other"


def _scrubbed(value: Any) -> Any:
    """As `scrub`, in whatever a field holds; before it is JSON, whose escapes hide beginnings."""
    if isinstance(value, dict):
        return {name: _scrubbed(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_scrubbed(one) for one in value]
    return value if isinstance(value, (int, float, bool, type(None))) else scrub(str(value))


def request_id() -> str | None:
    return _request_id.get()


def log(level: int, message: str, *, exc_info: BaseException | None = None, **fields: Any) -> None:
    """Write one line: a constant message, and what varies as fields."""
    LOGGER.log(level, message, exc_info=exc_info, extra={"fields": fields})


class JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "message": record.getMessage(),
            "request_id": request_id(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(_scrubbed(line))


class TextFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        fields = {"request_id": request_id(), **getattr(record, "fields", {})}
        pairs = " ".join(f"{name}={value}" for name, value in fields.items() if value is not None)
        text = f"{self.formatTime(record)} {record.levelname} {record.getMessage()} {pairs}"
        if record.exc_info:
            text += "\n" + self.formatException(record.exc_info)
        return scrub(text)


def scrub_record(record: logging.LogRecord) -> bool:
    """A filter: lets every record pass, scrubbed, whoever formats it."""
    record.msg, record.args = scrub(record.getMessage()), None
    if hasattr(record, "fields"):
        record.fields = _scrubbed(record.fields)
    if record.exc_info:
        record.exc_text = scrub(logging.Formatter().formatException(record.exc_info))
    return True


LOGGER.addFilter(scrub_record)  # a host app has formatters of its own


def configure_logging(log_format: str, level: str) -> None:
    """Send our log to standard error. Only for an app of our own: a host app has its own log."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if log_format == "json" else TextFormatter())
    LOGGER.handlers = [handler]
    LOGGER.setLevel(level)
    LOGGER.propagate = False


def observe(scaffold: Scaffold) -> None:
    """Give every request below an app or a blueprint its id, its budget, its log line."""
    scaffold.before_request(_begin)
    scaffold.after_request(_finish)
    scaffold.teardown_request(_end)


def _begin() -> None:
    if "portal_started" in g:  # the app and the blueprint inside it both observe
        return
    g.portal_started = time.monotonic()
    deadline.begin()
    sent = request.headers.get("X-Request-ID", "")
    _request_id.set(sent if _GOOD_REQUEST_ID.fullmatch(sent) else uuid.uuid4().hex)


def _finish(response: Response) -> Response:
    if "portal_started" not in g or "portal_finished" in g:
        return response
    g.portal_finished = True
    response.headers["X-Request-ID"] = request_id() or ""
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Content-Type-Options"] = "nosniff"
    seconds = time.monotonic() - g.portal_started
    route = _route()
    method = request.method if request.method in _METHODS else "other"
    REQUESTS.labels(route, method, response.status_code).inc()
    REQUEST_SECONDS.labels(route).observe(seconds)
    log(
        logging.DEBUG if route in ("/healthz", "/readyz", "/metrics") else logging.INFO,
        "request",
        method=method,
        route=route,
        status=response.status_code,
        ms=round(seconds * 1000),
        **g.get("portal_log", {}),
    )
    return response


def _route() -> str:
    """The rule that answered: a label with few values, whatever paths strangers try."""
    rule = request.url_rule
    return "unknown" if rule is None or rule.arguments else rule.rule


def note(**fields: Any) -> None:
    """Add fields to the log line of the request that is running."""
    g.setdefault("portal_log", {}).update(fields)


def _end(_: BaseException | None) -> None:
    _request_id.set(None)
    deadline.end()
