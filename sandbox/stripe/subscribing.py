"""How a subscription begins: the shapes of subscriptions, their items and invoices, and the step
that makes one. What can happen to it afterwards is in lifecycle.py."""

import copy
from typing import Any

import stripe

from sandbox.stripe import lifecycle, pricing, shapes
from sandbox.stripe.account import Account

Json = dict[str, Any]
Line = tuple[Json, int | None]  # a price, and a quantity unless it is sold by use

# What is the same in every subscription, and in every invoice, besides what is null.
SUBSCRIPTION: Json = {
    "object": "subscription",
    "automatic_tax": {"disabled_reason": None, "enabled": False, "liability": None},
    "billing_schedules": [],
    "cancel_at_period_end": False,
    "cancellation_details": {
        "comment": None,
        "feedback": None,
        "feedback_option": None,
        "reason": None,
    },
    "collection_method": "charge_automatically",
    "default_tax_rates": [],
    "discounts": [],
    "invoice_settings": {"account_tax_ids": None, "issuer": {"type": "self"}},
    "metadata": {},
    "status": "active",
    "trial_settings": {"end_behavior": {"missing_payment_method": "create_invoice"}},
}
INVOICE: Json = {
    "object": "invoice",
    "amount_overpaid": 0,
    "amount_shipping": 0,
    "attempt_count": 1,
    "attempted": True,
    "auto_advance": False,
    "automatic_tax": {"enabled": False, "liability": None, "status": None},
    "collection_method": "charge_automatically",
    "default_tax_rates": [],
    "discounts": [],
    "issuer": {"type": "self"},
    "metadata": {},
    "payment_settings": {"default_mandate": None, "payment_method_options": None},
    "post_payment_credit_notes_amount": 0,
    "pre_payment_credit_notes_amount": 0,
    "starting_balance": 0,
}

STATUSES = (
    "active",
    "trialing",
    "past_due",
    "unpaid",
    "incomplete",
    "incomplete_expired",
    "canceled",
    "paused",
)


def subscribe(
    account: Account,
    customer: str,
    lines: list[Line],
    *,
    metadata: dict[str, str],
    status: str,
    trial_end: int | None,
    **fields: Any,
) -> Json:
    """Make a subscription and say so. Raises ValueError for a status that there isn't.

    The caller holds the lock and gets the stored object.
    """
    if status not in STATUSES:
        raise ValueError(f"status is one of {', '.join(STATUSES)}")
    now = account.now()
    made = subscription(
        customer,
        lines,
        now,
        account.livemode,
        billing_mode=account.billing_mode,
        trial_end=trial_end,
        metadata=dict(metadata),
        default_payment_method=shapes.new_id("pm"),
        **fields,
    )
    lifecycle.begin(made, status, now)
    owed = status in (*lifecycle.OWING, "incomplete_expired")
    bill(account, made, "payment_failed" if owed else "paid")
    account.subscriptions[made["id"]] = made
    account.customers[customer]["currency"] = made["currency"]
    account.emit("customer.subscription.created", made)
    return made


def bill(account: Account, of: Json, outcome: str) -> None:
    """Give a subscription its next invoice; outcome is paid or payment_failed."""
    made = invoice(of, "paid" if outcome == "paid" else "open", account.now())
    account.invoices[made["id"]] = made
    of["latest_invoice"] = made["id"]


def item(subscription: str, of: Json, quantity: int | None, start: int, end: int) -> Json:
    made = {
        **shapes.blank(stripe.SubscriptionItem),
        "id": shapes.new_id("si", 13),
        "object": "subscription_item",
        "created": start,
        "current_period_start": start,
        "current_period_end": end,
        "discounts": [],
        "metadata": {},
        "subscription": subscription,
        "tax_rates": [],
    }
    pricing.set_price(made, of, quantity)
    return made


def subscription(
    customer: str,
    lines: list[Line],
    now: int,
    livemode: bool,
    *,
    billing_mode: str,
    trial_end: int | None,
    **more: Any,
) -> Json:
    """Each item's period is as long as its price says; a trial is one period for all of them."""
    id = shapes.new_id("sub", 23)
    items = [
        item(id, of, quantity, now, trial_end or pricing.period_after(now, of["recurring"]))
        for of, quantity in lines
    ]
    flexible = {"proration_discounts": "included"} if billing_mode == "flexible" else None
    return {
        **shapes.blank(stripe.Subscription),
        **copy.deepcopy(SUBSCRIPTION),
        "id": id,
        "billing_cycle_anchor": now,
        "billing_mode": {"flexible": flexible, "type": billing_mode, "updated_at": now},
        "created": now,
        "currency": lines[0][0]["currency"],
        "customer": customer,
        "items": shapes.listing(f"/v1/subscription_items?subscription={id}", items),
        "livemode": livemode,
        "start_date": now,
        **more,
    }


def invoice(of: Json, status: str, now: int) -> Json:
    """The invoice of a subscription, as small as one that the service ignores may be."""
    total = sum(pricing.amount(item["price"], item.get("quantity")) for item in of["items"]["data"])
    id, paid = shapes.new_id("in", 23), total if status == "paid" else 0
    details = {"metadata": of["metadata"], "subscription": of["id"]}
    return {
        **shapes.blank(stripe.Invoice),
        **copy.deepcopy(INVOICE),
        **dict.fromkeys(("created", "period_start", "period_end"), now),
        **dict.fromkeys(("amount_due", "subtotal", "total"), total),
        **{name: of[name] for name in ("currency", "customer", "livemode")},
        "id": id,
        "amount_paid": paid,
        "amount_remaining": total - paid,
        "lines": shapes.listing(f"/v1/invoices/{id}/lines", []),
        "parent": {"type": "subscription_details", "subscription_details": details},
        "status": status,
        "status_transitions": {
            "finalized_at": now,
            "marked_uncollectible_at": None,
            "paid_at": now if status == "paid" else None,
            "voided_at": None,
        },
    }
