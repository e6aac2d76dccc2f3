"""The control API of Stripe's stand-in: what happens to customers, without a page or a call."""

from typing import Any

from flask import Blueprint, jsonify
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import BadRequest

from sandbox import control_requests
from sandbox.control_requests import body, number, text, tried
from sandbox.faults import Faults
from sandbox.stripe.state import StripeState

# What an action on a subscription may be told besides its name.
TEXTS = ("price", "status", "reason", "behavior")
NUMBERS = ("quantity", "resumes_at")


def blueprint(state: StripeState, faults: Faults) -> Blueprint:
    """All of it, for the stand-in on its own."""
    made = control_requests.blueprint(faults)
    add_to(made, state)

    @made.post("/stripe/subscriptions")
    def create() -> ResponseReturnValue:
        given = body("customer", "price", "status")
        customer = text(given, "customer") if "customer" in given else None
        return create_subscription(state, given, customer=customer)

    @made.post("/reset")
    def reset() -> ResponseReturnValue:
        body()
        faults.reset()
        state.reset()
        return {"reset": True}

    return made


def add_to(control: Blueprint, state: StripeState) -> None:
    """What is the same in the whole sandbox."""

    @control.get("/deliveries")
    def deliveries() -> ResponseReturnValue:
        return jsonify(state.webhooks.deliveries())

    @control.post("/stripe/checkout/<session_id>")
    def act_on_checkout(session_id: str) -> ResponseReturnValue:
        action = text(body("action"), "action")
        return tried(lambda: state.checkout(session_id, action))

    @control.post("/stripe/subscriptions/<subscription_id>")
    def act_on_subscription(subscription_id: str) -> ResponseReturnValue:
        given = body("action", *TEXTS, *NUMBERS)
        action = text(given, "action")
        more: dict[str, Any] = {name: text(given, name) for name in TEXTS if name in given}
        more |= {name: number(given, name) for name in NUMBERS if name in given}
        return tried(lambda: state.act(subscription_id, action, **more))


def create_subscription(
    state: StripeState,
    given: dict[str, Any],
    *,
    clerk_user_id: str | None = None,
    customer: str | None = None,
) -> ResponseReturnValue:
    """A subscription as if made in Stripe's dashboard. given: the fields price and status."""
    price = text(given, "price", next(iter(state.prices), ""))
    status = text(given, "status", "active")
    if price not in state.prices:
        raise BadRequest(f"price is one of {', '.join(state.prices)}")
    return tried(lambda: state.create_subscription(clerk_user_id, price, status, customer=customer))
