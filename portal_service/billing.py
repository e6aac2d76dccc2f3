"""The blueprint for the frontend: thin views. Each says who may call and what it counts against."""

from typing import Any

from flask import Blueprint

from portal_service import caller, checkout, deadline, inputs, portal
from portal_service import refresh as refreshing
from portal_service.observability import unknown_price
from portal_service.services import services
from portal_service.subscription import best_row, has_unknown_price, status_object

bp = Blueprint("billing", __name__)


@bp.post("/portal")
def create_portal_session() -> dict[str, Any]:
    user = _spender()
    return {"url": portal.session_url(services(), user, inputs.json_body(portal.FIELDS))}


@bp.post("/checkout")
def create_checkout_session() -> dict[str, Any]:
    deadline.allow(deadline.CHECKOUT_SECONDS)
    user = _spender()
    return {"url": checkout.session_url(services(), user, inputs.json_body(checkout.FIELDS))}


@bp.get("/subscription")
def show_subscription() -> dict[str, Any]:
    return _status(caller.signed_in(services()).clerk_user_id)


@bp.post("/subscription/refresh")
def refresh_subscription() -> dict[str, Any]:
    who = caller.signed_in(services())
    caller.count(services(), who, "refresh", services().settings.refresh_rate_limit)
    refreshing.refresh(services(), who.clerk_user_id, inputs.json_body(refreshing.FIELDS))
    return _status(who.clerk_user_id)


def _spender() -> str:
    """The Clerk id of a caller who may spend: signed in as themselves, within the rate limit."""
    who = caller.signed_in(services())
    caller.refuse_impersonation(who)
    caller.count(services(), who, "billing", services().settings.rate_limit)
    return who.clerk_user_id


def _status(clerk_user_id: str) -> dict[str, Any]:
    settings = services().settings
    account = services().database.account(clerk_user_id)
    best = best_row(account, settings.plans, settings.entitled_statuses)
    if best and has_unknown_price(best, settings.plans):
        unknown_price(best)
    return status_object(account, settings.plans, settings.entitled_statuses, settings.livemode)
