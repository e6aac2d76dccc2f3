"""The pages that Stripe hosts: checkout and the billing portal. Plainly not the real ones."""

import zlib
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import flask
from werkzeug.wrappers import Response

from sandbox.stripe_lifecycle import ENDED, OWING, period_end
from sandbox.stripe_state import StripeState

Json = dict[str, Any]

PAGES = Path(__file__).with_name("hosted")

# What a customer can do, in the order of the buttons; a change of plan has a button per plan.
ACTIONS = {
    "pay": "Pay what is owed",
    "resume": "Resume",
    "change_plan": "Switch to {}",
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
    "pause": "Paused. Nothing is charged until you resume.",
    "cancel_at_period_end": "Cancelled. It ends with the period that is paid for.",
    "cancel_now": "Cancelled. The subscription has ended.",
    "fail_payment": "The card failed, and a payment is owed.",
    "advance_period": "The period has passed.",
    "update_card": "The new card is saved.",
}
DECLINED = "The card was declined. Nothing was paid. Try again, or go back."

# What a flow is about, and its words; when it is done, the customer is sent back.
FLOWS = {
    "payment_method_update": ("update_card",),
    "subscription_cancel": ("cancel_at_period_end", "cancel_now"),
    "subscription_update": ("change_plan",),
}
TITLES = {
    "": ("Billing portal", ""),
    "payment_method_update": ("Update your card", ""),
    "subscription_cancel": ("Cancel your subscription", "Choose when it ends, or return."),
    "subscription_update": ("Change your plan", ""),
}
MOODS = {"active": "good", "trialing": "good", "past_due": "bad", "unpaid": "bad"}
MOODS |= {"incomplete": "bad", "paused": "warn"}

NAMES = ", ".join([*ACTIONS, *LEVERS, "update_card"])


@dataclass(frozen=True)
class Note:
    """What came of the last press of a button; kind is good or bad."""

    kind: str
    text: str


def blueprint(state: StripeState) -> flask.Blueprint:
    pages = flask.Blueprint(
        "stripe_pages",
        __name__,
        template_folder=str(PAGES),
        static_folder=str(PAGES / "static"),
        static_url_path="/pages",
    )

    @pages.after_request
    def keep_private(response: flask.Response) -> flask.Response:
        response.headers["Cache-Control"] = "no-store"
        response.headers["Content-Security-Policy"] = (
            "default-src 'none'; style-src 'self'; script-src 'self'; img-src data:; "
            "base-uri 'none'; frame-ancestors 'none'"
        )
        response.headers["Referrer-Policy"] = "no-referrer"
        response.headers["X-Frame-Options"] = "DENY"
        return response

    @pages.errorhandler(404)
    def gone(_: Exception) -> tuple[str, int]:
        return flask.render_template("gone.html", title="Nothing here"), 404

    @pages.get("/c/pay/<id>")
    def checkout(id: str) -> str:
        declined = Note("bad", DECLINED) if "declined" in flask.request.args else None
        return _checkout_page(state, id, declined)

    @pages.post("/c/pay/<id>/<any(pay, decline):action>")
    def press(id: str, action: str) -> Response | tuple[str, int]:
        try:
            session = state.checkout(id, action)
        except KeyError:
            flask.abort(404)
        except ValueError as error:
            session = state.sessions[id]
            if session["status"] != "complete":
                return _checkout_page(state, id, _complaint(error)), 409
            # The second click of two, or the back button: it is paid, and paid once.
        if session["status"] == "complete":
            return flask.redirect(_success_url(session), 303)
        return flask.redirect(f"/c/pay/{id}?declined", 303)

    @pages.get("/p/session/<token>")
    def portal(token: str) -> str:
        done = DONE.get(flask.request.args.get("done", ""))
        return _portal_page(state, token, Note("good", done) if done else None)

    @pages.post(f"/p/session/<token>/<any({NAMES}):action>")
    def act(token: str, action: str) -> Response | tuple[str, int]:
        session = _portal_session(state, token)
        try:
            _act(state, session, action)
        except ValueError as error:
            return _portal_page(state, token, _complaint(error)), 409
        return flask.redirect(_after(session, action) or f"/p/session/{token}?done={action}", 303)

    return pages


def _checkout_page(state: StripeState, id: str, note: Note | None) -> str:
    with state.lock:
        if id not in state.sessions:
            flask.abort(404)
        session = dict(state.sessions[id])
        ordered = [
            (state.prices[line["price"]], line["quantity"])
            for line in state.orders[id]["line_items"]
        ]
    currency = session["currency"]
    monthly = sum(price["unit_amount"] * quantity for price, quantity in ordered)
    lines = [
        {
            "name": _name(price),
            "quantity": quantity,
            "amount": _money(price["unit_amount"] * quantity, currency),
        }
        for price, quantity in ordered
    ]
    return flask.render_template(
        "checkout.html",
        title="Checkout",
        note=note if session["status"] == "open" else None,
        session=session,
        lines=lines,
        monthly=_money(monthly, currency),
        today=_money(session["amount_total"], currency),
        leave=_success_url(session) if session["status"] == "complete" else session["cancel_url"],
        here=f"/c/pay/{id}",
    )


def _success_url(session: Json) -> str:
    return str(session["success_url"]).replace("{CHECKOUT_SESSION_ID}", session["id"])


def _portal_page(state: StripeState, token: str, note: Note | None) -> str:
    with state.lock:
        session = _portal_session(state, token)
        flow = _flow(session)
        subscriptions = [
            _shown(state, session, subscription)
            for subscription in reversed(state.subscriptions.values())
            if _concerns(session, subscription)
        ]
        card = _digits(state.customers[session["customer"]])
    title, intro = TITLES[flow]
    return flask.render_template(
        "portal.html",
        title=title,
        intro=intro,
        note=note,
        session=session,
        subscriptions=sorted(subscriptions, key=lambda each: bool(each["ended"])),
        card=card if not flow or flow == "payment_method_update" else None,
        only_card=flow == "payment_method_update",
        only_this=bool(flow),
        here=f"/p/session/{token}",
    )


def _portal_session(state: StripeState, token: str) -> Json:
    if token not in state.portal_sessions:
        flask.abort(404)
    return state.portal_sessions[token]


def _flow(session: Json) -> str:
    return str(session["flow"]["type"]) if session["flow"] else ""


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
    price, status = item["price"], subscription["status"]
    actions = _possible(state, session, subscription)
    return {
        "id": subscription["id"],
        "plan": _name(price) + (f" × {item['quantity']}" if item["quantity"] > 1 else ""),
        "price": f"{_money(price['unit_amount'] * item['quantity'], price['currency'])} a month",
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


def _sentence(subscription: Json) -> str:
    """Where the subscription stands, in words."""
    status, end = subscription["status"], _date(period_end(subscription))
    if status in ENDED:
        return f"Ended on {_date(subscription['ended_at'])}."
    if status in OWING:
        return "The last payment failed. Pay what is owed to keep the plan."
    if status == "paused":
        return "Paused. Nothing is charged until it is resumed."
    if subscription["cancel_at"]:
        return f"Ends on {_date(subscription['cancel_at'])}, and is not renewed."
    if status == "trialing":
        return f"On trial. The first payment is due on {end}."
    return f"Renews on {end}."


def _possible(state: StripeState, session: Json, subscription: Json) -> set[str]:
    """The actions that make sense now."""
    status, ending = subscription["status"], subscription["cancel_at"] is not None
    if status in ENDED:
        return set()
    features = state.configurations.get(session["configuration"], {}).get("features", {})
    going = status in ("active", "trialing", "past_due")
    sensible = {
        "pay": status in OWING,
        "resume": ending or status == "paused" or bool(subscription["pause_collection"]),
        "change_plan": going and _enabled(features, "subscription_update"),
        "pause": status == "active" and not ending and _enabled(features, "subscription_pause"),
        "cancel_at_period_end": going and not ending and _enabled(features, "subscription_cancel"),
        "cancel_now": _enabled(features, "subscription_cancel"),
        "fail_payment": status in ("active", "trialing"),
        "advance_period": going,
    }
    flow = _flow(session)
    return {
        action
        for action, possible in sensible.items()
        if possible and (not flow or action in FLOWS[flow])
    }


def _enabled(features: Json, name: str) -> bool:
    return bool(features.get(name, {}).get("enabled"))


def _buttons(
    state: StripeState, session: Json, subscription: Json, actions: set[str]
) -> list[Json]:
    buttons = []
    for action, label in ACTIONS.items():
        style = "danger" if action.startswith("cancel") else ""
        if action in ("pay", "resume") or (action == "change_plan" and _flow(session)):
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
    update = state.configurations[session["configuration"]]["features"]["subscription_update"]
    offered = [id for product in update.get("products") or [] for id in product["prices"]]
    now = subscription["items"]["data"][0]["price"]["id"]
    prices = [state.prices[id] for id in offered if id in state.prices and id != now]
    return [
        (price["id"], f"{_name(price)} · {_money(price['unit_amount'], price['currency'])}")
        for price in prices
        if price["active"]
    ]


def _act(state: StripeState, session: Json, action: str) -> None:
    """Do what a button says, to nothing but the session's own customer and subscriptions."""
    if action == "update_card":
        state.update_card(session["customer"])
        return
    id = flask.request.form.get("subscription", "")
    with state.lock:
        subscription = state.subscriptions.get(id)
        if subscription is None or not _concerns(session, subscription):
            flask.abort(404)
        more = {}
        if action == "change_plan" and flask.request.form.get("price"):
            more["price"] = flask.request.form["price"]
        state.act(id, action, **more)


def _after(session: Json, action: str) -> str | None:
    """Where a finished flow leads."""
    flow = _flow(session)
    if not flow or action not in FLOWS[flow]:
        return None
    redirect = session["flow"]["after_completion"]["redirect"]
    return str(redirect["return_url"]) if redirect else session["return_url"]


def _name(price: Json) -> str:
    return str(price["nickname"] or price["id"])


def _money(amount: int, currency: str) -> str:
    number = f"{amount / 100:,.2f}"
    return f"${number}" if currency == "usd" else f"{number} {currency.upper()}"


def _digits(customer: Json) -> str:
    """The last four of a made-up card: others for each new one."""
    card = customer["invoice_settings"]["default_payment_method"]
    return f"{zlib.crc32(card.encode()) % 10_000:04}" if card else "4242"


def _date(moment: int | None) -> str | None:
    return datetime.fromtimestamp(moment, UTC).strftime("%-d %B %Y") if moment else None


def _complaint(error: Exception) -> Note:
    text = str(error.args[0]) if error.args else ""
    return Note("bad", text[:1].upper() + text[1:] + ".")
