"""The stand-in for Stripe as tests and people use it: one account, and what can happen to it.

Each method is one step under the account's lock. What the steps do is in the modules below; the
calls of Stripe's API are in calls.py.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from sandbox.stripe import catalogue, checkout, lifecycle, shapes, subscribing
from sandbox.stripe.account import Account

Json = dict[str, Any]
T = TypeVar("T")


class StripeState(Account):
    """The parameters are those of `Account`.

    answer_timeout: how many seconds checkout waits for the endpoint's answer before it redirects.
    """

    answer_timeout = 10.0

    def reset(self) -> None:
        """A new account, with the same settings and the same webhook endpoint."""
        with self.lock:
            self.clear()
            self.webhooks.reset()

    def customer_of(self, clerk_user_id: str) -> Json | None:
        """The newest customer that carries this Clerk id, if any."""
        with self.lock:
            for customer in reversed(self.customers.values()):
                mine = customer["metadata"].get("clerk_user_id") == clerk_user_id
                if mine and not customer.get("deleted"):
                    return shapes.copied(customer)
            return None

    def add_product(self, id: str | None = None, name: str = "Product", **more: Any) -> Json:
        """Something new to sell. more: other fields of a product."""
        with self.lock:
            return shapes.copied(catalogue.add_product(self, id, name, **more))

    def add_price(self, id: str | None, product: str, amount: int | None, **more: Any) -> Json:
        """amount: in cents, or None. more: other fields of a price; `recurring` is a month."""
        with self.lock:
            self._have(self.products, product, "product")
            return shapes.copied(catalogue.add_price(self, id, product, amount, **more))

    def archive(self, id: str) -> Json:
        """Sell this product or price no longer; who has it keeps it."""
        with self.lock:
            store = self.products if id in self.products else self.prices
            self._have(store, id, "product or price")
            return shapes.copied(catalogue.change(self, store, id, {"active": False}))

    def create_customer(self, **fields: Any) -> Json:
        with self.lock:
            return shapes.copied(self.add_customer(**fields))

    def delete_customer(self, id: str) -> Json:
        """Delete a customer; what they subscribed to ends at once. KeyError for an unknown one."""
        with self.lock:
            customer = self._have(self.customers, id, "customer")
            for subscription in list(self.subscriptions.values()):
                if subscription["customer"] == id and subscription["status"] not in lifecycle.ENDED:
                    self.act(subscription["id"], "cancel_now")
            self.emit("customer.deleted", customer)
            self.customers[id] = {**customer, "deleted": True}
            return {"id": id, "object": "customer", "deleted": True}

    def update_customer(self, id: str, **changes: Any) -> Json:
        """Change a customer's fields and say so, where something changed."""
        with self.lock:
            customer = self._have(self.customers, id, "customer")
            before = shapes.copied(customer)
            customer.update(changes)
            if customer != before:
                self.emit("customer.updated", customer, shapes.changes(before, customer))
            return shapes.copied(customer)

    def update_card(self, customer_id: str) -> Json:
        """The customer gave another card; every charge will use it."""
        with self.lock:
            old = self._have(self.customers, customer_id, "customer")["invoice_settings"]
            new = old | {"default_payment_method": shapes.new_id("pm")}
            return self.update_customer(customer_id, invoice_settings=new)

    def create_subscription(
        self,
        clerk_user_id: str | None,
        price: str,
        status: str = "active",
        *,
        customer: str | None = None,
        metadata: dict[str, str] | None = None,
        quantity: int = 1,
    ) -> Json:
        """A subscription from nowhere, as if made in Stripe's dashboard.

        customer: an existing one; else the newest of the user; else a new one that carries
        `metadata.clerk_user_id`. metadata: the subscription's own; the user's id by default.
        """
        with self.lock:
            self._have(self.prices, price, "price")
            owner = {"clerk_user_id": clerk_user_id} if clerk_user_id else {}
            if customer is None:
                known = self.customer_of(clerk_user_id) if clerk_user_id else None
                customer = str((known or self.create_customer(metadata=owner))["id"])
            self._have(self.customers, customer, "customer")
            metadata = owner if metadata is None else metadata
            made = self.subscribe(customer, [(price, quantity)], metadata=metadata, status=status)
            return shapes.copied(made)

    def subscribe(
        self,
        customer: str,
        lines: Sequence[tuple[str, int | None]],
        *,
        metadata: dict[str, str],
        status: str = "active",
        trial_end: int | None = None,
        **fields: Any,
    ) -> Json:
        """Make a subscription and say so. The caller holds the lock and gets the stored object.

        lines: ids of prices, each with its quantity; None for 1, or for a price sold by use.
        trial_end: when the trial, and with it the first period, is over.
        """
        prices = [(self.prices[price], quantity) for price, quantity in lines]
        return subscribing.subscribe(
            self, customer, prices, metadata=metadata, status=status, trial_end=trial_end, **fields
        )

    def act(self, subscription_id: str, action: str, **more: Any) -> Json:
        """Let something happen to a subscription, and return it.

        KeyError: no such subscription. ValueError: no such action, or not possible now.
        """
        with self.lock:
            context = lifecycle.Context(self.now(), self.prices)

            def step(subscription: Json) -> lifecycle.Step:
                step = lifecycle.act(subscription, action, more, context)
                if step.invoice:
                    subscribing.bill(self, subscription, step.invoice)
                return step

            before, after, taken = self.change(subscription_id, step)
            if taken.event:
                self.announce(taken.event, before, after)
            if taken.invoice:
                self.emit(f"invoice.{taken.invoice}", self.invoices[after["latest_invoice"]])
            return shapes.copied(after)

    def change(self, subscription_id: str, how: Callable[[Json], T]) -> tuple[Json, Json, T]:
        """Change a subscription, silently; one that `how` raises for stays as it was.
        Returns it as it was and as it is, and what `how` returned. The caller holds the lock.
        """
        before = self._have(self.subscriptions, subscription_id, "subscription")
        after = shapes.copied(before)
        result = how(after)
        self.subscriptions[subscription_id] = after
        return before, after, result

    def announce(self, event: str, before: Json, after: Json) -> None:
        """Send `customer.subscription.<event>`. The caller holds the lock."""
        previous = shapes.changes(before, after) if event == "updated" else None
        self.emit(f"customer.subscription.{event}", after, previous)

    def checkout(self, session_id: str, action: str) -> Json:
        """Press a button of the checkout page: pay, decline or expire.

        KeyError: no such session. ValueError: no such button, or the session is not open.
        After paying, waits for the endpoint's answer to `checkout.session.completed`, as Stripe
        does before it sends the customer back.
        """
        if action not in checkout.BUTTONS:
            raise ValueError(f"action is one of {', '.join(checkout.BUTTONS)}")
        with self.lock:
            self._have(self.sessions, session_id, "checkout session")
            sent = checkout.BUTTONS[action](self, session_id)
        deadline = time.monotonic() + self.answer_timeout
        for delivery in sent:
            delivery.wait_answered(max(0.0, deadline - time.monotonic()))
        with self.lock:
            return shapes.copied(self.sessions[session_id])

    def _have(self, store: dict[str, Json], id: str, kind: str) -> Json:
        if id not in store or store[id].get("deleted"):
            raise KeyError(f"there is no {kind} {id}")
        return store[id]
