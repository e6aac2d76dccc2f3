"""The webhook endpoint and the queue of what is to be sent there, as Stripe does: in parallel, at
least once, again and again until the endpoint says 2xx. A single delivery is in delivery.py."""

import heapq
import itertools
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from sandbox.faults import Faults
from sandbox.stripe import shapes
from sandbox.stripe.delivery import TIMEOUT_SECONDS, Delivery, Sender

Json = dict[str, Any]

# Stripe takes days; nobody at a sandbox wants to.
DELAYS = (1, 2, 4, 8, 15, 30, 30, 30, 30, 30, 30)
# With webhook_shuffle, events are held back this long and then sent in another order, spaced.
SHUFFLE_SECONDS = 0.3
SHUFFLE_SPACING_SECONDS = 0.05


class Webhooks:
    """The one webhook endpoint of the account.

    url: where to deliver; what happens while it is None is recorded and not delivered.
    api_version: the release that the endpoint's events are rendered in.
    style: "snapshot", "thin" or "both".
    enabled_events: the types that the endpoint wants; "*" is all.
    """

    def __init__(
        self,
        secret: str,
        faults: Faults,
        *,
        delays: Sequence[float] = DELAYS,
        clock: Callable[[], float] = time.time,
        workers: int = 16,
    ) -> None:
        self.secret = secret
        self.faults = faults
        self.delays = delays
        self.clock = clock
        self.url: str | None = None
        self.api_version = shapes.API_VERSION
        self.style = "snapshot"
        self.enabled_events = ["*"]
        self._workers = workers
        self._sender = Sender()
        self._pool: ThreadPoolExecutor | None = None
        self._changed = threading.Condition()
        self._order = itertools.count()
        self._stopped = False
        self._reset_state()

    def _reset_state(self) -> None:
        self._queue: list[tuple[float, int, Delivery]] = []
        self._held: list[Delivery] = []
        self._release_at = 0.0
        self._under_way: set[int] = set()
        self._events: dict[str, list[Json]] = {}
        self._delivered: set[str] = set()
        self._log: deque[Json] = deque(maxlen=10_000)

    def send(self, event: Json) -> list[Delivery]:
        """Deliver an event in the background; one delivery per form that the endpoint gets."""
        if "*" not in self.enabled_events and event["type"] not in self.enabled_events:
            return []
        forms = self._forms(event)
        with self._changed:
            self._events[event["id"]] = forms
            if self.url is None:
                for form in forms:
                    self._record(form, 0)["error"] = "there is no webhook endpoint yet"
                return []
            deliveries = [Delivery(form) for form in forms]
            copies = [Delivery(form) for form in forms * self.faults.webhook_duplicates]
            self._schedule([*deliveries, *copies])
        return deliveries

    def resend(self, event_id: str) -> list[Delivery]:
        """Deliver an event once more. Raises KeyError for an event that was never sent."""
        with self._changed:
            if event_id not in self._events:
                raise KeyError(f"no event {event_id} was sent")
            deliveries = [Delivery(form) for form in self._events[event_id]]
            self._schedule(deliveries)
        return deliveries

    def deliveries(self) -> list[Json]:
        """Every attempt, newest last. status_code is null until the endpoint has answered."""
        with self._changed:
            return [dict(record) for record in self._log]

    def delivered(self, event_id: str) -> bool:
        """Whether the endpoint said 2xx to every form of the event."""
        with self._changed:
            return all(form["id"] in self._delivered for form in self._events.get(event_id, ()))

    def wait_until_delivered(self, timeout: float = 10) -> bool:
        """Wait until nothing is under way; False when the time is over before."""
        with self._changed:
            return self._changed.wait_for(
                lambda: not (self._queue or self._held or self._under_way), timeout
            )

    def drop(self, timeout: float = TIMEOUT_SECONDS) -> None:
        """Send nothing of what waits, and wait for the answers to what is under way."""
        with self._changed:
            waiting = self._waiting()
            self._queue, self._held = [], []
            self._changed.wait_for(lambda: not self._under_way, timeout)
        for delivery in waiting:
            delivery.end()

    def reset(self) -> None:
        """Forget everything that was sent, or still was to be."""
        with self._changed:
            waiting = self._waiting()
            self._reset_state()
            self._changed.notify_all()
        for delivery in waiting:
            delivery.end()

    def stop(self) -> None:
        """Deliver nothing more and end the threads."""
        self.reset()
        with self._changed:
            self._stopped = True
            pool, self._pool = self._pool, None
            self._changed.notify_all()
        if pool:
            pool.shutdown(cancel_futures=True)
        self._sender.close()

    def _waiting(self) -> list[Delivery]:
        return [delivery for *_, delivery in self._queue] + self._held

    def _forms(self, event: Json) -> list[Json]:
        forms = []
        if self.style in ("snapshot", "both"):
            forms.append(shapes.event_in_version(event, self.api_version))
        if self.style in ("thin", "both"):
            forms.append(shapes.thin(event))
        return forms

    def _schedule(self, deliveries: Iterable[Delivery]) -> None:
        self._start()
        if self.faults.webhook_shuffle:
            if not self._held:
                self._release_at = time.monotonic() + SHUFFLE_SECONDS
            self._held.extend(deliveries)
        else:
            for delivery in deliveries:
                self._put(delivery, self.faults.webhook_delay_ms / 1000)
        self._changed.notify_all()

    def _put(self, delivery: Delivery, wait: float) -> None:
        heapq.heappush(self._queue, (time.monotonic() + wait, next(self._order), delivery))

    def _start(self) -> None:
        if self._pool is None:
            if self._stopped:
                raise RuntimeError("these webhooks are stopped")
            self._pool = ThreadPoolExecutor(self._workers, "stripe-webhook")
            args = (self._pool,)
            threading.Thread(target=self._dispatch, args=args, daemon=True).start()

    def _dispatch(self, pool: ThreadPoolExecutor) -> None:
        with self._changed:
            while self._pool is pool:
                now = time.monotonic()
                if self._held and self._release_at <= now:
                    self._release()
                while self._queue and self._queue[0][0] <= now:
                    *_, delivery = heapq.heappop(self._queue)
                    self._under_way.add(id(delivery))
                    pool.submit(self._attempt, delivery, self._log)
                due = [self._queue[0][0]] if self._queue else []
                due += [self._release_at] if self._held else []
                self._changed.wait(max(0.0, min(due) - now) if due else None)

    def _release(self) -> None:
        held, self._held = self._held, []
        random.shuffle(held)
        for place, delivery in enumerate(held):
            spacing = place * SHUFFLE_SPACING_SECONDS
            self._put(delivery, self.faults.webhook_delay_ms / 1000 + spacing)

    def _attempt(self, delivery: Delivery, log: deque[Json]) -> None:
        delivery.attempts += 1
        with self._changed:
            record = self._record(delivery.event, delivery.attempts, log)
        answer = self._sender.post(str(self.url), delivery.event, self.secret, self.clock())
        good = 200 <= (answer["status_code"] or 0) < 300
        again = not good and delivery.attempts <= len(self.delays)
        with self._changed:
            record.update(answer)
            self._under_way.discard(id(delivery))
            again = again and log is self._log and self._pool is not None
            if good and log is self._log:
                self._delivered.add(delivery.event["id"])
            if again:
                self._put(delivery, self.delays[delivery.attempts - 1])
            self._changed.notify_all()
        delivery.answered.set()
        if not again:
            delivery.ended.set()

    def _record(self, event: Json, attempt: int, log: deque[Json] | None = None) -> Json:
        record = {
            "event_id": event["id"],
            "type": event["type"],
            "attempt": attempt,
            "status_code": None,
            "outcome": None,
            "error": None,
            "at": self.clock(),
            "created": event["created"],
        }
        (self._log if log is None else log).append(record)
        return record
