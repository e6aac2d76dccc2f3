"""What the fields of a body may hold; anything else is `invalid_request`. Pure: request_body.py
reads the request.
"""

import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

from portal_service.config import Plan, Settings, origin_of
from portal_service.errors import ServiceError

_LONGEST_URL = 2000

FLOWS = (
    "payment_method_update", "subscription_cancel", "subscription_update",
    "subscription_update_confirm", "subscription_pause", "customer_update",
)  # fmt: skip
INTERVALS = ("month", "year", "week", "day")
# Stripe's two lists; a test holds them to the SDK's.
_COMMON_LOCALES = (
    "auto", "bg", "cs", "da", "de", "el", "en", "en-GB", "es", "es-419", "et", "fi", "fil",
    "fr", "fr-CA", "hr", "hu", "id", "it", "ja", "ko", "lt", "lv", "ms", "mt", "nb", "nl",
    "pl", "pt", "pt-BR", "ro", "ru", "sk", "sl", "sv", "th", "tr", "vi", "zh", "zh-HK", "zh-TW",
)  # fmt: skip
PORTAL_LOCALES = (*_COMMON_LOCALES, "en-AU", "en-CA", "en-IE", "en-IN", "en-NZ", "en-SG")
CHECKOUT_LOCALES = (*_COMMON_LOCALES, "hi-IN")
# What browsers mean by a language that Stripe calls otherwise.
_LOCALE_ALIASES = {"no": "nb", "nn": "nb", "zh-hant": "zh-TW", "zh-hant-hk": "zh-HK"}


def invalid_request(detail: str) -> ServiceError:
    return ServiceError("invalid_request", detail)


def flow(fields: dict[str, Any]) -> str | None:
    wanted = fields.get("flow")
    if wanted is not None and wanted not in FLOWS:
        raise invalid_request(f"flow is one of {', '.join(FLOWS)}")
    return wanted


def price(fields: dict[str, Any], plans: tuple[Plan, ...]) -> str | None:
    """A listed price; None where a plan is wanted."""
    wanted = fields.get("price")
    if wanted is not None:
        if "plan" in fields or "interval" in fields:
            raise invalid_request("Send a price, or a plan with an interval, not both")
        if wanted not in [price for plan in plans for price in plan.prices]:
            raise invalid_request("price is not a price of a plan")
    return wanted


def plan(fields: dict[str, Any], plans: tuple[Plan, ...]) -> Plan:
    """The plan of that name, the first one by default."""
    for known in plans:
        if fields.get("plan", plans[0].name) == known.name:
            return known
    raise invalid_request(f"plan is one of {', '.join(known.name for known in plans)}")


def interval(fields: dict[str, Any]) -> str | None:
    wanted = fields.get("interval")
    if wanted is not None and wanted not in INTERVALS:
        raise invalid_request(f"interval is one of {', '.join(INTERVALS)}")
    return wanted


def quantity(fields: dict[str, Any]) -> int | None:
    wanted = fields.get("quantity")
    if wanted is None:
        return None
    if not isinstance(wanted, int) or isinstance(wanted, bool) or not 1 <= wanted <= 999_999:
        raise invalid_request("quantity is a whole number from 1")
    return wanted


def checkout_session_id(fields: dict[str, Any]) -> str | None:
    wanted = fields.get("checkout_session_id")
    if wanted is not None and not (
        isinstance(wanted, str) and re.fullmatch(r"cs_[A-Za-z0-9_]{1,250}", wanted)
    ):
        raise invalid_request("checkout_session_id is cs_… as the success URL has it")
    return wanted


def locale(fields: dict[str, Any], supported: Iterable[str]) -> str | None:
    """An exact match, else what browsers mean, else the language, else `auto`; None where nothing
    was asked for.
    """
    wanted = fields.get("locale")
    if wanted is None:
        return None
    by_name = {name.lower(): name for name in supported}
    name = wanted.lower().replace("_", "-") if isinstance(wanted, str) else ""
    while name:
        if found := by_name.get(name) or _LOCALE_ALIASES.get(name):
            return found
        name = name.rpartition("-")[0]
    return "auto"


def return_url(fields: dict[str, Any], settings: Settings, app_url: str) -> str | None:
    """Where to come back to: a path below `app_url`, or an address whose origin is allowed."""
    wanted = fields.get("return_path")
    if wanted is None:
        return None
    wrong = invalid_request(
        "return_path is a path of the app, as /settings, or an address of an allowed origin"
    )
    # Browsers drop tabs and line ends and read a backslash as a slash: none of these, nor
    # anything but ASCII, gets as far as being parsed.
    if not isinstance(wanted, str) or not re.fullmatch(rf"[!-~]{{1,{_LONGEST_URL}}}", wanted):
        raise wrong
    if "\\" in wanted or re.match(r"//", wanted):
        raise wrong
    if wanted.startswith("/"):
        return app_url + wanted
    try:
        parts = urlsplit(wanted)
        allowed = re.match(r"https?://[^/]", wanted) and settings.allows_origin(origin_of(wanted))
    except ValueError as error:
        raise wrong from error
    if not allowed or parts.username is not None or parts.password is not None:
        raise wrong
    return wanted
