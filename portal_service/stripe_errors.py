"""What an error of Stripe's means to us: the one mapping. The log gets what an operator needs to
mend it, the caller a code.
"""

import logging
import re
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

import stripe

from portal_service import last_call
from portal_service.errors import ServiceError
from portal_service.log import log, scrub
from portal_service.metrics import VENDOR_ERRORS, error_label
from portal_service.slots import NoSlot

_CURES = {
    "portal_not_configured": "Save the settings once in Stripe's dashboard, Settings > Billing > "
    "Customer portal (for this mode), or set STRIPE_PORTAL_CONFIGURATION to an active one of it",
    "checkout_not_configured": "STRIPE_PLANS lists a price that Stripe can't sell under "
    "STRIPE_SECRET_KEY: it is of the other mode or account, archived, or not recurring",
    "internal_error": "Check STRIPE_SECRET_KEY, its permissions and STRIPE_CHECKOUT_PARAMS",
}


class StripeFailed(ServiceError):
    """Raised when Stripe did not do it.

    replayed: the error is an old one that Stripe kept with the idempotency key, for a day.
    """

    replayed = False


class StripeUnavailable(StripeFailed):
    """Raised when trying again can help: no answer, too many requests, a fault of Stripe's."""

    code = "stripe_unavailable"


class KeyInUse(StripeUnavailable):
    """Raised when another request has the idempotency key, or a lock, at this moment."""


class KeyForbidden(StripeFailed):
    """Raised when our key may not do this, is none (any more), or is another account's."""


class StripeRefused(StripeFailed):
    """Raised when Stripe said no for good."""

    code = "stripe_refused"


class KeyReused(StripeRefused):
    """Raised when another request had the idempotency key, with other parameters."""


class CustomerMissing(StripeRefused):
    """Raised when Stripe does not know the customer (any more, or under this key)."""

    code = "customer_not_found"


class NotAtStripe(StripeRefused):
    """Raised when the object that was asked for does not exist under this key.

    date: the moment of the answer on Stripe's clock.
    """

    def __init__(self, date: datetime | None) -> None:
        super().__init__()
        self.date = date


def translated(
    error: stripe.StripeError, optional: bool = False, late: bool = False
) -> StripeFailed:
    """Stripe's error as ours. The log gets what an operator needs to mend it.

    optional: that our key may not ask this is no fault, and whoever asked tells it.
    late: somebody else may have done it first, and then Stripe refuses it.
    """
    if isinstance(error.__cause__, NoSlot):  # which `slots` tells, in one line for many
        return StripeUnavailable()
    details = error.error
    code = getattr(details, "code", None) or error.code
    param = getattr(details, "param", None)
    translated = _kind(error, code, param)
    translated.replayed = (error.headers or {}).get("Idempotent-Replayed") == "true"
    if optional and isinstance(translated, KeyForbidden):
        return translated
    if optional and error.http_status == 404:  # whatever the parameter is called
        translated = NotAtStripe(header_date(error.headers))
    level = logging.ERROR if translated.status >= 500 else logging.WARNING
    lost_a_race = isinstance(translated, StripeRefused) and late
    if lost_a_race or isinstance(translated, KeyInUse | KeyReused) or translated.replayed:
        level = logging.INFO  # two clicks at once: normal; and an old error was told before
    VENDOR_ERRORS.labels("stripe", error_label(code or type(error).__name__)).inc()
    log(
        level,
        "stripe call failed",
        **last_call.fields(),
        answer=translated.code,
        status=error.http_status,
        stripe_type=type(error).__name__,
        stripe_code=code,
        stripe_param=param,
        stripe_request_id=error.request_id,
        stripe_message=scrub(error.user_message or str(error)),
        cure=_CURES.get(translated.code),
    )
    return translated


def _kind(error: stripe.StripeError, code: str | None, param: str | None) -> StripeFailed:
    status = error.http_status
    if status in (401, 403):
        return KeyForbidden()
    if isinstance(error, stripe.IdempotencyError):
        return KeyReused()
    if status == 409 or code == "lock_timeout":
        return KeyInUse()
    if status is None or status >= 500 or status == 429 or code == "rate_limit":
        return StripeUnavailable()
    if not isinstance(error, (stripe.InvalidRequestError, stripe.CardError)):
        return StripeUnavailable() if status < 400 else StripeRefused()
    if (code or "").startswith("parameter_") or code == "url_invalid":
        return StripeFailed("internal_error")
    if "No configuration provided" in (error.user_message or "") or param == "configuration":
        return StripeFailed("portal_not_configured")
    if re.fullmatch(r"line_items(\[\d+\]\[price\])?|flow_data.*\[price\]", param or ""):
        return StripeFailed("checkout_not_configured")
    if code == "resource_missing" and param == "customer":
        return CustomerMissing()
    if status == 404:
        return NotAtStripe(header_date(error.headers))
    return StripeRefused()


def header_date(headers: Any) -> datetime | None:
    try:
        return parsedate_to_datetime(headers["Date"])
    except (KeyError, TypeError, ValueError):
        return None
