"""The world's stand-ins behind a switch, and a Stripe of a test's own that delivers to the service:
again and again until it is told 2xx, and looking at the table each time that it is.
"""

import heapq
import itertools
import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
import requests
from table import PlainDatabase

from portal_service import Settings
from portal_service.subscription import differences, row_of
from sandbox.stripe import api as stripe_api
from sandbox.stripe.delivery import signature
from sandbox.supabase import api as supabase_api
from sandbox.web import Server
from sandbox.world import JWT_SECRET, STRIPE_KEY, WEBHOOK_PATH, WEBHOOK_SECRET, World

Json = dict[str, Any]
# What befalls a request, by its method and path: None, or one of `Switch`'s words.
Fault = Callable[[str, str], Any]

HANG_SECONDS = 60


def nothing(method: str, path: str, query: str = "") -> None:
    """Everything works."""


class Switch:
    """An app, and what happens to requests on their way to it and back.

    refused: the connection ends before anything is done. cut: after it was done. hanging: nothing
    is done or said. garbage: a page instead of JSON. A number: that status and no more.
    """

    def __init__(self, app: Any) -> None:
        self._app = app
        self.fault: Fault = nothing
        # Called with method, path and query when an answer is on its way.
        self.answered: Callable[[str, str, str], None] = nothing
        self.release = threading.Event()
        self.outwaited = False  # whether somebody waited for as long as a hanging one hangs

    def __call__(self, environ: Json, start_response: Any) -> Iterable[bytes]:
        request = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        kind = self.fault(*request)
        if kind is None:
            answer = self._app(environ, start_response)
            self.answered(*request, environ["QUERY_STRING"])
            return answer
        if kind == "garbage":
            start_response("200 OK", [("Content-Type", "text/html")])
            return [b"<html>The page of some proxy</html>"]
        if isinstance(kind, int):
            start_response(f"{kind} Told so", [("Content-Type", "application/json")])
            return [b"{}"]
        if kind == "cut":
            b"".join(self._app(environ, lambda *_: lambda _: None))
        if kind == "hanging":
            self.outwaited |= not self.release.wait(HANG_SECONDS)
        environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
        start_response("500 Nobody hears this", [])
        return [b""]


@dataclass
class Outside:
    """What the service is told of; both stand-ins behind their switches."""

    world: World
    database: Switch
    stripe: Switch
    environment: dict[str, str]

    def heal(self) -> None:
        for switch in (self.database, self.stripe):
            switch.fault = switch.answered = nothing


@contextmanager
def outside(world: World, app_url: str, **settings: str) -> Iterator[Outside]:
    database = Switch(supabase_api.create_app(world.database_url, JWT_SECRET, world.faults))
    stripe = Switch(
        stripe_api.create_app(
            world.stripe, world.faults, {STRIPE_KEY}, public_url=lambda: world.stripe_url
        )
    )
    with Server(database) as database_server, Server(stripe) as stripe_server:
        environment = world.environment(app_url) | {
            "SUPABASE_URL": database_server.url,
            "STRIPE_API_BASE": stripe_server.url,
        }
        yield Outside(world, database, stripe, environment | settings)
        for switch in (database, stripe):
            switch.fault = nothing
            switch.release.set()


def once(fault: Fault) -> Fault:
    """The fault befalls the first request that it is about, and no more."""
    befell = threading.Event()

    def first(method: str, path: str) -> Any:
        kind = None if befell.is_set() else fault(method, path)
        if kind is not None:
            befell.set()
        return kind

    return first


def events_of(world: World, subscription_id: str) -> list[Json]:
    """Those of a subscription itself, oldest first."""
    return [
        event
        for event in list(world.stripe.events.values())
        if event["data"]["object"]["id"] == subscription_id
    ]


def assert_right(out: Outside, rows: PlainDatabase, subscription_id: str) -> None:
    plans = Settings.from_environment(out.environment).plans
    row = rows.row(subscription_id)
    assert row is not None
    assert not differences(
        row, row_of(out.world.stripe.subscriptions[subscription_id], plans, None)
    )


def signed(event: Json) -> tuple[str, dict[str, str]]:
    body = json.dumps(event)
    sent = signature(WEBHOOK_SECRET, body, int(time.time()))
    return body, {"Stripe-Signature": sent, "Content-Type": "application/json"}


@dataclass(order=True)
class _Due:
    at: float
    n: int
    event: Json
    attempts: int = 0


class Deliverer:
    """Delivers events in parallel until each was answered 2xx.

    Whatever answers 2xx must have its row in the table by then: `without_row` lists the answers
    that came before theirs. Tells by the quantity, which grows with each change of these tests.

    urls: where to deliver, in turn.
    """

    def __init__(
        self, urls: Sequence[str], database_url: str, workers: int = 8, longest_pause: float = 1.0
    ) -> None:
        self._urls = itertools.cycle(url + WEBHOOK_PATH for url in urls)
        self._database_url = database_url
        self._longest_pause = longest_pause
        self._changed = threading.Condition()
        self._due: list[_Due] = []
        self._under_way = 0
        self._stopped = False
        self._order = itertools.count()
        self.answers: Counter[int | str] = Counter()
        self.outcomes: Counter[str] = Counter()
        self.sent = 0
        self.redelivered = 0
        self.slowest = 0.0
        self.without_row: list[str] = []
        self.broken: list[BaseException] = []
        self._threads = [threading.Thread(target=self._work) for _ in range(workers)]
        for thread in self._threads:
            thread.start()

    def send(self, event: Json, after: float = 0.0) -> None:
        with self._changed:
            self.sent += 1
            self._put(_Due(time.monotonic() + after, next(self._order), event))

    def wait(self, seconds: float) -> bool:
        """Wait until everything is delivered; False where the time was too short."""
        with self._changed:
            return self._changed.wait_for(
                lambda: not self._due and not self._under_way, timeout=seconds
            )

    def __enter__(self) -> "Deliverer":
        return self

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _put(self, due: _Due) -> None:
        heapq.heappush(self._due, due)
        self._changed.notify_all()

    def _work(self) -> None:
        try:
            with (
                requests.Session() as session,
                psycopg.connect(self._database_url, autocommit=True) as connection,
            ):
                session.trust_env = False
                while due := self._next():
                    again = True
                    try:
                        again = not self._deliver(due.event, session, connection)
                    finally:
                        self._note_end(due, again)
        except BaseException as error:
            self.broken.append(error)
            raise

    def _next(self) -> _Due | None:
        with self._changed:
            while not self._stopped:
                wait = self._due[0].at - time.monotonic() if self._due else None
                if wait is not None and wait <= 0:
                    self._under_way += 1
                    return heapq.heappop(self._due)
                self._changed.wait(wait)
            return None

    def _note_end(self, due: _Due, again: bool) -> None:
        with self._changed:
            self._under_way -= 1
            if again:
                due.attempts += 1
                self.redelivered += 1
                due.at = time.monotonic() + min(self._longest_pause, 0.1 * 2**due.attempts)
                self._put(due)
            self._changed.notify_all()

    def _deliver(
        self, event: Json, session: requests.Session, connection: psycopg.Connection
    ) -> bool:
        """Whether it was answered 2xx."""
        body, headers = signed(event)
        began = time.monotonic()
        try:
            answer = session.post(next(self._urls), data=body, headers=headers, timeout=30)
        except requests.RequestException as error:
            status: int | str = type(error).__name__
        else:
            status = answer.status_code
        took = time.monotonic() - began
        with self._changed:
            self.answers[status] += 1
            self.slowest = max(self.slowest, took)
        if status != 200:
            return False
        self._look_at_the_row(event, connection)
        with self._changed:
            self.outcomes[answer.json()["outcome"]] += 1
        return True

    def _look_at_the_row(self, event: Json, connection: psycopg.Connection) -> None:
        said = event["data"]["object"]
        row = connection.execute(
            "select quantity from subscriptions where stripe_subscription_id = %s", [said["id"]]
        ).fetchone()
        if row is None or row[0] < said["items"]["data"][0]["quantity"]:
            with self._changed:
                self.without_row.append(f"{event['id']}: {row}")
