"""The frontend's routes: thin views. Each says who may call and what it counts against."""

from typing import Any

from flask import Blueprint, Response, jsonify, request

from portal_service import caller, checkout, deadline, portal, refresh
from portal_service.caller import Caller
from portal_service.entitlement import status_object
from portal_service.plans import KEPT_SECONDS
from portal_service.request_body import json_body
from portal_service.services import Services, current_services


def add_routes(bp: Blueprint) -> None:
    bp.add_url_rule("/plans", view_func=show_plans, methods=["GET"])
    bp.add_url_rule("/portal", view_func=create_portal_session, methods=["POST"])
    bp.add_url_rule("/checkout", view_func=create_checkout_session, methods=["POST"])
    bp.add_url_rule("/subscription", view_func=show_subscription, methods=["GET"])
    bp.add_url_rule("/subscription/refresh", view_func=refresh_subscription, methods=["POST"])


def show_plans() -> Response:
    """For anyone, and so the one answer that browsers and proxies may keep."""
    response = jsonify(current_services().plans.for_sale())
    response.headers["Cache-Control"] = f"public, max-age={KEPT_SECONDS}"
    response.vary.add("Origin")  # the CORS headers differ
    response.add_etag()
    return response.make_conditional(request)  # type: ignore[return-value]


def create_portal_session() -> dict[str, Any]:
    services = current_services()
    _, owner = _who_may_spend(services)
    fields = json_body(portal.FIELDS)
    return {"url": portal.session_url(services, owner, fields, _origin())}


def create_checkout_session() -> dict[str, Any]:
    services = current_services()
    deadline.allow(deadline.CHECKOUT_SECONDS)
    who, owner = _who_may_spend(services)
    fields = json_body(checkout.FIELDS)
    return {"url": checkout.session_url(services, owner, who.clerk_user_id, fields, _origin())}


def show_subscription() -> dict[str, Any]:
    services = current_services()
    return _status(services, caller.signed_in(services))


def refresh_subscription() -> dict[str, Any]:
    services = current_services()
    who = caller.signed_in(services)
    caller.enforce_limit(services, who, "refresh", services.settings.refresh_rate_limit)
    refresh.refresh_owner(services, who.clerk_owner_id, json_body(refresh.FIELDS))
    return _status(services, who)


def _who_may_spend(services: Services) -> tuple[Caller, str]:
    """A caller within the rate limit, and the Clerk id of whose money they may spend."""
    who = caller.signed_in(services)
    owner = caller.owner_to_charge(who)
    caller.enforce_limit(services, who, "billing", services.settings.rate_limit)
    return who, owner


def _origin() -> str:
    """Of the page that asks."""
    return request.headers.get("Origin", "")


def _status(services: Services, who: Caller) -> dict[str, Any]:
    settings = services.settings
    account = refresh.account_of(services, who.clerk_owner_id)
    return status_object(
        account,
        settings.plans,
        settings.entitled_statuses,
        livemode=settings.livemode,
        may_spend=who.refusal is None,
        offers_trial=settings.offers_trial,
    )
