"""Who is calling: token or cookie, origin, rate limit. Identity is the verified token's alone."""

import logging
import time
from dataclasses import dataclass

import limits
from flask import request

from portal_service.clerk import TokenRefused
from portal_service.errors import ServiceError
from portal_service.log import log
from portal_service.metrics import LIMITER_ERRORS
from portal_service.observability import note
from portal_service.services import Services


@dataclass(frozen=True)
class Caller:
    clerk_user_id: str
    impersonated: bool


def signed_in(services: Services) -> Caller:
    """The verified caller of the present request.

    Raises ServiceError: unauthorized, origin_not_allowed, clerk_unavailable.
    """
    token, by_cookie = _token(services)
    try:
        claims = services.clerk.claims(token)
    except TokenRefused as refused:
        note(refused=str(refused))
        raise ServiceError("unauthorized") from refused
    _refuse_foreign_azp(services, claims.get("azp"))
    if by_cookie and request.method == "POST":
        _refuse_foreign_origin(services)
    note(clerk_user_id=claims["sub"])
    return Caller(claims["sub"], impersonated=bool(claims.get("act")))


def refuse_impersonation(caller: Caller) -> None:
    """Whoever acts for a user may look, and may not spend the user's money."""
    if caller.impersonated:
        raise ServiceError("impersonation_not_allowed")


def enforce_limit(services: Services, caller: Caller, what: str, limit: str) -> None:
    """Count this call, and refuse it over the limit of its user. Uncounted where the counter fails.

    limit: as "30/minute". Raises ServiceError: rate_limited.
    """
    item = limits.parse(limit)
    try:
        if services.limiter.hit(item, what, caller.clerk_user_id):
            return
        resets_at = services.limiter.get_window_stats(item, what, caller.clerk_user_id).reset_time
    except Exception as error:  # whatever the storage raises: Redis is down, not the service
        LIMITER_ERRORS.inc()
        log(logging.ERROR, "rate limits are not counted", reason=type(error).__name__)
        return
    raise ServiceError("rate_limited", retry_after=max(1, round(resets_at - time.time())))


def _token(services: Services) -> tuple[str, bool]:
    """The token, and whether it came as a cookie. A Bearer that is there is the only one tried."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return token.strip(), False
    for cookie in services.settings.session_cookies:
        if value := request.cookies.get(cookie):
            return value, True
    raise ServiceError("unauthorized")


def _refuse_foreign_azp(services: Services, azp: object) -> None:
    """The origin that the token was made for. Clerk leaves it out on navigations and servers."""
    if azp is None:
        if services.settings.require_azp:
            note(refused="no azp")
            raise ServiceError("origin_not_allowed")
    elif not isinstance(azp, str) or not services.settings.allows_origin(azp):
        note(refused="azp", azp=azp)
        raise ServiceError("origin_not_allowed")


def _refuse_foreign_origin(services: Services) -> None:
    """Browsers send cookies from any page: only the Origin tells whose page it is."""
    origin = request.headers.get("Origin", "")
    if not services.settings.allows_origin(origin):
        note(refused="origin", origin=origin)
        raise ServiceError("origin_not_allowed")
