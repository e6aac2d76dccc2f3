"""Requests for checkout whose calls to Stripe happen in an order of the test's choice, one at a
time: every order, or all with few changes of turn. The real code and the real SDK speak to the
stand-in for Stripe without a network; the table is left out.
"""

import threading
from collections.abc import Callable, Iterator, Mapping, Set
from contextlib import suppress
from dataclasses import dataclass, field
from types import ModuleType, SimpleNamespace
from typing import Any

from portal_service import Settings, deadline, open_session
from portal_service.connection import Answer
from portal_service.entitlement import Account
from portal_service.errors import ServiceError
from portal_service.slots import Slots
from portal_service.stripe_api import Stripe
from portal_service.subscription import is_running_at_stripe
from portal_service.transport import Transport
from sandbox.faults import Faults
from sandbox.stripe.api import create_app
from sandbox.stripe.state import StripeState
from sandbox.stripe.webhooks import Webhooks
from sandbox.world import PLANS

Json = dict[str, Any]

LIST, ASK = "GET /v1/checkout/sessions", "GET /v1/subscriptions"
CREATE, EXPIRE = "POST /v1/checkout/sessions", "expire"
OUR_TURN_SECONDS = 30.0  # after which a test gives up; nothing waits for that long
KEY = "sk_test_interleaved"


MOST_STEPS = 300  # of one order; who takes more goes round in circles


class Abandoned(BaseException):
    """Raised in a click whose turn never comes, since its test is over."""


class InProcess(Transport):
    """Brings what the SDK sends to a WSGI app, in the thread that sends it."""

    def __init__(self, app: Any, called: Callable[[str], None]) -> None:
        super().__init__(Slots(64))
        self.app, self.called = app, called

    def _exchange(
        self, method: str, url: str, headers: Mapping[str, str], body: Any, seconds: float
    ) -> Answer:
        path = url.removeprefix("http://stripe")
        name = EXPIRE if path.endswith("/expire") else f"{method} {path.partition('?')[0]}"
        self.called(name)
        answer = self.app.test_client().open(path, method=method, headers=dict(headers), data=body)
        return Answer(answer.status_code, answer.headers, answer.data)


@dataclass
class Click:
    """One request: a plan, or a plan and a locale. outcome: the address, or a code."""

    wish: str
    outcome: str = ""
    step: str = "start"  # what it is about to do
    waits: bool = False  # for somebody else's step: it listed again, and all is as it was
    turn: threading.Event = field(default_factory=threading.Event)

    @property
    def is_over(self) -> bool:
        return self.step == "over"


class Stage:
    """One customer, and a Stripe account. gates: the calls before which somebody else may go on;
    the answer of a creation is held back too, so that its key is in use.

    faulty: which creations of all, counted from 0, Stripe fails and keeps the error of.
    """

    def __init__(self) -> None:
        self.faults = Faults()
        self.state = StripeState(Webhooks("whsec_interleaved", self.faults), False)
        app = create_app(
            self.state, self.faults, {KEY}, "http://stripe", before_answer=self._answers
        )
        self.services = self._services(app)
        self.reset(open_session, frozenset(), frozenset())

    def reset(self, module: ModuleType, gates: Set[str], faulty: Set[int]) -> None:
        """Begin anew, in a Stripe account with one customer.

        module: open_session, or a copy with a bug.
        """
        self.module, self.gates, self.faulty = module, gates, faulty
        self.state.reset()
        self.creations = 0
        self.reached = threading.Semaphore(0)
        self.clicks: dict[int, Click] = {}
        self.page = ""  # of an earlier click
        self.customer = self.state.create_customer()["id"]
        self.account = Account("user_ada", None, self.customer, ())

    def _services(self, app: Any) -> Any:
        settings = Settings.from_environment(
            {
                "STRIPE_SECRET_KEY": KEY,
                "STRIPE_WEBHOOK_SECRET": "whsec_interleaved",
                "STRIPE_PLANS": PLANS,
                "STRIPE_API_BASE": "http://stripe",
                "SUPABASE_URL": "http://localhost:1",
                "SUPABASE_SERVICE_ROLE_KEY": "sb_secret_interleaved",
                "CLERK_ISSUER": "https://clerk.example.com",
                "APP_URL": "https://app.example.com",
            }
        )
        stripe = Stripe(settings, transport=InProcess(app, self._calls))
        return SimpleNamespace(
            settings=settings,
            stripe=stripe,
            database=SimpleNamespace(account=lambda owner: self.account),
            mirror=SimpleNamespace(refresh_customer=lambda _, c: stripe.subscriptions_of(c)[0]),
        )

    def click(self, wish: str) -> str:
        """One request with nobody else about."""
        plan, _, locale = wish.partition(" ")
        wanted: Json = {
            "mode": "subscription",
            "line_items": [{"price": f"price_{plan}", "quantity": 1}],
            "success_url": "https://app.example.com/",
            "metadata": {"clerk_user_id": "user_ada"},
            "subscription_data": {"metadata": {"clerk_user_id": "user_ada"}},
            **({"locale": locale} if locale else {}),
        }
        try:
            return str(self.module.url(self.services, self.account, self.customer, wanted))
        except ServiceError as error:
            return error.code
        except deadline.OutOfTime:
            return "stripe_unavailable"

    def _calls(self, call: str) -> None:
        if call == CREATE:
            self.faults.stripe = "up"
        self._gate(call)
        if call == CREATE:
            self.faults.stripe = "error" if self.creations in self.faulty else "up"
            self.creations += 1

    def _answers(self, method: str, path: str) -> None:
        self.faults.stripe = "up"
        if f"{method} {path}" == CREATE:
            self._gate("answer")

    def _gate(self, step: str) -> None:
        click = self.clicks.get(threading.get_ident())
        if click is None or step not in self.gates | {"start", "over"}:
            return
        click.waits = step == LIST and click.step != "start"
        click.step = step
        self.reached.release()
        if step != "over":
            if not click.turn.wait(OUR_TURN_SECONDS):
                raise Abandoned
            click.turn.clear()

    def _run(self, click: Click) -> None:
        self.clicks[threading.get_ident()] = click
        with suppress(Abandoned):  # pytest would blame the test that runs by now
            self._gate("start")
            click.outcome = self.click(click.wish)
            self._gate("over")

    def begin(self, wishes: tuple[str, ...]) -> list[Click]:
        clicks = [Click(wish) for wish in wishes]
        for click in clicks:
            threading.Thread(target=self._run, args=[click], daemon=True).start()
            assert self.reached.acquire(timeout=OUR_TURN_SECONDS)
        return clicks

    def go_on(self, click: Click) -> None:
        click.turn.set()
        assert self.reached.acquire(timeout=OUR_TURN_SECONDS)

    # What is there at the end

    def sessions(self, status: str) -> list[Json]:
        return [s for s in self.state.sessions.values() if s["status"] == status and s["metadata"]]

    def running(self) -> list[Json]:
        return [s for s in self.state.subscriptions.values() if is_running_at_stripe(s)]


def pay_page(stage: Stage, url: str) -> None:
    """Press *pay* on a page, which may be over."""
    session_id = url.rpartition("/")[2]
    if session_id in stage.state.sessions and stage.state.sessions[session_id]["status"] == "open":
        stage.state.checkout(session_id, "pay")


def every_order(
    make: Callable[[], Stage],
    wishes: tuple[str, ...],
    turns: int,
    event: Callable[[Stage, list[Click]], None] | None = None,
) -> Iterator[tuple[Stage, list[Click], list[int]]]:
    """Plays every order in which whoever is on is interrupted at most `turns` times, and hands out
    the stage at the end, with the order that led there.

    event: happens once, at each possible moment.
    """
    order: list[tuple[int, int]] = []  # the choice, and how many there were
    while True:
        stage = make()
        clicks = stage.begin(wishes)
        chosen = _play(stage, clicks, [choice for choice, _ in order], turns, event)
        yield stage, clicks, [choice for choice, _ in chosen]
        order = chosen
        while order and order[-1][0] + 1 == order[-1][1]:
            order.pop()
        if not order:
            return
        order[-1] = (order[-1][0] + 1, order[-1][1])


def _play(
    stage: Stage,
    clicks: list[Click],
    prefix: list[int],
    turns: int,
    event: Callable[[Stage, list[Click]], None] | None,
) -> list[tuple[int, int]]:
    chosen: list[tuple[int, int]] = []
    last: Click | None = None
    left = event
    while not all(click.is_over for click in clicks):
        able = [click for click in clicks if not click.is_over]
        able = [click for click in able if not click.waits] or able
        if last in able:  # the one who is on comes first, and alone when all turns are used up
            able.remove(last)
            able = [last, *able] if turns else [last]
        assert len(chosen) < MOST_STEPS, f"{able} never get an answer"
        options: list[Click | None] = [*able, None] if left else [*able]
        choice = prefix[len(chosen)] if len(chosen) < len(prefix) else 0
        chosen.append((choice, len(options)))
        picked = options[choice]
        if picked is None:
            assert left
            left(stage, clicks)
            left = None
            for click in clicks:
                click.waits = False
            continue
        if last in able and picked is not last:
            turns -= 1
        stage.go_on(picked)
        for click in clicks:
            if click is not picked:
                click.waits = False
        last = picked
    return chosen
