"""The page of the billing portal: what it shows of a customer, and what its buttons do. Each flow
is the same page with less on it."""

import zlib
from collections.abc import Mapping
from typing import Any

import flask

from sandbox.stripe import page_words as words
from sandbox.stripe import portal_buttons as buttons
from sandbox.stripe.lifecycle import ENDED, OWING, period_end
from sandbox.stripe.page_words import Message
from sandbox.stripe.state import StripeState

Json = dict[str, Any]

# Said once it is done.
DONE = {
    "pay": "Paid. Nothing is owed any more.",
    "resume": "Resumed. The subscription goes on.",
    "change_plan": "The plan is changed.",
    "confirm_change": "The plan is changed.",
    "pause": "Paused. Nothing is charged until you resume.",
    "cancel_at_period_end": "Cancelled. It ends with the period that is paid for.",
    "cancel_now": "Cancelled. The subscription has ended.",
    "fail_payment": "The card failed, and a payment is owed.",
    "advance_period": "The period has passed.",
    "update_card": "The new card is saved.",
    "update_details": "Your details are saved.",
}

TITLES = {
    "": ("Billing portal", ""),
    "customer_update": ("Update your details", ""),
    "payment_method_update": ("Update your card", ""),
    "subscription_cancel": ("Cancel your subscription", "Choose when it ends, or return."),
    "subscription_pause": ("Pause your subscription", "Nothing is charged until you resume it."),
    "subscription_update": ("Change your plan", ""),
    "subscription_update_confirm": ("Confirm the change", ""),
}
# What a customer may change about themselves, of what Stripe calls allowed_updates.
DETAILS = {"email": "E-mail", "name": "Name", "phone": "Phone"}
MOODS = {"active": "good", "trialing": "good", "past_due": "bad", "unpaid": "bad"}
MOODS |= {"incomplete": "bad", "paused": "warn"}

NAMES = ", ".join([*buttons.ACTIONS, *buttons.LEVERS, "update_card", "update_details"])


def show(state: StripeState, token: str, message: Message | None) -> str:
    with state.lock:
        session = session_of(state, token)
        flow = buttons.flow_of(session)
        subscriptions = [
            _shown(state, session, subscription)
            for subscription in reversed(state.subscriptions.values())
            if _concerns(session, subscription)
        ]
        customer = state.customers[session["customer"]]
        card, details = _digits(customer), _details(state, session, customer)
    title, intro = TITLES[flow]
    return flask.render_template(
        "portal.html",
        title=title,
        intro=intro,
        message=message,
        session=session,
        subscriptions=sorted(subscriptions, key=lambda each: bool(each["ended"])),
        card=card if not flow or flow == "payment_method_update" else None,
        details=details if not flow or flow == "customer_update" else None,
        only_card=flow == "payment_method_update",
        only_this=bool(flow),
        here=f"/p/session/{token}",
    )


def session_of(state: StripeState, token: str) -> Json:
    """The session of a page's address; ends the request with 404 where there is none."""
    if token not in state.portal_sessions:
        flask.abort(404)
    return state.portal_sessions[token]


def act(state: StripeState, session: Json, action: str, form: Mapping[str, str]) -> None:
    """Do what a button says, to nothing but the session's own customer and subscriptions.

    Raises ValueError, with a sentence, for what can't be done now.
    """
    if action == "update_card":
        state.update_card(session["customer"])
        return
    if action == "update_details":
        allowed = _allowed(state, session)
        state.update_customer(
            session["customer"], **{name: form[name] or None for name in allowed if name in form}
        )
        return
    id = form.get("subscription", "")
    with state.lock:
        subscription = state.subscriptions.get(id)
        if subscription is None or not _concerns(session, subscription):
            flask.abort(404)
        more: Json = {}
        if action == "change_plan" and form.get("price"):
            more["price"] = form["price"]
        if action == "confirm_change":
            action, more = "change_plan", _confirmed(session, subscription["items"]["data"][0])
        state.act(id, action, **more)


def _confirmed(session: Json, item: Json) -> Json:
    """The change that was confirmed. Raises ValueError where there is none any more."""
    wanted = buttons.to_confirm(session)
    now = {"price": item["price"]["id"], "quantity": item.get("quantity")}
    then = {name: wanted.get(name) or now[name] for name in now}
    if now == then:
        raise ValueError("this change is made already")
    return then


def after(session: Json, action: str) -> str | None:
    """Where a finished flow leads."""
    flow = buttons.flow_of(session)
    if not flow or action not in buttons.FLOWS[flow]:
        return None
    redirect = session["flow"]["after_completion"]["redirect"]
    return str(redirect["return_url"]) if redirect else session["return_url"]


def _concerns(session: Json, subscription: Json) -> bool:
    """Whether the page is about this subscription: the customer's, and the flow's."""
    if subscription["customer"] != session["customer"]:
        return False
    flow = buttons.flow_of(session)
    if not flow:
        return True
    return bool(session["flow"].get(flow)) and (
        session["flow"][flow]["subscription"] == subscription["id"]
    )


def _shown(state: StripeState, session: Json, subscription: Json) -> Json:
    items, status = subscription["items"]["data"], subscription["status"]
    priced = [(item["price"], item.get("quantity")) for item in items]
    actions = buttons.possible(state, session, subscription)
    return {
        "id": subscription["id"],
        "plan": " + ".join(words.name(price, quantity) for price, quantity in priced),
        "price": " + ".join(words.rate(price, quantity) for price, quantity in priced),
        "change": _change(state, session, items[0]),
        "status": status.replace("_", " "),
        "mood": MOODS.get(status, ""),
        "ended": status in ENDED,
        "sentence": _sentence(subscription),
        "buttons": buttons.shown(state, session, subscription, actions),
        "levers": [
            {"action": action, "label": label}
            for action, label in buttons.LEVERS.items()
            if action in actions
        ],
    }


def _change(state: StripeState, session: Json, item: Json) -> Json | None:
    """What a change costs that waits to be confirmed."""
    if buttons.flow_of(session) != "subscription_update_confirm":
        return None
    wanted = buttons.to_confirm(session)
    price = state.prices[wanted["price"]] if wanted["price"] else item["price"]
    quantity = wanted.get("quantity") or item.get("quantity")
    return {"plan": words.name(price, quantity), "price": words.rate(price, quantity)}


def _sentence(subscription: Json) -> str:
    """Where the subscription stands, in words."""
    status, end = subscription["status"], words.date(period_end(subscription))
    if status in ENDED:
        return f"Ended on {words.date(subscription['ended_at'])}."
    if status in OWING:
        return "The last payment failed. Pay what is owed to keep the plan."
    if status == "paused":
        return "Paused. Nothing is charged until it is resumed."
    if subscription["cancel_at"]:
        return f"Ends on {words.date(subscription['cancel_at'])}, and is not renewed."
    if status == "trialing":
        return f"On trial. The first payment is due on {end}."
    return f"Renews on {end}."


def _allowed(state: StripeState, session: Json) -> list[str]:
    """What the configuration lets a customer change about themselves."""
    feature = buttons.feature(state, session, "customer_update")
    allowed = feature.get("allowed_updates") or [] if feature.get("enabled") else []
    return [name for name in DETAILS if name in allowed]


def _details(state: StripeState, session: Json, customer: Json) -> list[Json]:
    return [
        {"name": name, "label": DETAILS[name], "value": customer[name] or ""}
        for name in _allowed(state, session)
    ]


def _digits(customer: Json) -> str:
    """The last four of a made-up card: others for each new one."""
    card = customer["invoice_settings"]["default_payment_method"]
    return f"{zlib.crc32(card.encode()) % 10_000:04}" if card else "4242"
