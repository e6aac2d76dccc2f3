"""What each call of Stripe's API does in this stand-in: one small function per call.

Every function gets the account, the checked parameters and, where the path has one, an id; the
lock is held around it.
"""

from collections.abc import Callable
from typing import Any

from sandbox import stripe_checkout, stripe_portal
from sandbox import stripe_shapes as shapes
from sandbox.stripe_errors import ParameterError, StripeError, exclusive, not_found, unknown_here
from sandbox.stripe_lifecycle import ENDED, period_end
from sandbox.stripe_lists import created_within, page, type_matches
from sandbox.stripe_state import StripeState

Json = dict[str, Any]

MOST_TYPES = 20


def create_customer(state: StripeState, params: Json) -> Json:
    fields = {name: value for name, value in params.items() if value != ""}
    fields.pop("expand", None)
    return state.create_customer(**fields)


def retrieve_customer(state: StripeState, params: Json, id: str) -> Json:
    customer = _stored(state.customers, "customer", id)
    if customer.get("deleted"):
        return {"id": id, "object": "customer", "deleted": True}
    return customer


def delete_customer(state: StripeState, params: Json, id: str) -> Json:
    if _stored(state.customers, "customer", id).get("deleted"):
        raise not_found("customer", id, "id", 404)
    return state.delete_customer(id)


def list_prices(state: StripeState, params: Json) -> Json:
    def fits(price: Json) -> bool:
        return (
            params.get("active") in (None, price["active"])
            and params.get("product") in (None, price["product"])
            and created_within(price, params.get("created"))
        )

    return page("/v1/prices", "price", filter(fits, state.prices.values()), params)


def retrieve_price(state: StripeState, params: Json, id: str) -> Json:
    return _stored(state.prices, "price", id, "price")


def create_session(state: StripeState, params: Json) -> Json:
    return stripe_checkout.create(state, params)


def list_sessions(state: StripeState, params: Json) -> Json:
    _check_customer(state, params)

    def fits(session: Json) -> bool:
        return all(
            params.get(name) in (None, session[name])
            for name in ("customer", "status", "subscription")
        ) and created_within(session, params.get("created"))

    found = filter(fits, state.sessions.values())
    return page("/v1/checkout/sessions", "checkout.session", found, params)


def retrieve_session(state: StripeState, params: Json, id: str) -> Json:
    return _stored(state.sessions, "checkout.session", id, "session")


def expire_session(state: StripeState, params: Json, id: str) -> Json:
    session = _stored(state.sessions, "checkout.session", id, "session")
    if session["status"] != "open":
        raise StripeError(
            'Only Checkout Sessions with a status in ["open"] can be expired. This Checkout '
            f"Session has a status of `{session['status']}`."
        )
    stripe_checkout.expire(state, id)
    return session


def list_subscriptions(state: StripeState, params: Json) -> Json:
    _check_customer(state, params)
    status = params.get("status")

    def fits(subscription: Json) -> bool:
        prices = [item["price"]["id"] for item in subscription["items"]["data"]]
        return (
            _status_fits(subscription["status"], status)
            and params.get("customer") in (None, subscription["customer"])
            and params.get("collection_method") in (None, subscription["collection_method"])
            and params.get("price") in (None, *prices)
            and created_within(subscription, params.get("created"))
        )

    found = filter(fits, state.subscriptions.values())
    return page("/v1/subscriptions", "subscription", found, params)


def _status_fits(status: str, wanted: str | None) -> bool:
    if wanted is None:
        return status != "canceled"
    if wanted == "ended":
        return status in ENDED
    return wanted in ("all", status)


def retrieve_subscription(state: StripeState, params: Json, id: str) -> Json:
    return _stored(state.subscriptions, "subscription", id)


def cancel_subscription(state: StripeState, params: Json, id: str) -> Json:
    if _stored(state.subscriptions, "subscription", id)["status"] in ENDED:
        raise not_found("subscription", id, "id", 404)
    return state.act(id, "cancel_now")


def update_subscription(state: StripeState, params: Json, id: str) -> Json:
    if _stored(state.subscriptions, "subscription", id)["status"] in ENDED:
        raise StripeError("A canceled subscription can only update its cancellation_details.")

    def change(subscription: Json) -> None:
        for name, value in params.items():
            CHANGES[name](state, subscription, value)

    before, after, _ = state.change(id, change)
    if before != after:
        state.announce("updated", before, after)
    return after


def _set_cancel_at_period_end(state: StripeState, subscription: Json, value: bool) -> None:
    subscription["cancel_at_period_end"] = value
    _set_cancel_at(state, subscription, period_end(subscription) if value else "")


def _set_cancel_at(state: StripeState, subscription: Json, value: Any) -> None:
    if isinstance(value, str) and value:
        raise unknown_here(f"cancel_at={value}")
    subscription["cancel_at"] = value or None
    subscription["canceled_at"] = state.now() if value else None
    reason = "cancellation_requested" if value else None
    subscription["cancellation_details"] = {
        **subscription["cancellation_details"],
        "reason": reason,
    }


def _set_cancellation_details(state: StripeState, subscription: Json, value: Json) -> None:
    subscription["cancellation_details"] = {**subscription["cancellation_details"], **value}


def _set_items(state: StripeState, subscription: Json, value: list[Json]) -> None:
    known = {item["id"]: item for item in subscription["items"]["data"]}
    for place, change in enumerate(value):
        if set(change) - {"id", "price", "quantity"} or "id" not in change:
            raise unknown_here("changes of an item other than its price and quantity")
        if change["id"] not in known:
            raise not_found("subscription item", change["id"], f"items[{place}][id]")
        item = known[change["id"]]
        if "price" in change:
            item["price"] = _stored(
                state.prices, "price", change["price"], f"items[{place}][price]"
            )
            item["plan"] = shapes.plan(item["price"])
        item["quantity"] = change.get("quantity", item["quantity"])


def _set_metadata(state: StripeState, subscription: Json, value: Any) -> None:
    """Keys are merged; an empty value takes a key away, an empty hash all of them."""
    merged = {**subscription["metadata"], **value} if value else {}
    subscription["metadata"] = {key: text for key, text in merged.items() if text != ""}


def _set_pause_collection(state: StripeState, subscription: Json, value: Any) -> None:
    subscription["pause_collection"] = {"resumes_at": None, **value} if value else None


def _nothing(state: StripeState, subscription: Json, value: Any) -> None:
    """Prorations are money, and no money moves here; `expand` changes nothing."""


CHANGES: dict[str, Callable[[StripeState, Json, Any], None]] = {
    "cancel_at": _set_cancel_at,
    "cancel_at_period_end": _set_cancel_at_period_end,
    "cancellation_details": _set_cancellation_details,
    "expand": _nothing,
    "items": _set_items,
    "metadata": _set_metadata,
    "pause_collection": _set_pause_collection,
    "proration_behavior": _nothing,
}


def create_portal_session(state: StripeState, params: Json) -> Json:
    return stripe_portal.create(state, params)


def list_configurations(state: StripeState, params: Json) -> Json:
    def fits(configuration: Json) -> bool:
        names = ("active", "is_default")
        return all(params.get(name) in (None, configuration[name]) for name in names)

    found = filter(fits, state.configurations.values())
    return page("/v1/billing_portal/configurations", "configuration", found, params)


def create_configuration(state: StripeState, params: Json) -> Json:
    return stripe_portal.create_configuration(state, params)


def retrieve_configuration(state: StripeState, params: Json, id: str) -> Json:
    return _stored(state.configurations, "configuration", id, "configuration")


def update_configuration(state: StripeState, params: Json, id: str) -> Json:
    _stored(state.configurations, "configuration", id, "configuration")
    changes = {name: value for name, value in params.items() if name != "expand"}
    return stripe_portal.update_configuration(state, id, changes)


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
    return _event(state, _stored(state.events, "event", id))


def _event(state: StripeState, event: Json) -> Json:
    return {**event, "pending_webhooks": 0 if state.webhooks.delivered(event["id"]) else 1}


def list_webhook_endpoints(state: StripeState, params: Json) -> Json:
    hooks = state.webhooks
    endpoint: Json = {
        "id": "we_1SandboxEndpoint",
        "object": "webhook_endpoint",
        "api_version": hooks.api_version,
        "application": None,
        "created": state.now(),
        "description": None,
        "enabled_events": hooks.enabled_events,
        "livemode": state.livemode,
        "metadata": {},
        "status": "enabled",
        "url": hooks.url,
    }
    found = [endpoint] if hooks.url else []
    return page("/v1/webhook_endpoints", "webhook_endpoint", found, params)


def _stored(store: dict[str, Json], kind: str, id: str, param: str = "id") -> Json:
    if id not in store:
        raise not_found(kind, id, param, 404)
    return store[id]


def _check_customer(state: StripeState, params: Json) -> None:
    """Lists go on knowing a deleted customer; one that never was is an error."""
    if params.get("customer") and params["customer"] not in state.customers:
        raise not_found("customer", params["customer"], "customer")
