"""Calls for the same thing at the same time share one run of the work, as long as that run has not
looked at the outside world yet: what it finds is then newer than each call that joined.

A flight is one run of the work. It is boarding as long as calls can join it. The call that began it
leads: it does the work, and the others wait. The flight departs right before the work looks at the
outside world; then it is flying, and the next call begins the next flight, which waits for this one
to land: its work is done, and all who joined get what it returned or raised.
"""

import threading
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar, cast

from portal_service import deadline

T = TypeVar("T")


class Flight(Generic[T]):
    """One run of the work, and the calls that share it."""

    def __init__(self, before: "Flight[T] | None") -> None:
        self.hints: list[str] = []  # of those who joined, in the order of joining
        self.before = before
        self.depart: Callable[[], None] = lambda: None
        self._done = threading.Event()
        self._outcome: T | None = None
        self._error: BaseException | None = None
        self.ran_out_of_time = False  # that of the call that led

    def fly(self, work: "Callable[[Flight[T]], T]") -> None:
        try:
            if self.before is not None:
                self.before.wait_until_landed()
            self._outcome = work(self)
        except BaseException as error:
            self._error = error
            self.ran_out_of_time = isinstance(error, deadline.OutOfTime) or deadline.is_spent()

    def land(self) -> None:
        self.before = None
        self._done.set()

    def wait_until_landed(self) -> None:
        """Raises OutOfTime when the budget of whoever waits is spent."""
        left = deadline.remaining()
        if not self._done.wait(None if left is None else max(left, 0)):
            raise deadline.OutOfTime

    def outcome(self) -> T:
        """What the work returned. Raises what it raised."""
        if self._error is not None:
            raise self._error
        return cast(T, self._outcome)


class SingleFlight(Generic[T]):
    """At most one run per key that looks at the outside world, and one that is about to."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._boarding: dict[Hashable, Flight[T]] = {}
        self._flying: dict[Hashable, Flight[T]] = {}

    def run(self, key: Hashable, work: Callable[[Flight[T]], T], hint: str | None = None) -> T:
        """Join the run that is about to start, or start one.

        work: gets the flight, and calls its `depart` right before it looks at the outside world;
            from then on nobody joins.
        hint: what this call knows and the leading one may not.
        Raises what the work raises, and OutOfTime.
        """
        while True:
            flight, leads = self._board(key, hint)
            if leads:
                flight.fly(work)
                self._land(key, flight)
            else:
                flight.wait_until_landed()
            if leads or not flight.ran_out_of_time:
                return flight.outcome()
            deadline.attempt(0.1)  # it was not ours that ran out: lead the next one

    def _board(self, key: Hashable, hint: str | None) -> tuple[Flight[T], bool]:
        with self._lock:
            flight = self._boarding.get(key)
            leads = flight is None
            if flight is None:
                flight = self._boarding[key] = Flight(self._flying.get(key))
                flight.depart = lambda: self._depart(key, flight)
            if hint:
                flight.hints.append(hint)
            return flight, leads

    def _depart(self, key: Hashable, flight: Flight[T]) -> None:
        with self._lock:
            if self._boarding.get(key) is flight:
                del self._boarding[key]
                self._flying[key] = flight

    def _land(self, key: Hashable, flight: Flight[T]) -> None:
        with self._lock:
            for flights in (self._boarding, self._flying):
                if flights.get(key) is flight:
                    del flights[key]
        flight.land()
