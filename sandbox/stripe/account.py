"""One Stripe account: its settings, the objects that it holds and the events that it sends.

What happens to the objects is in the modules above: catalogue, subscribing, checkout, portal;
state.py puts them together. Whoever changes something holds the lock, so that each change and its
event are one step, and events leave in the order of the changes.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from sandbox.stripe import portal_settings, shapes
from sandbox.stripe.delivery import Delivery
from sandbox.stripe.initial_catalogue import SANDBOX, InitialCatalogue
from sandbox.stripe.webhooks import Webhooks

Json = dict[str, Any]


class Account:
    """It has something to sell and a portal at first, and knows nobody.

    livemode: whether objects are of Stripe's live mode.
    clock: seconds since 1970; stamps objects, events and the `Date` of answers alike.
    billing_mode: "flexible" as Stripe's default, or "classic".
    initial_catalogue: the products and prices that it has at first, and again after `clear`.
    public_url: where browsers reach the hosted pages; set by whoever serves them.
    calls: the last requests to the API, for tests: {"method", "path", "status", "at"}.
    forbidden: what restricted keys may not do: key to beginnings of paths, such as
    {"rk_test_x": ["/v1/prices"]}.
    """

    def __init__(
        self,
        webhooks: Webhooks,
        livemode: bool = False,
        *,
        clock: Callable[[], float] = time.time,
        billing_mode: str = "flexible",
        initial_catalogue: InitialCatalogue = SANDBOX,
    ) -> None:
        self.webhooks = webhooks
        self.livemode = livemode
        self.clock = clock
        self.billing_mode = billing_mode
        self.initial_catalogue = initial_catalogue
        self.public_url: Callable[[], str] = lambda: ""
        self.lock = threading.RLock()
        self.clear()

    def clear(self) -> None:
        """Begin anew; settings and the webhook endpoint stay."""
        start, at, livemode = self.initial_catalogue, self.now(), self.livemode
        self.products = start.products(at, livemode)
        self.prices = start.prices(at, livemode)
        self.configurations = portal_settings.configurations(at, livemode, start.plans)
        self.customers: dict[str, Json] = {}
        self.subscriptions: dict[str, Json] = {}
        self.schedules: dict[str, Json] = {}
        self.sessions: dict[str, Json] = {}
        self.orders: dict[str, Json] = {}  # what each checkout session was created with
        self.portal_sessions: dict[str, Json] = {}
        self.invoices: dict[str, Json] = {}
        self.events: dict[str, Json] = {}
        self.saved_answers: dict[str, Any] = {}  # by idempotency key
        self.calls: deque[Json] = deque(maxlen=10_000)
        self.forbidden: dict[str, list[str]] = {}

    def now(self) -> int:
        return int(self.clock())

    def emit(self, type: str, object: Json, previous: Json | None = None) -> list[Delivery]:
        """Record an event and send it. The caller holds the lock."""
        event = shapes.event(type, object, self.now(), previous)
        self.events[event["id"]] = event
        return self.webhooks.send(event)

    def add_customer(self, **fields: Any) -> Json:
        """Make a customer and say so. The caller holds the lock and gets the stored object."""
        customer = shapes.customer(self.now(), self.livemode, **fields)
        self.customers[customer["id"]] = customer
        self.emit("customer.created", customer)
        return customer
