"""How a subscription begins: the shapes of subscriptions, their items and invoices, and the step
that makes one. What can happen to it afterwards is in stripe_lifecycle."""

from typing import TYPE_CHECKING, Any

import stripe

from sandbox import stripe_catalogue as catalogue
from sandbox import stripe_lifecycle as lifecycle
from sandbox import stripe_shapes as shapes

if TYPE_CHECKING:
    from sandbox.stripe_state import StripeState

Json = dict[str, Any]
Line = tuple[Json, int | None]  # a price, and a quantity unless it is sold by use

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
    state: "StripeState",
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
    now = state.now()
    made = subscription(
        customer,
        lines,
        now,
        state.livemode,
        billing_mode=state.billing_mode,
        trial_end=trial_end,
        metadata=dict(metadata),
        default_payment_method=shapes.new_id("pm"),
        **fields,
    )
    lifecycle.begin(made, status, now)
    owed = status in (*lifecycle.OWING, "incomplete_expired")
    bill(state, made, "open" if owed else "paid")
    state.subscriptions[made["id"]] = made
    state.customers[customer]["currency"] = made["currency"]
    state.emit("customer.subscription.created", made)
    return made


def bill(state: "StripeState", of: Json, status: str) -> None:
    """Give a subscription its next invoice; status is open or paid."""
    made = invoice(of, status, state.now())
    state.invoices[made["id"]] = made
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
    catalogue.set_price(made, of, quantity)
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
        item(id, of, quantity, now, trial_end or catalogue.period_after(now, of["recurring"]))
        for of, quantity in lines
    ]
    flexible = {"proration_discounts": "included"} if billing_mode == "flexible" else None
    return {
        **shapes.blank(stripe.Subscription),
        "id": id,
        "object": "subscription",
        "automatic_tax": {"disabled_reason": None, "enabled": False, "liability": None},
        "billing_cycle_anchor": now,
        "billing_mode": {"flexible": flexible, "type": billing_mode, "updated_at": now},
        "billing_schedules": [],
        "cancel_at_period_end": False,
        "cancellation_details": {
            "comment": None,
            "feedback": None,
            "feedback_option": None,
            "reason": None,
        },
        "collection_method": "charge_automatically",
        "created": now,
        "currency": lines[0][0]["currency"],
        "customer": customer,
        "default_tax_rates": [],
        "discounts": [],
        "invoice_settings": {"account_tax_ids": None, "issuer": {"type": "self"}},
        "items": shapes.listing(f"/v1/subscription_items?subscription={id}", items),
        "livemode": livemode,
        "metadata": {},
        "start_date": now,
        "status": "active",
        "trial_settings": {"end_behavior": {"missing_payment_method": "create_invoice"}},
        **more,
    }


def invoice(of: Json, status: str, now: int) -> Json:
    """The invoice of a subscription, as small as one that the service ignores may be."""
    total = sum(
        catalogue.amount(item["price"], item.get("quantity")) for item in of["items"]["data"]
    )
    paid = total if status == "paid" else 0
    details = {"metadata": of["metadata"], "subscription": of["id"]}
    return {
        **shapes.blank(stripe.Invoice),
        "id": shapes.new_id("in", 23),
        "object": "invoice",
        "amount_due": total,
        "amount_paid": paid,
        "amount_remaining": total - paid,
        "attempted": True,
        "attempt_count": 1,
        "collection_method": "charge_automatically",
        "created": now,
        "currency": of["currency"],
        "customer": of["customer"],
        "discounts": [],
        "livemode": of["livemode"],
        "metadata": {},
        "parent": {"type": "subscription_details", "subscription_details": details},
        "status": status,
        "total": total,
    }
