"""What a probe is told: a thread of its own looks at the dependencies, and a probe reads what that
found last. So a probe answers at once whatever hangs, and nobody can spend our quotas by asking.
"""

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from portal_service import deadline, slots
from portal_service.errors import ServiceError
from portal_service.log import log
from portal_service.prices import Problem
from portal_service.services import Services
from portal_service.stripe_errors import StripeRefused

UP, DEGRADED = "up", "degraded"

LOOK_EVERY_SECONDS = 5.0
CHECK_SECONDS = 2.0
# So long after the last probe the looking ends.
PROBED_SECONDS = 60.0
# The settings and a trial write cost more to look at, and change with a deploy.
SETTINGS_EVERY_SECONDS = 300.0
THREAD_NAME = "portal_service readiness"

State = tuple[dict[str, Any], int]


class Readiness:
    """Begun with the process' first request, and again with a probe after a pause."""

    def __init__(self, services: Services) -> None:
        self._services = services
        nothing_yet = dict.fromkeys(("database", "stripe", "clerk", "schema"), DEGRADED)
        self._known: State = ({"status": "starting", "checks": nothing_yet}, 503)
        self._problems: tuple[Problem, ...] = ()
        self._refused_write: str | None = None
        self._settings_due_at = 0.0
        self._owners_are_known = False
        self._probed_at = 0.0
        self._begun = False
        self._lock = threading.Lock()  # of the thread's beginning and end; held for no call
        self._thread: threading.Thread | None = None

    def answer(self) -> State:
        """What the last look found, and the status of the answer."""
        self._probed_at = time.monotonic()
        self._begin()
        return self._known

    def begin_once(self) -> None:
        if not self._begun:
            self._begin()

    def look(self) -> None:
        """Ask every dependency, side by side, and keep what came of it."""
        missing: list[str] = []
        checks = _side_by_side(
            {
                "database": lambda: missing.extend(self._missing()),
                "stripe": self._services.stripe.ping,
                "clerk": self._ask_clerk,
                **self._rare_checks(),
            }
        )
        ready = checks["database"] and not missing
        stripe = checks["stripe"] and not self._problems
        found = {
            "database": checks["database"],
            "stripe": stripe,
            "clerk": checks["clerk"],
            "schema": ready and not self._refused_write,
        }
        body: dict[str, Any] = {
            "status": "ready" if ready else "unavailable",
            "checks": {name: UP if good else DEGRADED for name, good in found.items()},
        }
        if missing:
            body["missing"] = missing
        self._known = body, 200 if ready else 503

    def _begin(self) -> None:
        self._begun = True
        with self._lock:
            if self._thread is None or not self._thread.is_alive():  # also after a fork
                self._thread = threading.Thread(target=self._run, name=THREAD_NAME, daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while True:
            self.look()
            with self._lock:
                if time.monotonic() - self._probed_at > PROBED_SECONDS:
                    self._thread = None
                    return
            time.sleep(LOOK_EVERY_SECONDS)

    def _rare_checks(self) -> dict[str, Callable[[], None]]:
        if time.monotonic() < self._settings_due_at:
            return {}
        self._settings_due_at = time.monotonic() + SETTINGS_EVERY_SECONDS
        checks = {"settings": self._look_at_settings, "writes": self._look_at_writes}
        if not self._owners_are_known:
            checks["owners"] = self._look_at_owners
        return checks

    def _missing(self) -> list[str]:
        name = self._services.database.missing_schema()
        return [name] if name else []

    def _ask_clerk(self) -> None:
        keys = self._services.clerk.key_set
        if keys is not None and not keys.probe():
            raise ServiceError("clerk_unavailable")

    def _look_at_settings(self) -> None:
        found = tuple(self._services.prices.problems())
        for problem in found:
            if problem not in self._problems:
                log(
                    logging.ERROR,
                    f"{problem.variable} names something that Stripe can't use",
                    id=problem.id,
                    reason=problem.reason,
                    cure=f"Correct {problem.variable}, for the mode of STRIPE_SECRET_KEY",
                )
        self._problems = found

    def _look_at_writes(self) -> None:
        refused = self._services.database.refused_write()
        if refused and refused != self._refused_write:
            log(
                logging.ERROR,
                "a purchase can't be stored: the table subscriptions refuses it",
                vendor_message=refused,
                cure="Run the migrations again: they name what refuses it, and the way out",
            )
        self._refused_write = refused

    def _look_at_owners(self) -> None:
        """Once: it reads the whole table, and such rows are made by a changed setting alone."""
        mirror = self._services.mirror
        mirror.reports.other_kind(mirror.whose.rows_of_the_other_kind())
        self._owners_are_known = True


def _side_by_side(checks: dict[str, Callable[[], None]]) -> dict[str, bool]:
    """Which of them succeed in time, each in a thread of its own. One that takes longer, as a name
    that can't be resolved does, counts as failed and is left to itself.
    """
    found: dict[str, bool] = {}

    def run(name: str, check: Callable[[], None]) -> None:
        with slots.background(), deadline.within(CHECK_SECONDS):
            found[name] = _succeeds(check)

    threads = [
        threading.Thread(target=run, args=check, name=THREAD_NAME, daemon=True)
        for check in checks.items()
    ]
    for thread in threads:
        thread.start()
    late_at = time.monotonic() + CHECK_SECONDS + 0.5
    for thread in threads:
        thread.join(max(0.0, late_at - time.monotonic()))
    return {name: found.get(name, False) for name in checks}


def _succeeds(check: Callable[[], None]) -> bool:
    try:
        check()
    except StripeRefused:
        return True  # it answered
    except (ServiceError, deadline.OutOfTime):
        return False
    except Exception as error:  # a fault of ours must not end the looking
        log(logging.ERROR, "a look at a dependency failed", exc_info=error)
        return False
    return True
