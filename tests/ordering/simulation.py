"""One subscription's life at a simulated Stripe, and the deliveries of its events in any order.

Everything that may happen at the same time happens in steps that a script puts in order: each
delivery runs in a thread of its own, and only one thread runs at any moment. A delivery stops
wherever the mirror looks outside, so a script decides who is overtaken where, and says so again.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import psycopg
import pytest
from hypothesis import note
from steps import (
    STUCK_SECONDS,
    Died,
    Scheduler,
    SteppedDatabase,
    SteppedStripe,
    Task,
    WrongRow,
    threading_of,
)
from table import PlainDatabase

from portal_service import deadline, mirror, single_flight
from portal_service.config import Settings
from portal_service.events import CHECKOUT_EVENTS, SUBSCRIPTION_EVENTS
from portal_service.subscription import differences, row_of
from sandbox.stripe import shapes
from sandbox.stripe.state import StripeState

Json = dict[str, Any]

OLD_RELEASE = "2024-06-20"
# A day whose months and hours are of no interest.
START = 1_793_000_000


@dataclass
class Clock:
    now: float = START

    def __call__(self) -> float:
        return self.now

    @property
    def seconds(self) -> int:
        return int(self.now) - START


class Outbox:
    """The webhook endpoint's place in the simulated account: it keeps what Stripe sends."""

    def __init__(self) -> None:
        self.events: list[Json] = []

    def send(self, event: Json) -> list[Any]:
        if event["type"] in SUBSCRIPTION_EVENTS | CHECKOUT_EVENTS:
            self.events.append(event)
        return []


@dataclass(frozen=True)
class Change:
    """What happens at Stripe: seconds after the change before, stamped `late` seconds late."""

    action: str
    more: Json = field(default_factory=dict)
    after: int = 0
    late: int = 0
    copies: int = 1
    forms: str = "s"  # of its deliveries in turn: snapshot, thin, old release


@dataclass(frozen=True)
class Script:
    """status: of the new subscription. moves: what happens next, as long as there are any.

    add_ons: its items beside the plan's; Stripe shows ten in all.
    user: "first", "between" or "never": when the app's tables know the buyer.
    checkout: whether a checkout session made the subscription, which is one more event.
    settled: seconds for which the new subscription has been in the table; None where it isn't.
    last_first: whether the deliveries left after the last move are those of the newest event first.
    patient: whether the deliveries that were stopped by the last move end after all others.
    oldest_last: whether of those the one that began first ends last.
    delete_before_last: deliveries that are left when somebody deletes the row, after the last move.
    """

    status: str
    changes: tuple[Change, ...]
    moves: tuple[tuple[str, int], ...]
    user: str = "first"
    checkout: bool = True
    add_ons: int = 0
    settled: int | None = None
    last_first: bool = True
    patient: bool = True
    oldest_last: bool = True
    delete_before_last: int | None = None
    processes: int = 2


@dataclass(eq=False)
class Delivery:
    event: Json
    name: str
    task: Task | None = None
    began: int = 0


class Stage:
    """Where runs are played, with one simulated account and one table.

    mirror, single_flight: the service's modules, or copies with a bug.
    """

    def __init__(
        self,
        settings: Settings,
        owner: psycopg.Connection,
        database: Any,
        stripe: Callable[[Scheduler, StripeState], Any] = SteppedStripe,
        *,
        mirror: ModuleType = mirror,
        single_flight: ModuleType = single_flight,
    ) -> None:
        self.settings = settings
        self.mirror = mirror
        self.single_flight = single_flight
        self.owner = owner
        self.database = database
        self.stripe = stripe
        self.clock = Clock()
        self.outbox = Outbox()
        self.account = StripeState(self.outbox, clock=self.clock)
        self.played = 0
        self.steps = 0

    def play(self, script: Script) -> None:
        """Raises WrongRow."""
        self.played += 1
        with pytest.MonkeyPatch.context() as patch:
            scheduler = Scheduler()
            patch.setattr(deadline, "_JITTER_SECONDS", 0)
            patch.setattr(self.mirror, "SingleFlight", self.single_flight.SingleFlight)
            patch.setattr(self.single_flight, "threading", threading_of(scheduler))
            run = Run(self, scheduler, script)
            try:
                run.play()
            except BaseException:
                note("\n".join(run.trace))
                run.abandon()
                raise
            finally:
                self.steps += len(run.trace)


class Run:
    """One example. `play` raises WrongRow."""

    def __init__(self, stage: Stage, scheduler: Scheduler, script: Script) -> None:
        self.stage = stage
        self.script = script
        self.scheduler = scheduler
        self.trace: list[str] = []
        self.database = SteppedDatabase(scheduler, stage.database)
        stripe = stage.stripe(scheduler, stage.account)
        self.mirrors = [
            stage.mirror.Mirror(stage.settings, self.database, stripe)
            for _ in range(script.processes)
        ]
        self.to_come = list(script.changes)
        self.waiting: list[Delivery] = []
        self.running: list[Delivery] = []
        self.started = 0
        self.beats = 0  # moments, to tell what was before what
        self.deleted_at: int | None = None
        self.known_since: int | None = None
        self.was_known = False
        self.ended: list[Delivery] = []

    def play(self) -> None:
        self.stage.clock.now = START
        self.clerk_id = f"user_{shapes.new_id('x')}"
        if self.script.user == "first":
            self._sign_up()
        self._subscribe()
        if self.script.settled is not None:
            self._deliver_all()
            self.stage.clock.now += self.script.settled
            self._change()
        for kind, n in self.script.moves:
            self._move(kind, n)
        self._finish()
        self._judge()

    # What may happen next

    def _move(self, kind: str, n: int) -> None:
        self.beats += 1
        ready = [d for d in self.running if d.task.runnable]
        if kind == "step" and ready:
            self._step(ready[n % len(ready)])
        elif kind == "run" and ready:
            self._run(ready[n % len(ready)])
        elif kind == "die" and ready:
            self._step(ready[n % len(ready)], Died())
        elif kind == "start" and self.waiting and len(self.running) < 4:
            self._start(self.waiting.pop(n % len(self.waiting)), n)
        elif kind == "ask" and self.waiting and len(self.running) < 4:
            self._ask(self.waiting.pop(n % len(self.waiting)), n)
        elif kind == "change" and self.to_come:
            self._change()
        elif kind == "tick":
            self.stage.clock.now += (1, 1, 30, 61)[n % 4]
        elif kind == "delete":
            self._delete()
        elif kind == "sign up" and self.script.user == "between" and not self.was_known:
            self._sign_up()
        elif kind == "leave" and self.known_since is not None:
            self._leave()

    def _subscribe(self) -> None:
        account = self.stage.account
        customer = account.create_customer(metadata={"clerk_user_id": self.clerk_id})["id"]
        lines = [("price_pro", 1), *[("price_other", n + 1) for n in range(self.script.add_ons)]]
        owner = {"clerk_user_id": self.clerk_id}
        with account.lock:
            made = account.subscribe(customer, lines, metadata=owner, status=self.script.status)
        self.id = made["id"]
        if self.script.checkout:
            self._complete_checkout(customer)
        self._send(1, "s", 0)

    def _complete_checkout(self, customer: str) -> None:
        session = {
            "id": f"cs_{self.id}",
            "object": "checkout.session",
            "status": "complete",
            "customer": customer,
            "subscription": self.id,
            "metadata": {"clerk_user_id": self.clerk_id},
            "livemode": False,
        }
        self.stage.account.sessions[session["id"]] = session
        self.stage.account.emit("checkout.session.completed", session)

    def _change(self) -> None:
        change = self.to_come.pop(0)
        self.stage.clock.now += change.after
        try:
            self.stage.account.act(self.id, change.action, **change.more)
        except ValueError:
            return  # not possible in this state
        self.trace.append(
            f"Stripe: {change.action} {change.more or ''} at {self.stage.clock.seconds}"
        )
        self._send(change.copies, change.forms, change.late)

    def _send(self, copies: int, forms: str, late: int) -> None:
        events, self.stage.outbox.events = self.stage.outbox.events, []
        for event in events:
            event["created"] += late
            for n in range(copies):
                form = forms[n % len(forms)]
                said = event
                if form == "t":
                    said = shapes.thin(event)
                elif form == "o":
                    said = shapes.event_in_version(event, OLD_RELEASE)
                name = f"{event['type'].rpartition('.')[2]}+{self.stage.clock.seconds}{form}{n}"
                self.waiting.append(Delivery(said, name))

    def _start(self, delivery: Delivery, n: int) -> None:
        self.started += 1
        process = (self.started + n % 2) % len(self.mirrors)
        mirror = self.mirrors[process]
        delivery.began = self.beats
        name = f"{delivery.name} in process {process}"
        delivery.task = Task(self.scheduler, name, lambda: mirror.apply(delivery.event))
        self.running.append(delivery)
        self._step(delivery)

    def _step(self, delivery: Delivery, death: Died | None = None) -> None:
        task = delivery.task
        self.trace.append(f"{task.name}: {task.at}{' DIES' if death else ''}")
        self.scheduler.resume(task, death)
        if task.done:
            self.running.remove(delivery)
            if isinstance(task.error, Died):
                self.trace.append(f"{task.name}: failed, to be delivered again")
                self.waiting.append(Delivery(delivery.event, delivery.name))
            elif task.error:
                raise task.error
            else:
                self.trace.append(f"{task.name}: {task.outcome}")
                self.ended.append(delivery)

    def _ask(self, delivery: Delivery, n: int) -> None:
        """Let a delivery begin, and hold it back when Stripe has answered."""
        self._start(delivery, n)
        while delivery.task.runnable and not delivery.task.at.startswith("Stripe says"):
            self._step(delivery)

    def _run(self, delivery: Delivery) -> None:
        while delivery.task.runnable:
            self._step(delivery)

    def _delete(self) -> None:
        """By hand. The documented exception: not while a delivery that saw no row may insert."""
        if any(delivery.task.saw_no_row for delivery in self.running):
            return
        self.trace.append("the row is deleted by hand")
        self.stage.owner.execute(
            "delete from subscriptions where stripe_subscription_id = %s", [self.id]
        )
        self.deleted_at = self.beats
        self.database.link = self.database.owner = None

    def _sign_up(self) -> None:
        self.user_id = self.stage.owner.execute(
            "insert into users (clerk_id) values (%s) returning id::text", [self.clerk_id]
        ).fetchone()
        self.known_since, self.was_known = self.beats, True
        self.trace.append("the app learns of the user")

    def _leave(self) -> None:
        """The app forgets the user; what is linked stays linked."""
        self.stage.owner.execute("delete from users where clerk_id = %s", [self.clerk_id])
        self.trace.append("the app forgets the user")
        self.known_since = None

    def _finish(self) -> None:
        """All that is left happens, and every delivery is repeated until it ends well."""
        while self.to_come:
            self.beats += 1
            self._change()
        stopped = [] if self.script.patient else list(self.running)
        for delivery in stopped:
            while not delivery.task.done:
                self._step_one_of_those_before(delivery)
        self._deliver_all(self.script.delete_before_last)

    def _deliver_all(self, delete_before_last: int | None = None) -> None:
        while self.waiting or self.running:
            self.beats += 1
            if len(self.waiting) == delete_before_last:
                self._delete()
                delete_before_last = None
            elif self.waiting:
                self._start(self.waiting.pop(-1 if self.script.last_first else 0), self.beats)
                if self.running and self.running[-1].task.runnable:
                    self._run(self.running[-1])
            else:
                ready = [d for d in self.running if d.task.runnable]
                self._run(ready[-1 if self.script.oldest_last else 0])

    def _step_one_of_those_before(self, delivery: Delivery) -> None:
        ready = (
            delivery if delivery.task.runnable else next(d for d in self.running if d.task.runnable)
        )
        self._step(ready)

    # What must hold

    def _judge(self) -> None:
        subscription = self.stage.account.subscriptions[self.id]
        expected = row_of(subscription, self.stage.settings.plans, None)
        row = PlainDatabase(self.stage.owner).row(self.id)
        last_began = max(delivery.began for delivery in self.ended)
        if row is None:
            if self.deleted_at is None or last_began > self.deleted_at:
                raise WrongRow("there is no row")
            return
        wrong = differences(row, expected)
        if wrong:
            raise WrongRow(f"the row is not what Stripe says: {wrong}")
        known = self.known_since is not None and self.known_since < last_began
        if known and row["user_id"] != self.user_id:
            raise WrongRow(f"the row is not linked to its user: {row['user_id']}")
        if row["clerk_owner_id"] != self.clerk_id:
            raise WrongRow(f"the row is not its owner's: {row['clerk_owner_id']}")

    def abandon(self) -> None:
        """End the threads of a run that failed."""
        for delivery in self.running:
            while not delivery.task.done:
                delivery.task.death = Died()
                delivery.task.go.release()
                self.scheduler.back.acquire(timeout=STUCK_SECONDS)
