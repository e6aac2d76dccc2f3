"""Checkout sessions: what Stripe demands of a new one, and what paying one does."""

import copy
import re
from typing import TYPE_CHECKING, Any

import stripe

from sandbox import stripe_shapes as shapes
from sandbox.stripe_errors import (
    ParameterError,
    StripeError,
    exclusive,
    missing,
    not_found,
    unknown_here,
)
from sandbox.stripe_lifecycle import ENDED

if TYPE_CHECKING:
    from sandbox.stripe_state import StripeState
    from sandbox.stripe_webhooks import Delivery

Json = dict[str, Any]

DAY = 86_400
REFERENCE_LENGTH = 200

TAX_LOCATION = (
    "Automatic tax calculation in Checkout requires a valid address on the Customer. Add a valid "
    "address to the Customer or set either `customer_update[address]` to 'auto' or "
    "`customer_update[shipping]` to 'auto' to save the address entered in Checkout to the Customer."
)
TAX_ID_NAME = (
    "Tax ID collection requires updating business name on the customer. To enable tax ID "
    "collection for an existing customer, please set `customer_update[name]` to `auto`."
)
TAX_ID_ADDRESS = (
    "Tax ID collection requires updating address on the customer. To enable tax ID "
    "collection for an existing customer, please set `customer_update[address]` to `auto`."
)
CURRENCIES = (
    "You cannot combine currencies on a single customer. This customer has an active "
    "subscription, subscription schedule, discount, quote, or invoice item with currency {}."
)


def create(state: "StripeState", params: Json) -> Json:
    """A new open session. Raises StripeError; the caller holds the lock."""
    _check_form(params, state.now())
    customer = _customer(state, params)
    prices = _prices(state, params["line_items"])
    _check_currency(state, customer, prices)
    _check_tax(params, customer)
    total = sum(p["unit_amount"] * line["quantity"] for p, line in _both(prices, params))
    id = shapes.new_id("cs_live" if state.livemode else "cs_test", 58).replace("_1", "_a1", 1)
    trial = {"trial_period_days", "trial_end"} & params.get("subscription_data", {}).keys()
    session = {
        **shapes.blank(stripe.checkout.Session),
        "id": id,
        "object": "checkout.session",
        "amount_subtotal": 0 if trial else total,
        "amount_total": 0 if trial else total,
        "allow_promotion_codes": params.get("allow_promotion_codes"),
        "automatic_tax": {"enabled": _enabled(params, "automatic_tax"), "liability": None},
        "cancel_url": params.get("cancel_url"),
        "client_reference_id": params.get("client_reference_id"),
        "created": state.now(),
        "currency": prices[0]["currency"],
        "customer": params.get("customer"),
        "customer_email": params.get("customer_email"),
        "custom_fields": [],
        "discounts": [],
        "expires_at": params.get("expires_at", state.now() + DAY),
        "livemode": state.livemode,
        "locale": params.get("locale"),
        "metadata": params.get("metadata") or {},
        "mode": "subscription",
        "payment_method_collection": params.get("payment_method_collection", "always"),
        "payment_method_types": ["card"],
        "payment_status": "unpaid",
        "shipping_options": [],
        "status": "open",
        "success_url": params["success_url"],
        "tax_id_collection": {"enabled": _enabled(params, "tax_id_collection")},
        "ui_mode": "hosted_page",
        "url": f"{state.public_url()}/c/pay/{id}",
    }
    state.sessions[id] = session
    state.orders[id] = copy.deepcopy(params)
    return session


def pay(state: "StripeState", session_id: str) -> "list[Delivery]":
    """The customer paid: the subscription begins. ValueError when the session is not open.

    Returns the deliveries that the page waits for. The caller holds the lock.
    """
    session = _open(state, session_id)
    order = state.orders[session_id]
    customer = session["customer"] or _new_customer(state, session)
    if state.customers[customer].get("deleted"):
        raise ValueError("the customer of this checkout session was deleted")
    data = order.get("subscription_data", {})
    trial_end = data.get("trial_end")
    if data.get("trial_period_days"):
        trial_end = state.now() + data["trial_period_days"] * DAY
    settings = data.get("trial_settings")
    subscription = state.subscribe(
        customer,
        [(line["price"], line["quantity"]) for line in order["line_items"]],
        metadata=data.get("metadata") or {},
        status="trialing" if trial_end else "active",
        trial_end=trial_end,
        **({"trial_settings": settings} if settings else {}),
    )
    session.update(
        customer=customer,
        customer_details={"email": session["customer_email"], "name": None, "address": None},
        invoice=subscription["latest_invoice"],
        payment_status="no_payment_required" if trial_end else "paid",
        status="complete",
        subscription=subscription["id"],
        url=None,
    )
    sent = state.emit("checkout.session.completed", session)
    state.emit("invoice.paid", state.invoices[subscription["latest_invoice"]])
    return sent


def decline(state: "StripeState", session_id: str) -> "list[Delivery]":
    """The card was refused: nothing begins, the session stays open."""
    _open(state, session_id)
    return []


def expire(state: "StripeState", session_id: str) -> "list[Delivery]":
    session = _open(state, session_id)
    session.update(status="expired", url=None)
    state.emit("checkout.session.expired", session)
    return []


def expire_overdue(state: "StripeState") -> None:
    """Let sessions end whose time is over. The caller holds the lock."""
    for session in list(state.sessions.values()):
        if session["status"] == "open" and session["expires_at"] <= state.now():
            expire(state, session["id"])


def line_items(state: "StripeState", session_id: str) -> Json:
    """The lines of a session, as `expand: ["line_items"]` shows them."""
    lines = [
        {
            "id": shapes.new_id("li"),
            "object": "item",
            "amount_total": state.prices[line["price"]]["unit_amount"] * line["quantity"],
            "price": state.prices[line["price"]],
            "quantity": line["quantity"],
        }
        for line in state.orders[session_id]["line_items"]
    ]
    return shapes.listing(f"/v1/checkout/sessions/{session_id}/line_items", lines)


def check_url(params: Json, name: str, param: str | None = None) -> None:
    value = params.get(name)
    if value is not None and not re.fullmatch(r"https?://[^\s/?#]+([/?#]\S*)?", value):
        raise ParameterError("Not a valid URL", code="url_invalid", param=param or name)


def _open(state: "StripeState", session_id: str) -> Json:
    session = state.sessions[session_id]
    if session["status"] != "open":
        raise ValueError(f"this checkout session is {session['status']}")
    return session


def _new_customer(state: "StripeState", session: Json) -> str:
    """Stripe makes a customer of its own for a session that names none."""
    return str(state.create_customer(email=session["customer_email"])["id"])


def _check_form(params: Json, now: int) -> None:
    """What Stripe demands that its parameter types can't say."""
    if "mode" not in params:
        raise missing("mode")
    if params["mode"] != "subscription":
        raise unknown_here(f"mode={params['mode']} of a checkout session")
    if params.get("ui_mode", "hosted_page") != "hosted_page":
        raise unknown_here(f"ui_mode={params['ui_mode']} of a checkout session")
    for name in ("line_items", "success_url"):
        if not params.get(name):
            raise missing(name)
    for name in ("success_url", "cancel_url"):
        check_url(params, name)
    if "return_url" in params:
        raise StripeError(
            "`return_url` can't be used with `ui_mode: hosted_page`.", param="return_url"
        )
    for pair in (
        ("customer", "customer_email"),
        ("customer", "customer_account"),
        ("allow_promotion_codes", "discounts"),
    ):
        if all(params.get(name) for name in pair):
            raise exclusive(*pair)
    for name in ("customer_creation", "payment_intent_data", "invoice_creation"):
        if name in params:
            raise StripeError(f"`{name}` can only be used in `payment` mode.", param=name)
    if "customer_update" in params and "customer" not in params:
        raise StripeError(
            "`customer_update` can only be used with `customer`.", param="customer_update"
        )
    if len(params.get("client_reference_id", "")) > REFERENCE_LENGTH:
        raise ParameterError(
            f"Invalid string: {params['client_reference_id'][:20]}...; must be at most "
            f"{REFERENCE_LENGTH} characters",
            param="client_reference_id",
        )
    _check_times(params, now)


def _check_times(params: Json, now: int) -> None:
    expires_at = params.get("expires_at")
    if expires_at is not None and not now + 1800 <= expires_at <= now + DAY:
        raise StripeError(
            "The `expires_at` timestamp must be between 30 minutes and 24 hours from Checkout "
            "Session creation.",
            param="expires_at",
        )
    data = params.get("subscription_data", {})
    if "trial_end" in data and "trial_period_days" in data:
        raise exclusive("subscription_data[trial_end]", "subscription_data[trial_period_days]")
    if data.get("trial_period_days", 1) < 1:
        raise ParameterError(
            "The minimum number of trial period days is 1.",
            code="parameter_invalid_integer",
            param="subscription_data[trial_period_days]",
        )
    if "trial_end" in data and data["trial_end"] < now + 2 * DAY:
        raise StripeError(
            "The `trial_end` date has to be at least 2 days in the future.",
            param="subscription_data[trial_end]",
        )


def _customer(state: "StripeState", params: Json) -> Json | None:
    id = params.get("customer")
    if id is None:
        return None
    customer = state.customers.get(id)
    if customer is None or customer.get("deleted"):
        raise not_found("customer", id, "customer")
    return customer


def _prices(state: "StripeState", lines: list[Json]) -> list[Json]:
    prices = []
    for place, line in enumerate(lines):
        param = f"line_items[{place}]"
        if "price" not in line:
            raise unknown_here(f"{param} without a price") if line else missing(f"{param}[price]")
        price = state.prices.get(line["price"])
        if price is None:
            raise not_found("price", line["price"], f"{param}[price]")
        if not price["active"]:
            raise StripeError(
                "The price specified is inactive. This field only accepts active prices.",
                param=f"{param}[price]",
            )
        if "quantity" not in line:
            raise missing(f"{param}[quantity]")
        if line["quantity"] < 1:
            raise ParameterError(
                "This value must be greater than or equal to 1.",
                code="parameter_invalid_integer",
                param=f"{param}[quantity]",
            )
        prices.append(price)
    return prices


def _check_currency(state: "StripeState", customer: Json | None, prices: list[Json]) -> None:
    if customer is None:
        return
    for subscription in state.subscriptions.values():
        currency = subscription["currency"]
        theirs = subscription["customer"] == customer["id"] and subscription["status"] not in ENDED
        if theirs and any(price["currency"] != currency for price in prices):
            raise StripeError(CURRENCIES.format(currency))


def _check_tax(params: Json, customer: Json | None) -> None:
    if customer is None:
        return
    update = params.get("customer_update", {})
    located = customer["address"] or "auto" in (update.get("address"), update.get("shipping"))
    if _enabled(params, "automatic_tax") and not located:
        raise StripeError(TAX_LOCATION, code="customer_tax_location_invalid")
    if _enabled(params, "tax_id_collection"):
        if update.get("name") != "auto":
            raise StripeError(TAX_ID_NAME)
        if update.get("address") != "auto":
            raise StripeError(TAX_ID_ADDRESS)


def _enabled(params: Json, name: str) -> bool:
    return bool(params.get(name, {}).get("enabled"))


def _both(prices: list[Json], params: Json) -> "zip[tuple[Json, Json]]":
    return zip(prices, params["line_items"], strict=True)
