"""Deliveries in threads of which one runs at any moment, and what makes them stop: each look of the
mirror outside. Whoever plays a script says who goes on: simulation.py.
"""

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from portal_service.subscription import Row
from sandbox.stripe import shapes
from sandbox.stripe.state import StripeState

Json = dict[str, Any]

STUCK_SECONDS = 30


class Died(Exception):
    """What happens to a delivery whose worker or connection dies."""


class WrongRow(AssertionError):
    """The table does not say what Stripe says."""


def closed_door() -> threading.Lock:
    """Opened by `release`, and closed again by whoever passes: one at a time does either."""
    door = threading.Lock()  # a Semaphore is written in Python, and this is all that these do
    door.acquire()
    return door


class Task:
    """A thread that runs only while somebody waits in `resume`."""

    def __init__(self, scheduler: "Scheduler", name: str, work: Callable[[], Any]) -> None:
        self.name = name
        self.at = "the start"
        self.done = False
        self.error: BaseException | None = None
        self.outcome: Any = None
        self.waits_for: Gate | None = None
        self.death: Died | None = None
        self.saw_no_row = False
        self.go = closed_door()
        self._scheduler = scheduler
        self._work = work
        threading.Thread(target=self._run, daemon=True).start()

    @property
    def runnable(self) -> bool:
        return not self.done and (self.waits_for is None or self.waits_for.is_set())

    def _run(self) -> None:
        self.go.acquire()
        self._scheduler.here.task = self
        try:
            self.outcome = self._work()
        except BaseException as error:
            self.error = error
        self.done = True
        self._scheduler.back.release()


class Scheduler:
    def __init__(self) -> None:
        self.back = closed_door()
        self.here = threading.local()

    def resume(self, task: Task, death: Died | None = None) -> None:
        """Let a task run to its next stop or its end."""
        task.death = death
        task.go.release()
        if not self.back.acquire(timeout=STUCK_SECONDS):
            raise RuntimeError(f"{task.name} is stuck after {task.at}")

    def stop(self, at: str) -> None:
        """Called in a task: let the others run."""
        task: Task = self.here.task
        task.at = at
        self.back.release()
        task.go.acquire()
        task.waits_for = None
        if task.death:
            raise task.death


class Gate:
    """As threading.Event, for tasks."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._set = False

    def is_set(self) -> bool:
        return self._set

    def set(self) -> None:
        self._set = True

    def wait(self, timeout: float | None = None) -> bool:
        while not self._set:
            self._scheduler.here.task.waits_for = self
            self._scheduler.stop("waiting for another delivery")
        return True


def threading_of(scheduler: Scheduler) -> SimpleNamespace:
    """What portal_service.single_flight takes from `threading`."""
    return SimpleNamespace(Event=lambda: Gate(scheduler), Lock=threading.Lock)


class SteppedDatabase:
    """Stops before each call, and after each write: its answer may be lost."""

    def __init__(self, scheduler: Scheduler, database: Any) -> None:
        self._scheduler = scheduler
        self._database = database
        self.link: str | None = None
        self.owner: str | None = None

    def row(self, subscription_id: str) -> Row | None:
        self._scheduler.stop("reading the row")
        row = self._database.row(subscription_id)
        self._scheduler.here.task.saw_no_row = row is None
        return row

    def upsert(self, row: Row, owner: str | None, expected: int | None) -> Row | None:
        self._scheduler.stop(f"writing {row['status']} over {expected}")
        stored = self._database.upsert(row, owner, expected)
        self._scheduler.here.task.saw_no_row = False
        if stored:
            if self.link not in (None, stored["user_id"]):
                raise WrongRow(f"the link to {self.link} was lost: {stored['user_id']}")
            self.link = stored["user_id"]
            if self.owner not in (None, stored["clerk_owner_id"]):
                raise WrongRow(f"the owner {self.owner} was lost: {stored['clerk_owner_id']}")
            self.owner = stored["clerk_owner_id"]
        self._scheduler.stop("the answer to the write" if stored else "the answer: not written")
        return stored

    def knows_customer(self, customer: str) -> bool:
        return self._database.knows_customer(customer)


class SteppedStripe:
    """Answers with the state at one moment, dated at a later one, received at one later still."""

    def __init__(self, scheduler: Scheduler, account: StripeState) -> None:
        self._scheduler = scheduler
        self._account = account
        self.questions = 0

    def subscription(self, subscription_id: str) -> tuple[Json, datetime]:
        self._scheduler.stop("asking Stripe")
        self.questions += 1
        found = shapes.copied(self._account.subscriptions[subscription_id])
        self._scheduler.stop(f"Stripe says {found['status']}")
        return found, datetime.fromtimestamp(self._account.now(), UTC)

    def checkout_session(self, session_id: str) -> Json:
        return shapes.copied(self._account.sessions[session_id])


class SteppedRealStripe:
    """The service's own client, stopped before and after its question."""

    def __init__(self, scheduler: Scheduler, client: Any) -> None:
        self._scheduler = scheduler
        self._client = client

    def subscription(self, subscription_id: str) -> tuple[Json, datetime | None]:
        self._scheduler.stop("asking Stripe")
        answer = self._client.subscription(subscription_id)
        self._scheduler.stop(f"Stripe says {answer[0]['status']}")
        return answer

    def checkout_session(self, session_id: str) -> Json:
        return self._client.checkout_session(session_id)
