"""The page of the billing portal: what it shows of a customer, and what its buttons do. Each flow
is the same page with less on it."""

import zlib
from collections.abc import Mapping
from typing import Any

import flask

from sandbox import stripe_page_words as words
from sandbox.stripe_lifecycle import ENDED, OWING, period_end
from sandbox.stripe_page_words import Note
from sandbox.stripe_state import StripeState

Json = dict[str, Any]

# What a customer can do, in the order of the buttons; a change of plan has a button per plan.
ACTIONS = {
    "pay": "Pay what is owed",
    "resume": "Resume",
    "change_plan": "Switch to {}",
    "confirm_change": "Confirm",
    "pause": "Pause",
    "cancel_at_period_end": "Cancel at period end",
    "cancel_now": "Cancel now",
}
# What happens to customers.
LEVERS = {"fail_payment": "Let the card fail", "advance_period": "Let the period pass"}
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

# What a flow is about, and its words; when it is done, the customer is sent back.
FLOWS = {
    "customer_update": ("update_details",),
    "payment_method_update": ("update_card",),
    "subscription_cancel": ("cancel_at_period_end", "cancel_now"),
    "subscription_pause": ("pause",),
    "subscription_update": ("change_plan",),
    "subscription_update_confirm": ("confirm_change",),
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

NAMES = ", ".join([*ACTIONS, *LEVERS, "update_card", "update_details"])


def show(state: StripeState, token: str, note: Note | None) -> str:
    with state.lock:
        session = session_of(state, token)
        flow = _flow(session)
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
        note=note,
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
            item = _to_confirm(session)
            more = {name: item[name] for name in ("price", "quantity") if item[name]}
            more = {"price": subscription["items"]["data"][0]["price"]["id"], **more}
            action = "change_plan"
        state.act(id, action, **more)


def after(session: Json, action: str) -> str | None:
    """Where a finished flow leads."""
    flow = _flow(session)
    if not flow or action not in FLOWS[flow]:
        return None
    redirect = session["flow"]["after_completion"]["redirect"]
    return str(redirect["return_url"]) if redirect else session["return_url"]


def _flow(session: Json) -> str:
    return str(session["flow"]["type"]) if session["flow"] else ""


def _to_confirm(session: Json) -> Json:
    """The one item of a flow subscription_update_confirm; ends the request where it is another."""
    if _flow(session) != "subscription_update_confirm":
        flask.abort(404)
    item: Json = session["flow"]["subscription_update_confirm"]["items"][0]
    return item


def _concerns(session: Json, subscription: Json) -> bool:
    """Whether the page is about this subscription: the customer's, and the flow's."""
    if subscription["customer"] != session["customer"]:
        return False
    flow = _flow(session)
    if not flow:
        return True
    return bool(session["flow"].get(flow)) and (
        session["flow"][flow]["subscription"] == subscription["id"]
    )


def _shown(state: StripeState, session: Json, subscription: Json) -> Json:
    item = subscription["items"]["data"][0]
    price, quantity, status = item["price"], item.get("quantity"), subscription["status"]
    actions = _possible(state, session, subscription)
    return {
        "id": subscription["id"],
        "plan": words.name(price, quantity),
        "price": words.rate(price, quantity),
        "change": _change(state, session, item),
        "status": status.replace("_", " "),
        "mood": MOODS.get(status, ""),
        "ended": status in ENDED,
        "sentence": _sentence(subscription),
        "buttons": _buttons(state, session, subscription, actions),
        "levers": [
            {"action": action, "label": label}
            for action, label in LEVERS.items()
            if action in actions
        ],
    }


def _change(state: StripeState, session: Json, item: Json) -> Json | None:
    """What a change costs that waits to be confirmed."""
    if _flow(session) != "subscription_update_confirm":
        return None
    wanted = _to_confirm(session)
    price = state.prices[wanted["price"]] if wanted["price"] else item["price"]
    quantity = wanted["quantity"] or item.get("quantity")
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


def _possible(state: StripeState, session: Json, subscription: Json) -> set[str]:
    """The actions that make sense now."""
    status, ending = subscription["status"], subscription["cancel_at"] is not None
    if status in ENDED:
        return set()
    going = status in ("active", "trialing", "past_due")
    flow = _flow(session)
    sensible = {
        "pay": status in OWING,
        "resume": ending or status == "paused" or bool(subscription["pause_collection"]),
        "change_plan": going and _enabled(state, session, "subscription_update"),
        "confirm_change": going and flow == "subscription_update_confirm",
        "pause": status == "active"
        and not ending
        and _enabled(state, session, "subscription_pause"),
        "cancel_at_period_end": going
        and not ending
        and _enabled(state, session, "subscription_cancel"),
        "cancel_now": _enabled(state, session, "subscription_cancel"),
        "fail_payment": status in ("active", "trialing"),
        "advance_period": going,
    }
    return {
        action
        for action, possible in sensible.items()
        if possible and (not flow or action in FLOWS[flow])
    }


def _feature(state: StripeState, session: Json, name: str) -> Json:
    settings = state.configurations.get(session["configuration"], {})
    feature: Json = settings.get("features", {}).get(name, {})
    return feature


def _enabled(state: StripeState, session: Json, name: str) -> bool:
    return bool(_feature(state, session, name).get("enabled"))


def _buttons(
    state: StripeState, session: Json, subscription: Json, actions: set[str]
) -> list[Json]:
    buttons = []
    for action, label in ACTIONS.items():
        style = "danger" if action.startswith("cancel") else ""
        if action in ("pay", "resume", "confirm_change") or (
            action == "change_plan" and _flow(session)
        ):
            style = "main"
        if action not in actions:
            continue
        if action == "change_plan":
            buttons += [
                {"action": action, "label": label.format(name), "class": style, "price": id}
                for id, name in _other_plans(state, session, subscription)
            ]
        else:
            buttons.append({"action": action, "label": label, "class": style})
    return buttons


def _other_plans(state: StripeState, session: Json, subscription: Json) -> list[tuple[str, str]]:
    """What the portal's configuration offers besides what the customer has."""
    update = _feature(state, session, "subscription_update")
    offered = [id for product in update.get("products") or [] for id in product["prices"]]
    now = subscription["items"]["data"][0]["price"]["id"]
    prices = [state.prices[id] for id in offered if id in state.prices and id != now]
    return [
        (
            price["id"],
            f"{words.name(price)} · {words.money(price['unit_amount'] or 0, price['currency'])}",
        )
        for price in prices
        if price["active"]
    ]


def _allowed(state: StripeState, session: Json) -> list[str]:
    """What the configuration lets a customer change about themselves."""
    feature = _feature(state, session, "customer_update")
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
