"""One run of `sync` at a time, whoever starts it and wherever: the lease is the database's, by its
clock. A run that is killed leaves it to end by itself.
"""

import secrets
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

import click

from portal_service.errors import ServiceError
from portal_service.log import quiet
from portal_service.services import Services
from portal_service.supabase_errors import SCHEMA_CODES, DatabaseError
from portal_service.sync_runs import Found, Held, Outcome, SyncRuns

# Longer than the longest step of a run: a question to Stripe and two to Supabase, each tried again
# for two minutes.
HELD_SECONDS = 600
_RENEWED_AFTER_SECONDS = 60.0
_ON_SIGTERM = 128 + signal.SIGTERM


class AnotherRun(Exception):
    """Raised when another run has the lease; says since when, and how long it has it at most."""


class Lease:
    """patient: what a run asks by, with its retries. at_once: for giving back what was begun.

    found: what a run that ended so has found; for the service's metrics.
    """

    def __init__(
        self, patient: Services, at_once: Services, found: Callable[[Outcome], Found | None]
    ) -> None:
        self._runs = SyncRuns(patient.database)
        self._at_once = SyncRuns(at_once.database)
        self._found = found
        self._holder = secrets.token_hex(8)
        self._renew_at = 0.0

    @contextmanager
    def held(self) -> Iterator[None]:
        """Until the block ends, after Ctrl-C and SIGTERM too; what was found is kept with its end.

        Raises AnotherRun, ServiceError.
        """
        self.keep()
        found = None
        try:
            with _ending_at_sigterm():
                yield
            self._runs.end(self._holder, self._found("done"))
        except Exception as error:
            found = None if isinstance(error, AnotherRun) else self._found("failed")
            raise
        finally:
            with suppress(ServiceError), quiet():  # else it ends by itself
                self._at_once.end(self._holder, found)

    def keep(self) -> None:
        """To be called before each step. Raises AnotherRun where somebody else has it by now."""
        if time.monotonic() < self._renew_at:
            return
        try:
            lease = self._runs.hold(self._holder, HELD_SECONDS)
        except DatabaseError as error:
            if error.database_code in SCHEMA_CODES:
                raise click.ClickException(
                    "The database lacks billing_hold_sync: run the migrations of this release "
                    "(portal-service migrate writes them)."
                ) from error
            raise
        if not lease.is_ours:
            raise AnotherRun(_said_of(lease))
        self._renew_at = time.monotonic() + _RENEWED_AFTER_SECONDS


def _said_of(lease: Held) -> str:
    if lease.begun_at is None:
        return "Another run of sync has just ended. Nothing was done."
    return (
        f"Another run of sync is at work, since {lease.begun_at:%H:%M:%S} UTC. If it was killed, "
        f"its lease ends at {lease.ends_at:%H:%M:%S}."
    )


@contextmanager
def _ending_at_sigterm() -> Iterator[None]:
    """As Ctrl-C ends it. In a thread, as of a scheduler, it is not ours to handle."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _end(number: int, frame: FrameType | None) -> None:
    sys.exit(_ON_SIGTERM)
