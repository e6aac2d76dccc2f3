"""Who is calling, and for whom: token or cookie, origin, rate limit. Both are the verified token's
alone.
"""

import logging
import time
from dataclasses import dataclass

import limits
from flask import request

from portal_service.clerk import TokenRefused, active_organization
from portal_service.errors import ServiceError
from portal_service.log import log
from portal_service.metrics import LIMITER_ERRORS
from portal_service.observability import note
from portal_service.owner import standing
from portal_service.services import Services


@dataclass(frozen=True)
class Caller:
    """clerk_owner_id: whose subscriptions the caller sees; None: nobody pays for this caller.
    refusal: the code of why the caller may not spend the owner's money; None: they may.
    """

    clerk_user_id: str
    clerk_owner_id: str | None
    refusal: str | None


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
    found = standing(claims["sub"], active_organization(claims), services.settings)
    note(clerk_user_id=claims["sub"], clerk_owner_id=found.clerk_owner_id)
    # Whoever acts for a user may look, and may not spend the user's money.
    refusal = "impersonation_not_allowed" if claims.get("act") else found.refusal
    return Caller(claims["sub"], found.clerk_owner_id, refusal)


def owner_to_charge(caller: Caller) -> str:
    """The owner, whose money the caller may spend.

    Raises ServiceError: impersonation_not_allowed, organization_required, not_billing_admin.
    """
    if caller.refusal or not caller.clerk_owner_id:
        raise ServiceError(caller.refusal)
    return caller.clerk_owner_id


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
