"""The calls about subscriptions and their items."""

from collections.abc import Callable
from typing import Any

from sandbox.stripe import pricing, schedules
from sandbox.stripe.errors import StripeError, not_found, unknown_here
from sandbox.stripe.lifecycle import ENDED, period_end
from sandbox.stripe.lists import check_customer, created_within, page, page_in_order, stored
from sandbox.stripe.products import merged_metadata
from sandbox.stripe.state import StripeState

Json = dict[str, Any]


def list_subscriptions(state: StripeState, params: Json) -> Json:
    check_customer(state, params)
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
    return stored(state, state.subscriptions, "subscription", id, "id", 404)


def cancel_subscription(state: StripeState, params: Json, id: str) -> Json:
    if stored(state, state.subscriptions, "subscription", id, "id", 404)["status"] in ENDED:
        raise not_found("subscription", id, "id", 404)
    return state.act(id, "cancel_now")


def update_subscription(state: StripeState, params: Json, id: str) -> Json:
    found = stored(state, state.subscriptions, "subscription", id, "id", 404)
    if found["status"] in ENDED and set(params) - CHANGES_OF_ENDED:
        raise StripeError(
            "A canceled subscription can only update its cancellation_details and metadata."
        )
    schedules.check(found, params)

    def change(subscription: Json) -> None:
        for name, value in params.items():
            CHANGES[name](state, subscription, value)

    before, after, _ = state.change(id, change)
    if before != after:
        state.announce("updated", before, after)
    return after


def list_items(state: StripeState, params: Json) -> Json:
    """All items of a subscription, in the order in which its own first page has them."""
    id = params["subscription"]
    items = stored(state, state.subscriptions, "subscription", id, "subscription")["items"]
    return page_in_order("/v1/subscription_items", "subscription_item", items["data"], params)


def retrieve_item(state: StripeState, params: Json, id: str) -> Json:
    for subscription in state.subscriptions.values():
        for item in subscription["items"]["data"]:
            if item["id"] == id:
                return dict(item)
    raise not_found("subscription_item", id, "id", 404)


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
            raise not_found("subscription_item", change["id"], f"items[{place}][id]")
        item = known[change["id"]]
        price = item["price"]
        if "price" in change:
            param = f"items[{place}][price]"
            price = stored(state, state.prices, "price", change["price"], param)
            pricing.check_recurring(price, param)
        if "quantity" in change and pricing.metered(price):
            raise StripeError(
                "You cannot set the quantity for metered plans.", param=f"items[{place}][quantity]"
            )
        pricing.set_price(item, price, change.get("quantity", item.get("quantity")))


def _set_metadata(state: StripeState, subscription: Json, value: Any) -> None:
    subscription["metadata"] = merged_metadata(subscription["metadata"], value)


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
CHANGES_OF_ENDED = {"cancellation_details", "expand", "metadata"}
