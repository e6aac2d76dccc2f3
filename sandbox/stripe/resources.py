"""What the calls of Stripe's API do in this stand-in: one small function per call.

Every function gets the account, the checked parameters and, where the path has one, an id; the
lock is held around it. Those about products and prices are in products.py, those about
subscriptions and their items in subscriptions.py.
"""

from typing import Any

from sandbox.stripe import checkout, portal
from sandbox.stripe.errors import ParameterError, StripeError, exclusive, not_found
from sandbox.stripe.lists import check_customer, created_within, page, stored, type_matches
from sandbox.stripe.products import merged_metadata
from sandbox.stripe.state import StripeState

Json = dict[str, Any]

MOST_TYPES = 20


def create_customer(state: StripeState, params: Json) -> Json:
    fields = {name: value for name, value in params.items() if value != ""}
    fields.pop("expand", None)
    return state.create_customer(**fields)


def retrieve_customer(state: StripeState, params: Json, id: str) -> Json:
    """A deleted one is answered too, as nothing but that it is deleted."""
    return stored(state, state.customers, "customer", id, "id", 404)


def update_customer(state: StripeState, params: Json, id: str) -> Json:
    """An empty text takes a field away; metadata is merged key by key."""
    if stored(state, state.customers, "customer", id, "id", 404).get("deleted"):
        raise not_found("customer", id, "id", 404)
    changes = {
        name: None if value == "" else value for name, value in params.items() if name != "expand"
    }
    if "metadata" in params:
        old = state.customers[id]["metadata"]
        changes["metadata"] = merged_metadata(old, params["metadata"])
    return state.update_customer(id, **changes)


def delete_customer(state: StripeState, params: Json, id: str) -> Json:
    if stored(state, state.customers, "customer", id, "id", 404).get("deleted"):
        raise not_found("customer", id, "id", 404)
    return state.delete_customer(id)


def list_sessions(state: StripeState, params: Json) -> Json:
    check_customer(state, params)

    def fits(session: Json) -> bool:
        return all(
            params.get(name) in (None, session[name])
            for name in ("customer", "status", "subscription")
        ) and created_within(session, params.get("created"))

    found = filter(fits, state.sessions.values())
    return page("/v1/checkout/sessions", "checkout.session", found, params)


def retrieve_session(state: StripeState, params: Json, id: str) -> Json:
    return stored(state, state.sessions, "checkout.session", id, "session", 404)


def expire_session(state: StripeState, params: Json, id: str) -> Json:
    session = stored(state, state.sessions, "checkout.session", id, "session", 404)
    if session["status"] != "open":
        raise StripeError(
            'Only Checkout Sessions with a status in ["open"] can be expired. This Checkout '
            f"Session has a status of `{session['status']}`."
        )
    checkout.expire(state, id)
    return session


def list_configurations(state: StripeState, params: Json) -> Json:
    def fits(configuration: Json) -> bool:
        names = ("active", "is_default")
        return configuration["livemode"] == state.livemode and all(
            params.get(name) in (None, configuration[name]) for name in names
        )

    found = filter(fits, state.configurations.values())
    return page("/v1/billing_portal/configurations", "configuration", found, params)


def retrieve_configuration(state: StripeState, params: Json, id: str) -> Json:
    return stored(state, state.configurations, "configuration", id, "configuration", 404)


def update_configuration(state: StripeState, params: Json, id: str) -> Json:
    stored(state, state.configurations, "configuration", id, "configuration", 404)
    changes = {name: value for name, value in params.items() if name != "expand"}
    return portal.update_configuration(state, id, changes)


def list_events(state: StripeState, params: Json) -> Json:
    if "type" in params and "types" in params:
        raise exclusive("type", "types")
    patterns = params.get("types") or ([params["type"]] if "type" in params else ["*"])
    if len(patterns) > MOST_TYPES:
        raise ParameterError(f"You may only specify up to {MOST_TYPES} types.", param="types")

    def fits(event: Json) -> bool:
        delivered = state.webhooks.delivered(event["id"])
        return (
            any(type_matches(event["type"], pattern) for pattern in patterns)
            and params.get("delivery_success") in (None, delivered)
            and created_within(event, params.get("created"))
        )

    answer = page("/v1/events", "event", filter(fits, state.events.values()), params)
    answer["data"] = [_event(state, event) for event in answer["data"]]
    return answer


def retrieve_event(state: StripeState, params: Json, id: str) -> Json:
    return _event(state, stored(state, state.events, "event", id, "id", 404))


def _event(state: StripeState, event: Json) -> Json:
    return {**event, "pending_webhooks": 0 if state.webhooks.delivered(event["id"]) else 1}
