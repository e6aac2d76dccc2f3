"""The pages that Stripe hosts: checkout and the billing portal. Plainly not the real ones."""

from datetime import UTC, datetime
from typing import Any

import flask
from werkzeug.wrappers import Response

from sandbox.stripe_lifecycle import ENDED, period_end
from sandbox.stripe_state import StripeState

Json = dict[str, Any]

ACTIONS = {
    "cancel_at_period_end": "Cancel at the end of the period",
    "cancel_now": "Cancel now",
    "resume": "Resume",
    "change_plan": "Change plan",
    "fail_payment": "Let the card fail",
    "pay": "Pay what is owed",
}
# What a flow is about; when it is done, the customer is sent back.
FLOWS = {
    "payment_method_update": ("update_card",),
    "subscription_cancel": ("cancel_at_period_end", "cancel_now"),
    "subscription_update": ("change_plan",),
}

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{{ title }}</title>
<meta name="viewport" content="width=device-width, initial-scale=1"></head>
<body><p><strong>Sandbox: no money moves.</strong></p><main>
<h1>{{ title }}</h1>{% if note %}<p role="status">{{ note }}</p>{% endif %}
"""

CHECKOUT = (
    PAGE
    + """
{% for line in lines %}<p>{{ line.quantity }} × {{ line.name }}: {{ line.price }}</p>{% endfor %}
{% if session.status == "open" %}
<form method="post" action="{{ here }}/pay"><button>Pay</button></form>
<form method="post" action="{{ here }}/decline"><button>Let the card be declined</button></form>
{% if session.cancel_url %}<p><a href="{{ session.cancel_url }}">Cancel and go back</a></p>
{% endif %}
{% else %}<p>This checkout session is {{ session.status }}.</p>{% endif %}
</main></body></html>"""
)

PORTAL = (
    PAGE
    + """
{% for each in subscriptions %}<section>
<h2>{{ each.plan }}</h2>
<p>Status: {{ each.status }}. {% if each.cancel_at %}Ends on {{ each.cancel_at }}.
{% elif not each.ended %}Next period: {{ each.period_end }}.{% endif %}</p>
{% for action, label in each.actions %}
<form method="post" action="{{ here }}/{{ action }}">
<input type="hidden" name="subscription" value="{{ each.id }}">
{% if action == "change_plan" %}<label>New plan
<select name="price">{% for id, name in prices %}<option value="{{ id }}">{{ name }}</option>
{% endfor %}</select></label>{% endif %}
<button>{{ label }}</button></form>{% endfor %}
</section>{% else %}{% if not card %}<p>No subscription.</p>{% endif %}{% endfor %}
{% if card %}<form method="post" action="{{ here }}/update_card">
<button>Update the card</button></form>{% endif %}
{% if session.return_url %}<p><a href="{{ session.return_url }}">Return</a></p>{% endif %}
</main></body></html>"""
)


def blueprint(state: StripeState) -> flask.Blueprint:
    pages = flask.Blueprint("stripe_pages", __name__)

    @pages.after_request
    def keep_private(response: flask.Response) -> flask.Response:
        response.headers["Cache-Control"] = "no-store"
        response.headers["Referrer-Policy"] = "no-referrer"
        response.headers["X-Frame-Options"] = "DENY"
        return response

    @pages.get("/c/pay/<id>")
    def checkout(id: str) -> str:
        return _checkout_page(state, id)

    @pages.post("/c/pay/<id>/<any(pay, decline):action>")
    def press(id: str, action: str) -> Response | tuple[str, int]:
        try:
            session = state.checkout(id, action)
        except KeyError:
            flask.abort(404)
        except ValueError as error:
            return _checkout_page(state, id, _sentence(error)), 409
        if action == "decline":
            return _checkout_page(state, id, "The card was declined. Nothing was paid."), 402
        url = session["success_url"].replace("{CHECKOUT_SESSION_ID}", id)
        return flask.redirect(url, 303)

    @pages.get("/p/session/<token>")
    def portal(token: str) -> str:
        return _portal_page(state, token)

    names = ", ".join([*ACTIONS, "update_card"])

    @pages.post(f"/p/session/<token>/<any({names}):action>")
    def act(token: str, action: str) -> Response | tuple[str, int]:
        session = _portal_session(state, token)
        try:
            _act(state, session, action)
        except ValueError as error:
            return _portal_page(state, token, _sentence(error)), 409
        return flask.redirect(_after(session, action) or f"/p/session/{token}", 303)

    return pages


def _checkout_page(state: StripeState, id: str, note: str = "") -> str:
    with state.lock:
        if id not in state.sessions:
            flask.abort(404)
        session = dict(state.sessions[id])
        lines = [
            {"quantity": line["quantity"], **_price(state.prices[line["price"]])}
            for line in state.orders[id]["line_items"]
        ]
    return flask.render_template_string(
        CHECKOUT, title="Checkout", note=note, session=session, lines=lines, here=f"/c/pay/{id}"
    )


def _portal_page(state: StripeState, token: str, note: str = "") -> str:
    with state.lock:
        session = _portal_session(state, token)
        subscriptions = [
            _shown(state, session, subscription)
            for subscription in reversed(state.subscriptions.values())
            if _concerns(session, subscription)
        ]
        prices = [
            (price["id"], " ".join(_price(price).values()))
            for price in state.prices.values()
            if price["active"]
        ]
    flow = _flow(session)
    return flask.render_template_string(
        PORTAL,
        title=flow.replace("_", " ").capitalize() if flow else "Billing portal",
        note=note,
        session=session,
        subscriptions=subscriptions,
        prices=prices,
        card=not flow or flow == "payment_method_update",
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
    return {
        "id": subscription["id"],
        "plan": " ".join(_price(item["price"]).values()),
        "status": subscription["status"],
        "ended": subscription["status"] in ENDED,
        "cancel_at": _date(subscription["cancel_at"]),
        "period_end": _date(period_end(subscription)),
        "actions": _actions(state, session, subscription),
    }


def _actions(state: StripeState, session: Json, subscription: Json) -> list[tuple[str, str]]:
    """The buttons that make sense now."""
    status, ending = subscription["status"], subscription["cancel_at"] is not None
    features = state.configurations.get(session["configuration"], {}).get("features", {})
    sensible = {
        "cancel_at_period_end": not ending and status in ("active", "trialing", "past_due"),
        "cancel_now": True,
        "resume": ending or status == "paused" or bool(subscription["pause_collection"]),
        "change_plan": status in ("active", "trialing", "past_due"),
        "fail_payment": status in ("active", "trialing"),
        "pay": status in ("past_due", "unpaid", "incomplete"),
    }
    if not features.get("subscription_cancel", {}).get("enabled"):
        sensible["cancel_at_period_end"] = sensible["cancel_now"] = False
    if not features.get("subscription_update", {}).get("enabled"):
        sensible["change_plan"] = False
    if status in ENDED:
        return []
    flow = _flow(session)
    return [
        (action, label)
        for action, label in ACTIONS.items()
        if sensible[action] and (not flow or action in FLOWS[flow])
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


def _price(price: Json) -> dict[str, str]:
    amount = f"{price['unit_amount'] / 100:.2f} {price['currency'].upper()} a month"
    return {"name": price["nickname"] or price["id"], "price": amount}


def _date(moment: int | None) -> str | None:
    return datetime.fromtimestamp(moment, UTC).strftime("%-d %B %Y") if moment else None


def _sentence(error: Exception) -> str:
    text = str(error.args[0]) if error.args else ""
    return text[:1].upper() + text[1:] + "."
