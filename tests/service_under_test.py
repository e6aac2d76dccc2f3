"""The service in this process as a test drives it, and what a test lets happen around it."""

import gc
import hashlib
import hmac
import json
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import contract_document
from flask.testing import FlaskClient
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb
from werkzeug.test import TestResponse

from portal_service import Settings, create_app
from portal_service.errors import ERRORS
from sandbox import clerk_webhooks
from sandbox.faults import Faults
from sandbox.stripe.api import create_app as create_stripe
from sandbox.stripe.state import StripeState
from sandbox.stripe.webhooks import Webhooks
from sandbox.world import CLERK_WEBHOOK_SECRET, WEBHOOK_SECRET, World, clerk_id

Json = dict[str, Any]

APP_URL = "http://localhost:8000"

_NOW = datetime.now(UTC).replace(microsecond=0)


def days_ahead(days: float) -> datetime:
    """A moment so many days after the tests began; the same each time it is asked for."""
    return _NOW + timedelta(days=days)


def iso(moment: datetime) -> str:
    """As the service shows it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


PERIOD_END = iso(days_ahead(28))  # of the rows of put_row


class ContractClient(FlaskClient):
    """A test client that lets no answer pass which the contract's document does not describe."""

    prefix = contract_document.PREFIX

    def open(self, *args: Any, **kwargs: Any) -> TestResponse:
        answer = super().open(*args, **kwargs)
        contract_document.check(answer, self.prefix)
        path = contract_document.documented_path(answer.request.path, self.prefix)
        if answer.status_code == 200 and kwargs.get("json") is not None:
            contract_document.check_request(path, kwargs["json"])
        return answer


class Service:
    """One app and its callers. `ada` is the user where none is named."""

    def __init__(self, world: World, settings: Settings, log: "Log") -> None:
        self.world = world
        self.settings = settings
        with redirect_stderr(log.stream):  # where the service writes its log to
            self.app = create_app(settings)
        self.app.test_client_class = ContractClient

    def client(self) -> FlaskClient:
        client = self.app.test_client(use_cookies=False)  # a header Cookie is sent as it is
        client.prefix = self.settings.url_prefix
        return client

    def call(self, method: str, path: str, **more: Any) -> TestResponse:
        """A request below the prefix."""
        return self.client().open(self.settings.url_prefix + path, method=method, **more)

    def root(self, path: str, method: str = "GET", **more: Any) -> TestResponse:
        return self.client().open(path, method=method, **more)

    def token(self, user: str = "ada", **claims: Any) -> str:
        return self.world.clerk.session_token(clerk_id(user), **claims)

    def bearer(self, user: str = "ada", **claims: Any) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token(user, **claims)}"}

    def portal(self, user: str = "ada", body: Any = None, **more: Any) -> TestResponse:
        return self.call("POST", "/portal", headers=self.bearer(user), json=body, **more)

    def checkout(self, user: str = "ada", body: Any = None, **more: Any) -> TestResponse:
        return self.call("POST", "/checkout", headers=self.bearer(user), json=body, **more)

    def status(self, user: str = "ada") -> TestResponse:
        return self.call("GET", "/subscription", headers=self.bearer(user))

    def refresh(self, user: str = "ada", body: Any = None) -> TestResponse:
        return self.call("POST", "/subscription/refresh", headers=self.bearer(user), json=body)

    def shown(self, user: str = "ada") -> Json:
        """The status object."""
        answer = self.status(user)
        assert answer.status_code == 200, answer.text
        return answer.json or {}

    def deliver(self, event: Json | bytes | str, **more: Any) -> TestResponse:
        """A webhook, signed as Stripe signs; `more` changes the signing."""
        body = event if isinstance(event, bytes) else _rendered(event)
        headers = {"Stripe-Signature": signature(body, **more)}
        return self.call(
            "POST", "/webhook", data=body, headers=headers, content_type="application/json"
        )

    def outcome(self, event: Json) -> str:
        """What the service says that it did with an event."""
        answer = self.deliver(event)
        assert answer.status_code == 200, answer.text
        return str((answer.json or {})["outcome"])

    def deliver_clerk(
        self, event: Json | bytes, secret: str = CLERK_WEBHOOK_SECRET, age: int = 0
    ) -> TestResponse:
        """A webhook of Clerk's, signed as Svix signs."""
        body = event if isinstance(event, bytes) else json.dumps(event).encode()
        headers = clerk_webhooks.headers(secret, "msg_test", int(time.time()) - age, body)
        return self.call("POST", "/clerk/webhook", data=body, headers=headers)

    def told(self, event: Json) -> str:
        """What the service says that it did with an event of Clerk's."""
        answer = self.deliver_clerk(event)
        assert answer.status_code == 200, answer.text
        return str((answer.json or {})["outcome"])

    def metric(self, name: str, **labels: str) -> float:
        """The present value of one counter, 0 where it was never touched."""
        wanted = [f'{label}="{value}"' for label, value in labels.items()]
        for line in self.root("/metrics").text.splitlines():
            series, _, value = line.rpartition(" ")
            if series.partition("{")[0] == name and all(label in series for label in wanted):
                return float(value)
        return 0.0


MakeService = Callable[..., Service]


def _rendered(event: Json | str) -> bytes:
    return (event if isinstance(event, str) else json.dumps(event, indent=2)).encode()


def signature(
    body: bytes, secret: str | Sequence[str] = WEBHOOK_SECRET, age: int = 0, at: int | None = None
) -> str:
    """The header Stripe-Signature; with several secrets, one signature of each."""
    stamp = int(time.time()) - age if at is None else at
    secrets = [secret] if isinstance(secret, str) else secret
    macs = [
        hmac.new(s.encode(), b"%d." % stamp + body, hashlib.sha256).hexdigest() for s in secrets
    ]
    return ",".join([f"t={stamp}", *(f"v1={mac}" for mac in macs)])


def refused(answer: TestResponse, code: str, status: int | None = None) -> Json:
    """Fail unless this is the error of that code; gives its body."""
    body = answer.json or {}
    expected = (status or ERRORS[code][0], code)
    assert (answer.status_code, body.get("code")) == expected, answer.text
    return body


def last_event(stripe: StripeState, kind: str | None = None) -> Json:
    """The newest event, or the newest of a type."""
    return next(e for e in reversed(stripe.events.values()) if kind in (None, e["type"]))


def calls(stripe: StripeState) -> list[str]:
    """What Stripe was asked, as `GET /v1/subscriptions/…`; without the look-up of prices, whose
    answers are kept for minutes."""
    return [call for call in _calls(stripe) if call not in price_questions(stripe)]


def price_questions(stripe: StripeState) -> list[str]:
    """What Stripe was asked about prices."""
    return [call for call in _calls(stripe) if call.startswith("GET /v1/prices/")]


def _calls(stripe: StripeState) -> list[str]:
    return [f"{call['method']} {call['path']}" for call in stripe.calls]


def session_of(stripe: StripeState, answer: TestResponse) -> Json:
    """The checkout session whose address an answer gives."""
    assert answer.status_code == 200, answer.text
    return next(s for s in stripe.sessions.values() if s["url"] == (answer.json or {})["url"])


def order_of(stripe: StripeState, answer: TestResponse) -> Json:
    """The parameters that made the session."""
    order: Json = stripe.orders[session_of(stripe, answer)["id"]]
    return order


def known_subscription(
    service: Service, price: str = "price_pro", status: str = "active", **more: Any
) -> Json:
    """A new subscription of ada's that the service has heard of; Stripe was asked nothing since."""
    stripe = service.world.stripe
    subscription = stripe.create_subscription("user_ada", price, status, **more)
    service.deliver(last_event(stripe, "customer.subscription.created"))
    stripe.calls.clear()
    return subscription


def subscribe(
    service: Service, *lines: tuple[str, int | None], customer: str | None = None, **more: Any
) -> Json:
    """As `known_subscription`, with several items: prices and quantities."""
    stripe = service.world.stripe
    metadata = {"clerk_user_id": "user_ada"}
    with stripe.lock:
        customer = customer or stripe.create_customer(metadata=metadata)["id"]
        subscription = stripe.subscribe(customer, lines, **({"metadata": metadata} | more))
    service.deliver(last_event(stripe, "customer.subscription.created"))
    stripe.calls.clear()
    return subscription


def edit_row(world: World, subscription: str, **changes: Any) -> None:
    """What an operator writes by hand, or what a row was before."""
    sets = ", ".join(f"{column} = %s" for column in changes)
    query = f"update subscriptions set {sets} where stripe_subscription_id = %s"
    execute(world, query, *changes.values(), subscription)


def rows(world: World) -> dict[str, Json]:
    """The table, by subscription id."""
    return {row["stripe_subscription_id"]: row for row in world.rows()}


def execute(world: World, query: str, *values: Any) -> list[Json]:
    """Plain SQL, as an operator might write it."""
    with world.transaction() as connection:
        cursor = connection.cursor(row_factory=dict_row).execute(query, values)
        return cursor.fetchall() if cursor.description else []


def put_row(world: World, **changes: Any) -> Json:
    """A row as the service would have written it two days ago: ada's, active, on the plan pro,
    in the middle of its period.
    """
    row: Json = {
        "stripe_subscription_id": "sub_row",
        "stripe_customer_id": "cus_row",
        "user_id": world.user_id("ada"),
        "status": "active",
        "plan": "pro",
        "price_id": "price_pro",
        "product_id": "prod_pro",
        "quantity": 1,
        "collection_method": "charge_automatically",
        "current_period_end": PERIOD_END,
        "cancel_at_period_end": False,
        "livemode": False,
        "as_of": iso(days_ahead(-2)),
    } | changes
    names, places = ", ".join(row), ", ".join(["%s"] * len(row))
    query = (
        f"insert into subscriptions ({names}) values ({places}) returning to_jsonb(subscriptions)"
    )
    values = [Jsonb(value) if isinstance(value, list) else value for value in row.values()]
    return execute(world, query, *values)[0]["to_jsonb"]


def link(world: World, customer: str, user: str = "ada", livemode: bool = False) -> None:
    """Keep that the user has this customer."""
    execute(
        world,
        "insert into billing_customers values (%s, %s, %s)",
        clerk_id(user),
        livemode,
        customer,
    )


def linked(world: World) -> dict[str, str]:
    """Who has which customer."""
    found = execute(world, "select clerk_owner_id, stripe_customer_id from billing_customers")
    return {row["clerk_owner_id"]: row["stripe_customer_id"] for row in found}


def wait_until_waiting(threads: list[threading.Thread], seconds: float = 10) -> None:
    """Until each of the threads waits for another one."""
    last_chance = time.monotonic() + seconds

    def all_wait() -> bool:
        gc.disable()  # which may hang for ever within this call: python/cpython issue 106883
        frames = sys._current_frames()
        gc.enable()
        found = [frames.get(thread.ident or 0) for thread in threads]
        return all(frame and frame.f_code.co_filename == threading.__file__ for frame in found)

    while not all_wait():
        assert time.monotonic() < last_chance, "they do something else"
        threading.Event().wait(0.005)


class Log:
    """What the service wrote to its log, line by line."""

    def __init__(self) -> None:
        self.stream = StringIO()

    @property
    def text(self) -> str:
        return self.stream.getvalue()

    @property
    def lines(self) -> list[Json]:
        return [json.loads(line) for line in self.text.splitlines()]

    def line(self, message: str) -> Json:
        """The only line that begins so."""
        found = [line for line in self.lines if line["message"].startswith(message)]
        assert len(found) == 1, self.text
        return found[0]


class Clock:
    """Stripe's clock: it stands still until a test moves it."""

    def __init__(self, now: float) -> None:
        self.now = int(now)

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: int) -> None:
        self.now += seconds


class OtherStripe:
    """A second Stripe account, of either mode, whose answers a test can hold back or change.

    held: called with method and path when a call was executed, before its answer leaves.
    slowly: called instead of sleeping while the fault `slow` is on.
    """

    def __init__(self, livemode: bool) -> None:
        self.key = "sk_live_other" if livemode else "sk_test_other"
        self.faults = Faults()
        self.state = StripeState(Webhooks(WEBHOOK_SECRET, self.faults), livemode)
        self.url = ""
        self.forget()
        self.app = create_stripe(
            self.state,
            self.faults,
            {self.key},
            lambda: self.url,
            before_answer=lambda method, path: self.held(method, path),
            sleep=lambda seconds: self.slowly(seconds),
        )

    def forget(self) -> None:
        self.faults.reset()
        self.state.reset()
        self.state.clock = time.time
        self.held: Callable[[str, str], None] = lambda method, path: None
        self.slowly: Callable[[float], None] = time.sleep
