"""How many of a process' threads may wait for which vendor, and when a vendor is left alone: so
health, readiness and metrics always find a thread, whoever hangs, and status whenever the database
answers. Knows no HTTP and no vendor's answers.
"""

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from portal_service.deadline import OutOfTime
from portal_service.log import log
from portal_service.metrics import VENDOR_RESTING

TIMEOUTS_IN_A_ROW = 5
REST_SECONDS = 5.0
# A vendor that gives answers frees a place in so much time; of one that doesn't, nobody waits.
WAIT_SECONDS = 0.5
_TELL_SECONDS = 60.0  # between two lines about threads that are all taken


_in_background: ContextVar[bool] = ContextVar("in_background", default=False)


@contextmanager
def background() -> Iterator[None]:
    """Calls of a thread that serves no request. They take no place, which would be one of those who
    are served; a vendor that is left alone is left alone by them too.
    """
    token = _in_background.set(True)
    try:
        yield
    finally:
        _in_background.reset(token)


class NoSlot(Exception):
    """Raised when too many threads wait already, or the vendor is left alone.

    reason: `busy` or `resting`.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class TimedOut(Exception):
    """Raised by who asked, when the vendor did not answer in time.

    counts: whether the vendor had time enough to answer.
    """

    def __init__(self, counts: bool = True) -> None:
        super().__init__("no answer in time")
        self.counts = counts


@dataclass
class _Vendor:
    """freed: told when there may be a place, one who waits for it at a time."""

    name: str
    most: int
    freed: threading.Condition
    waiting: int = 0
    moved_at: float = 0.0  # when it last answered, or somebody began to wait where nobody did
    timeouts: int = 0
    rests_until: float = 0.0
    is_tried: bool = False
    refused: int = 0  # since it was last told
    told_at: float = float("-inf")


class Slots:
    """One per process.

    threads: how many requests the process serves at once.
    """

    def __init__(self, threads: int) -> None:
        # Seven eighths for vendors together; Stripe leaves one of these to the database.
        self.most = max(1, threads * 7 // 8)
        most_for_stripe = max(1, min(threads * 3 // 4, self.most - 1))
        most = {"stripe": most_for_stripe, "supabase": self.most, "clerk": 1}
        self._lock = threading.Lock()
        self._vendors = {
            name: _Vendor(name, number, threading.Condition(self._lock))
            for name, number in most.items()
        }
        self._waiting = 0

    @contextmanager
    def asking(self, vendor: str) -> Iterator[None]:
        """A call to the vendor. After five that ended in TimedOut, with no other end between, there
        are five seconds without any; then one tries for all. Raises NoSlot.
        """
        tries = self._enter(vendor, is_call=True)
        timed_out = None  # unless the vendor shows something, nothing is learned of it
        try:
            yield
            timed_out = False
        except TimedOut as error:
            timed_out = True if error.counts else None
            raise
        except OutOfTime:
            raise
        except Exception:
            timed_out = False  # it refused the connection, or broke it: it does not hang
            raise
        finally:
            self._leave(vendor, tries, timed_out)

    @contextmanager
    def joining(self, vendor: str) -> Iterator[None]:
        """A wait for what another thread asks the vendor. Raises NoSlot."""
        self._enter(vendor, is_call=False)
        try:
            yield
        finally:
            self._leave(vendor, tries=False, timed_out=None)

    def refuse_while_resting(self, vendor: str) -> None:
        """For who would do other work before asking, for nothing. Raises NoSlot."""
        with self._lock:
            try:
                _let_rest(self._vendors[vendor])
            except NoSlot as refusal:
                _count(self._vendors[vendor], refusal)
                raise

    def waiting(self, vendor: str) -> int:
        """How many threads wait for the vendor at this moment."""
        return self._vendors[vendor].waiting

    def _enter(self, name: str, is_call: bool) -> bool:
        """Whether the call is the one that tries for all."""
        with self._lock:
            vendor = self._vendors[name]
            takes_place = not _in_background.get()
            try:
                if takes_place:
                    self._wait_for_place(vendor)
                tries = is_call and _let_rest(vendor)
            except NoSlot as refusal:
                _count(vendor, refusal)
                raise
            vendor.is_tried = vendor.is_tried or tries
            vendor.waiting += takes_place
            self._waiting += takes_place
            return tries

    def _wait_for_place(self, vendor: _Vendor) -> None:
        """A burst waits for its turn at a vendor that answers; with one that hangs every thread
        would. Raises NoSlot.
        """
        now = time.monotonic()
        if not vendor.waiting:
            vendor.moved_at = now
        until = now + WAIT_SECONDS
        while vendor.waiting >= vendor.most or self._waiting >= self.most:
            left = min(until, vendor.moved_at + WAIT_SECONDS) - time.monotonic()
            if left <= 0:
                raise NoSlot("busy")
            vendor.freed.wait(left)

    def _leave(self, name: str, tries: bool, timed_out: bool | None) -> None:
        with self._lock:
            vendor = self._vendors[name]
            takes_place = not _in_background.get()
            vendor.waiting -= takes_place
            self._waiting -= takes_place
            if tries:
                vendor.is_tried = False
            if timed_out:
                _note_timeout(vendor)
            elif timed_out is False:
                _note_answer(vendor)
            for one in self._vendors.values():  # the place may be one of those for all together
                one.freed.notify()


def _let_rest(vendor: _Vendor) -> bool:
    """Whether a call now is the one that tries for all. Raises NoSlot where none may be made."""
    tries = vendor.timeouts >= TIMEOUTS_IN_A_ROW
    if tries and (vendor.is_tried or time.monotonic() < vendor.rests_until):
        raise NoSlot("resting")
    return tries


def _note_timeout(vendor: _Vendor) -> None:
    vendor.timeouts += 1
    if vendor.timeouts >= TIMEOUTS_IN_A_ROW:
        vendor.rests_until = time.monotonic() + REST_SECONDS
    if vendor.timeouts == TIMEOUTS_IN_A_ROW:
        VENDOR_RESTING.labels(vendor.name).inc()
        log(logging.ERROR, "a vendor does not answer and is left alone", vendor=vendor.name)


def _note_answer(vendor: _Vendor) -> None:
    if vendor.timeouts >= TIMEOUTS_IN_A_ROW:
        VENDOR_RESTING.labels(vendor.name).dec()
        log(logging.WARNING, "a vendor answers again", vendor=vendor.name, refused=vendor.refused)
        vendor.refused = 0
    vendor.timeouts = 0
    vendor.moved_at = time.monotonic()


def _count(vendor: _Vendor, refusal: NoSlot) -> None:
    """One line for many refusals, each of which its request's own line shows as 503."""
    vendor.refused += 1
    now = time.monotonic()
    if refusal.reason == "busy" and now - vendor.told_at > _TELL_SECONDS:
        log(logging.ERROR, "all threads that may wait for a vendor do", vendor=vendor.name,
            refused=vendor.refused)  # fmt: skip
        vendor.told_at, vendor.refused = now, 0
