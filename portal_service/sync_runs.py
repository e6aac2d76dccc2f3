"""What the database keeps of the runs of `sync`: whose turn it is, and what the last run of each
scope found, which a thread of its own looks up for the metrics of whoever scrapes. What a run does
is in commands/sync.
"""

import threading
import time
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Literal

from portal_service import deadline, slots
from portal_service.metrics import SYNC_DIFFERING, SYNC_LAST, SYNC_UNCLAIMED
from portal_service.supabase_db import Database
from portal_service.supabase_errors import DatabaseError

LOOK_EVERY_SECONDS = 30.0
# Where the migrations of this release are not there yet, the log has a line each time.
_AFTER_A_FAILURE_SECONDS = 300.0
_LOOK_SECONDS = 2.0
THREAD_NAME = "portal_service last sync"

# All that Stripe has, or what changed there since some time.
Scope = Literal["all", "since"]
Outcome = Literal["done", "failed"]


@dataclass(frozen=True)
class Held:
    """Who runs `sync` now, by the database's clock. The times are those of whose lease it is."""

    is_ours: bool
    begun_at: datetime | None = None
    ends_at: datetime | None = None


@dataclass(frozen=True)
class Found:
    """What a run found. differing_rows: those that were not what Stripe says, missing ones too."""

    scope: Scope
    outcome: Outcome
    differing_rows: int
    unclaimed_subscriptions: int


class SyncRuns:
    """Of the mode of our key."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def hold(self, holder: str, seconds: int) -> Held:
        """Take the lease for so long, or hold on to it. Raises DatabaseError."""
        said = self._database.call("billing_hold_sync", holder=holder, seconds=seconds)
        times = {name: datetime.fromisoformat(said[name]) for name in said if name != "is_ours"}
        return Held(said["is_ours"], **times)

    def end(self, holder: str, found: Found | None) -> None:
        """Give the lease back; keep what was found, if anything. Raises DatabaseError."""
        told = asdict(found) if found else None
        self._database.call("billing_end_sync", holder=holder, found=told)

    def show(self) -> None:
        """Let the metrics say what the last runs found. Raises DatabaseError."""
        for run in self._database.call("billing_syncs"):
            for outcome in ("done", "failed"):
                if moment := run[f"{outcome}_at"]:
                    seconds = datetime.fromisoformat(moment).timestamp()
                    SYNC_LAST.labels(run["scope"], outcome).set(seconds)
            SYNC_DIFFERING.labels(run["scope"]).set(run["differing_rows"])
            SYNC_UNCLAIMED.labels(run["scope"]).set(run["unclaimed_subscriptions"])


class LastSync:
    """One per process; a scrape begins a look and waits for none, so it shows what was found by the
    one before.
    """

    def __init__(self, runs: SyncRuns) -> None:
        self._runs = runs
        self._due_at = 0.0
        self._lock = threading.Lock()

    def begin_where_due(self) -> None:
        with self._lock:
            if time.monotonic() < self._due_at:
                return
            self._due_at = time.monotonic() + LOOK_EVERY_SECONDS
        threading.Thread(target=self._look, name=THREAD_NAME, daemon=True).start()

    def _look(self) -> None:
        try:
            with slots.background(), deadline.within(_LOOK_SECONDS):
                self._runs.show()
        except DatabaseError:  # which the log has
            self._due_at = time.monotonic() + _AFTER_A_FAILURE_SECONDS
