"""A Stripe account of the sandbox for its tests, with an endpoint that its webhooks reach."""

import threading
import time
from collections.abc import Callable
from typing import Any

import flask
import stripe

from sandbox.faults import Faults
from sandbox.stripe.api import create_app
from sandbox.stripe.state import StripeState
from sandbox.stripe.webhooks import Webhooks
from sandbox.web import Server

KEY = "sk_test_account"
RESTRICTED_KEY = "rk_test_account_of_ours"
SECRET = "whsec_account"

Json = dict[str, Any]

stripe.enable_telemetry = False


class Account:
    """One server holds the stand-in and, at /hook, the endpoint; `answers` says what it answers."""

    def __init__(self) -> None:
        self.faults = Faults()
        self.webhooks = Webhooks(SECRET, self.faults, delays=(0.0, 0.0, 0.0))
        self.state = StripeState(self.webhooks)
        app = create_app(
            self.state,
            self.faults,
            {KEY, RESTRICTED_KEY},
            before_answer=lambda method, path: self.before_answer(method, path),
            sleep=lambda seconds: self.slept.append(seconds),
        )
        app.add_url_rule("/hook", view_func=self._receive, methods=["POST"])
        self.app = app
        self.server = Server(app)
        self.client = self.client_with(KEY)
        self._lock = threading.Lock()
        self.clear()

    def clear(self) -> None:
        self.webhooks.url = None
        self.webhooks.style = "snapshot"
        self.webhooks.api_version = stripe.api_version
        self.webhooks.enabled_events = ["*"]
        self.state.billing_mode = "flexible"
        self.state.answer_timeout = 10.0
        self.set_clock(time.time)
        self.faults.reset()
        self.state.reset()
        self.received: list[tuple[bytes, str]] = []
        self.slept: list[float] = []
        self.before_answer: Callable[[str, str], None] = lambda method, path: None
        self.answer: Callable[[], flask.typing.ResponseReturnValue] = lambda: {"outcome": "applied"}

    def __enter__(self) -> "Account":
        self.server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.webhooks.stop()
        self.server.stop()

    def client_with(self, key: str) -> stripe.StripeClient:
        addresses = {"api": self.server.url}
        return stripe.StripeClient(key, base_addresses=addresses, max_network_retries=0)

    def set_clock(self, clock: Callable[[], float]) -> None:
        self.webhooks.clock = self.state.clock = clock

    def set_time(self, moment: float) -> None:
        self.set_clock(lambda: moment)

    def listen(self) -> None:
        self.webhooks.url = self.server.url + "/hook"

    def event_types(self) -> list[str]:
        return [event["type"] for event in self.state.events.values()]

    def customer(self, clerk_user_id: str = "user_ada") -> str:
        metadata = {"clerk_user_id": clerk_user_id}
        return self.client.v1.customers.create({"metadata": metadata}).id

    def order(self, customer: str | None = None, **more: Any) -> Json:
        """The parameters of a checkout session that Stripe accepts."""
        order: Json = {
            "mode": "subscription",
            "line_items": [{"price": "price_pro", "quantity": 1}],
            "success_url": "https://app.test/done?session={CHECKOUT_SESSION_ID}",
            "cancel_url": "https://app.test/plans",
        }
        if customer:
            order["customer"] = customer
        return {**order, **more}

    def session(self, customer: str | None = None, **more: Any) -> stripe.checkout.Session:
        return self.client.v1.checkout.sessions.create(self.order(customer, **more))

    def _receive(self) -> flask.typing.ResponseReturnValue:
        body, header = flask.request.get_data(), flask.request.headers["Stripe-Signature"]
        with self._lock:
            self.received.append((body, header))
        return self.answer()
