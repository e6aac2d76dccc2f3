"""The pages that Stripe hosts, plainly not the real ones: their addresses and buttons, and what
the checkout page shows. What the portal's shows is in portal_page.py."""

from pathlib import Path
from typing import Any

import flask
from werkzeug.wrappers import Response

from sandbox.stripe import checkout, portal_page, pricing
from sandbox.stripe import page_words as words
from sandbox.stripe.page_words import Message
from sandbox.stripe.state import StripeState

Json = dict[str, Any]

PAGES = Path(__file__).with_name("hosted")

DECLINED = "The card was declined. Nothing was paid. Try again, or go back."


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

    _add_checkout(pages, state)
    _add_portal(pages, state)
    return pages


def _add_checkout(pages: flask.Blueprint, state: StripeState) -> None:
    @pages.get("/c/pay/<id>")
    def show_checkout(id: str) -> str:
        declined = Message("bad", DECLINED) if "declined" in flask.request.args else None
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
                return _checkout_page(state, id, words.complaint(error)), 409
            # The second click of two, or the back button: it is paid, and paid once.
        if session["status"] == "complete":
            return flask.redirect(_success_url(session), 303)
        return flask.redirect(f"/c/pay/{id}?declined", 303)


def _add_portal(pages: flask.Blueprint, state: StripeState) -> None:
    @pages.get("/p/session/<token>")
    def show_portal(token: str) -> str:
        done = portal_page.DONE.get(flask.request.args.get("done", ""))
        return portal_page.show(state, token, Message("good", done) if done else None)

    @pages.post(f"/p/session/<token>/<any({portal_page.NAMES}):action>")
    def act(token: str, action: str) -> Response | tuple[str, int]:
        session = portal_page.session_of(state, token)
        try:
            portal_page.act(state, session, action, flask.request.form)
        except ValueError as error:
            return portal_page.show(state, token, words.complaint(error)), 409
        after = portal_page.after(session, action)
        return flask.redirect(after or f"/p/session/{token}?done={action}", 303)


def _checkout_page(state: StripeState, id: str, message: Message | None) -> str:
    with state.lock:
        if id not in state.sessions:
            flask.abort(404)
        session, order = dict(state.sessions[id]), state.orders[id]
        ordered = checkout.ordered(state, id)
    trial = {"trial_end", "trial_period_days"} & order.get("subscription_data", {}).keys()
    today = words.money(session["amount_total"], session["currency"])
    lines = [
        {"name": words.name(price, quantity), "rate": words.rate(price, quantity)}
        for price, quantity in ordered
    ]
    return flask.render_template(
        "checkout.html",
        title="Checkout",
        message=message if session["status"] == "open" else None,
        session=session,
        first=words.name(ordered[0][0]),
        lines=lines,
        total=_total(ordered),
        today=today,
        pay=f"Pay {today}"
        if session["amount_total"]
        else "Start the trial"
        if trial
        else "Subscribe",
        leave=_success_url(session) if session["status"] == "complete" else session["cancel_url"],
        here=f"/c/pay/{id}",
    )


def _total(ordered: list[tuple[Json, int | None]]) -> tuple[str, str] | None:
    """What all lines cost together and how often; None where they are not charged alike."""
    often = {pricing.every(price["recurring"]) for price, _ in ordered if price["recurring"]}
    if len(often) != 1 or any(_uncounted(price) for price, _ in ordered):
        return None
    amount = sum(pricing.amount(price, quantity) for price, quantity in ordered)
    return words.money(amount, ordered[0][0]["currency"]), often.pop()


def _uncounted(price: Json) -> bool:
    return not price["recurring"] or pricing.metered(price) or price["unit_amount"] is None


def _success_url(session: Json) -> str:
    return str(session["success_url"]).replace("{CHECKOUT_SESSION_ID}", session["id"])
