"""Checkout sessions: making them, and what paying one does. What Stripe demands of a new one is in
checkout_rules.py."""

import copy
from collections.abc import Callable
from typing import Any

import stripe

from sandbox.stripe import checkout_rules as rules
from sandbox.stripe import pricing, shapes, subscribing
from sandbox.stripe.account import Account
from sandbox.stripe.delivery import Delivery
from sandbox.stripe.subscribing import Line

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


def create(account: Account, params: Json) -> Json:
    """A new open session. Raises StripeError; the caller holds the lock."""
    rules.check_form(params, account.now())
    customer = rules.customer_of(account, params)
    prices = rules.prices_of(account, params["line_items"])
    rules.check_currency(account, customer, prices)
    rules.check_tax(params, customer)
    lines = zip(prices, params["line_items"], strict=True)
    total = sum(pricing.amount(price, line.get("quantity")) for price, line in lines)
    id = shapes.new_id("cs_live" if account.livemode else "cs_test", 58).replace("_1", "_a1", 1)
    trial = {"trial_period_days", "trial_end"} & params.get("subscription_data", {}).keys()
    ours = ("cancel_url", "client_reference_id", "customer", "customer_email", "locale")
    session = {
        **shapes.blank(stripe.checkout.Session),
        **copy.deepcopy(SESSION),
        **{name: params.get(name) for name in (*ours, "allow_promotion_codes", "success_url")},
        **dict.fromkeys(("amount_subtotal", "amount_total"), 0 if trial else total),
        "id": id,
        "automatic_tax": {"enabled": rules.enabled(params, "automatic_tax"), "liability": None},
        "created": account.now(),
        "currency": prices[0]["currency"],
        "expires_at": params.get("expires_at", account.now() + rules.DAY),
        "livemode": account.livemode,
        "metadata": params.get("metadata") or {},
        "payment_method_collection": params.get("payment_method_collection", "always"),
        "tax_id_collection": {
            "enabled": rules.enabled(params, "tax_id_collection"),
            "required": "never",
        },
        "url": f"{account.public_url()}/c/pay/{id}",
    }
    account.sessions[id] = session
    account.orders[id] = copy.deepcopy(params)
    return session


def pay(account: Account, session_id: str) -> list[Delivery]:
    """The customer paid: the subscription begins. ValueError when the session is not open.

    Returns the deliveries that the page waits for. The caller holds the lock.
    """
    session = _open(account, session_id)
    order = account.orders[session_id]
    # Stripe makes a customer of its own for a session that names none.
    customer = session["customer"] or account.add_customer(email=session["customer_email"])["id"]
    if account.customers[customer].get("deleted"):
        raise ValueError("the customer of this checkout session was deleted")
    data = order.get("subscription_data", {})
    trial_end = data.get("trial_end")
    if data.get("trial_period_days"):
        trial_end = account.now() + data["trial_period_days"] * rules.DAY
    settings = data.get("trial_settings")
    subscription = subscribing.subscribe(
        account,
        customer,
        [line for line in ordered(account, session_id) if line[0]["recurring"]],
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
    sent = account.emit("checkout.session.completed", session)
    account.emit("invoice.paid", account.invoices[subscription["latest_invoice"]])
    return sent


def decline(account: Account, session_id: str) -> list[Delivery]:
    """The card was refused: nothing begins, the session stays open."""
    _open(account, session_id)
    return []


def expire(account: Account, session_id: str) -> list[Delivery]:
    session = _open(account, session_id)
    session.update(status="expired", url=None)
    account.emit("checkout.session.expired", session)
    return []


def expire_overdue(account: Account) -> None:
    """Let sessions end whose time is over. The caller holds the lock."""
    for session in list(account.sessions.values()):
        if session["status"] == "open" and session["expires_at"] <= account.now():
            expire(account, session["id"])


def line_items(account: Account, session_id: str) -> Json:
    """The lines of a session, as `expand: ["line_items"]` shows them."""
    lines = []
    for price, quantity in ordered(account, session_id):
        amount = pricing.amount(price, quantity)
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


def ordered(account: Account, session_id: str) -> list[Line]:
    """What a session sells: each price with its quantity."""
    lines = account.orders[session_id]["line_items"]
    return [(account.prices[line["price"]], line.get("quantity")) for line in lines]


def _open(account: Account, session_id: str) -> Json:
    session = account.sessions[session_id]
    if session["status"] != "open":
        raise ValueError(f"this checkout session is {session['status']}")
    return session


# The buttons of the checkout page, and what time does.
BUTTONS: dict[str, Callable[[Account, str], list[Delivery]]] = {
    "pay": pay,
    "decline": decline,
    "expire": expire,
}
