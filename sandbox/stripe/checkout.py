"""Checkout sessions: making them, and what paying one does. What Stripe demands of a new one is in
stripe_checkout_rules."""

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import stripe

from sandbox.stripe import catalogue, shapes
from sandbox.stripe import checkout_rules as rules

if TYPE_CHECKING:
    from sandbox.stripe.state import StripeState
    from sandbox.stripe.webhooks import Delivery

Json = dict[str, Any]


# What is the same in every new session, besides what is null.
SESSION: Json = {
    "object": "checkout.session",
    "custom_fields": [],
    "custom_text": {
        "after_submit": None,
        "shipping_address": None,
        "submit": None,
        "terms_of_service_acceptance": None,
    },
    "discounts": [],
    "mode": "subscription",
    "payment_method_types": ["card"],
    "payment_status": "unpaid",
    "shipping_options": [],
    "status": "open",
    "ui_mode": "hosted_page",
}


def create(state: "StripeState", params: Json) -> Json:
    """A new open session. Raises StripeError; the caller holds the lock."""
    rules.check_form(params, state.now())
    customer = rules.customer_of(state, params)
    prices = rules.prices_of(state, params["line_items"])
    rules.check_currency(state, customer, prices)
    rules.check_tax(params, customer)
    lines = zip(prices, params["line_items"], strict=True)
    total = sum(catalogue.amount(price, line.get("quantity")) for price, line in lines)
    id = shapes.new_id("cs_live" if state.livemode else "cs_test", 58).replace("_1", "_a1", 1)
    trial = {"trial_period_days", "trial_end"} & params.get("subscription_data", {}).keys()
    ours = ("cancel_url", "client_reference_id", "customer", "customer_email", "locale")
    session = {
        **shapes.blank(stripe.checkout.Session),
        **copy.deepcopy(SESSION),
        **{name: params.get(name) for name in (*ours, "allow_promotion_codes", "success_url")},
        **dict.fromkeys(("amount_subtotal", "amount_total"), 0 if trial else total),
        "id": id,
        "automatic_tax": {"enabled": rules.enabled(params, "automatic_tax"), "liability": None},
        "created": state.now(),
        "currency": prices[0]["currency"],
        "expires_at": params.get("expires_at", state.now() + rules.DAY),
        "livemode": state.livemode,
        "metadata": params.get("metadata") or {},
        "payment_method_collection": params.get("payment_method_collection", "always"),
        "tax_id_collection": {
            "enabled": rules.enabled(params, "tax_id_collection"),
            "required": "never",
        },
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
        trial_end = state.now() + data["trial_period_days"] * rules.DAY
    settings = data.get("trial_settings")
    subscription = state.subscribe(
        customer,
        [
            (line["price"], line.get("quantity"))
            for line in order["line_items"]
            if state.prices[line["price"]]["recurring"]
        ],
        metadata=data.get("metadata") or {},
        status="trialing" if trial_end else "active",
        trial_end=trial_end,
        **({"trial_settings": settings} if settings else {}),
    )
    session.update(
        customer=customer,
        customer_details={"email": session["customer_email"], "name": None, "address": None},
        invoice=subscription["latest_invoice"],
        payment_status="paid" if session["amount_total"] else "no_payment_required",
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
    lines = []
    for line in state.orders[session_id]["line_items"]:
        price, quantity = state.prices[line["price"]], line.get("quantity")
        amount = catalogue.amount(price, quantity)
        lines.append(
            {
                "id": shapes.new_id("li"),
                "object": "item",
                "amount_discount": 0,
                "amount_subtotal": amount,
                "amount_tax": 0,
                "amount_total": amount,
                "currency": price["currency"],
                "description": price["nickname"],
                "price": price,
                "quantity": quantity,
            }
        )
    return shapes.listing(f"/v1/checkout/sessions/{session_id}/line_items", lines)


def _open(state: "StripeState", session_id: str) -> Json:
    session = state.sessions[session_id]
    if session["status"] != "open":
        raise ValueError(f"this checkout session is {session['status']}")
    return session


def _new_customer(state: "StripeState", session: Json) -> str:
    """Stripe makes a customer of its own for a session that names none."""
    return str(state.create_customer(email=session["customer_email"])["id"])


# The buttons of the checkout page, and what time does.
BUTTONS: dict[str, Callable[["StripeState", str], "list[Delivery]"]] = {
    "pay": pay,
    "decline": decline,
    "expire": expire,
}
