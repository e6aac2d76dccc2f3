"""The buttons of the billing portal: which there are, and which make sense now."""

from typing import Any

import flask

from sandbox.stripe import page_words as words
from sandbox.stripe import portal_flows as flows
from sandbox.stripe.account import Account
from sandbox.stripe.lifecycle import ENDED, OWING

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
# What a flow is about; when it is done, the customer is sent back.
FLOWS = {
    "customer_update": ("update_details",),
    "payment_method_update": ("update_card",),
    "subscription_cancel": ("cancel_at_period_end", "cancel_now"),
    "subscription_pause": ("pause",),
    "subscription_update": ("change_plan",),
    "subscription_update_confirm": ("confirm_change",),
}


def flow_of(session: Json) -> str:
    return str(session["flow"]["type"]) if session["flow"] else ""


def to_confirm(session: Json) -> Json:
    """The one item of a flow subscription_update_confirm; ends the request where it is another."""
    if flow_of(session) != "subscription_update_confirm":
        flask.abort(404)
    item: Json = session["flow"]["subscription_update_confirm"]["items"][0]
    return item


def possible(account: Account, session: Json, subscription: Json) -> set[str]:
    """The actions that make sense now."""
    status, ending = subscription["status"], subscription["cancel_at"] is not None
    if status in ENDED:
        return set()
    going = status in ("active", "trialing", "past_due")
    flow = flow_of(session)
    sensible = {
        "pay": status in OWING,
        "resume": ending or status == "paused" or bool(subscription["pause_collection"]),
        "change_plan": going and _offered(account, session, "subscription_update", subscription),
        "confirm_change": going and flow == "subscription_update_confirm",
        "pause": _offered(account, session, "subscription_pause", subscription),
        "cancel_at_period_end": going
        and _offered(account, session, "subscription_cancel", subscription),
        "cancel_now": _enabled(account, session, "subscription_cancel"),
        "fail_payment": status in ("active", "trialing"),
        "advance_period": going,
    }
    return {
        action
        for action, possible in sensible.items()
        if possible and (not flow or action in FLOWS[flow])
    }


def feature(account: Account, session: Json, name: str) -> Json:
    settings = account.configurations.get(session["configuration"], {})
    feature: Json = settings.get("features", {}).get(name, {})
    return feature


def _enabled(account: Account, session: Json, name: str) -> bool:
    return bool(feature(account, session, name).get("enabled"))


def _offered(account: Account, session: Json, name: str, subscription: Json) -> bool:
    """Whether the configuration has it, and Stripe can do it to this subscription."""
    return _enabled(account, session, name) and flows.reason(name, subscription) is None


def shown(account: Account, session: Json, subscription: Json, actions: set[str]) -> list[Json]:
    buttons = []
    for action, label in ACTIONS.items():
        style = "danger" if action.startswith("cancel") else ""
        if action in ("pay", "resume", "confirm_change") or (
            action == "change_plan" and flow_of(session)
        ):
            style = "main"
        if action not in actions:
            continue
        if action == "change_plan":
            buttons += [
                {"action": action, "label": label.format(name), "class": style, "price": id}
                for id, name in _other_plans(account, session, subscription)
            ]
        else:
            buttons.append({"action": action, "label": label, "class": style})
    return buttons


def _other_plans(account: Account, session: Json, subscription: Json) -> list[tuple[str, str]]:
    """What the portal's configuration offers besides what the customer has."""
    update = feature(account, session, "subscription_update")
    offered = [id for product in update.get("products") or [] for id in product["prices"]]
    now = subscription["items"]["data"][0]["price"]["id"]
    prices = [account.prices[id] for id in offered if id in account.prices and id != now]
    return [
        (
            price["id"],
            f"{words.name(price)} · {words.money(price['unit_amount'] or 0, price['currency'])}",
        )
        for price in prices
        if price["active"]
    ]
